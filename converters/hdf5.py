"""What an HDF5 file declares, read from its headers: the sizes of its arrays, and whether any lie in another file."""

from collections.abc import Iterator
from typing import IO, Any

from edge.limits import LimitError, check_unfolding

_MOST_OBJECTS = 100_000
"""Groups and arrays in one file; the largest networks of Keras have a few thousand."""


def check_hdf5(stream: IO[bytes], stored: int) -> None:
    """Check an HDF5 file before an array of it is read.

    Args:
        stream: the file, open for reading and at its start.
        stored: its size in bytes.

    Raises:
        LimitError: it refers to another file, has arrays that the file cannot hold, or too many objects.
        OSError, ValueError: no whole HDF5 file.
    """
    import h5py

    try:
        with h5py.File(stream, "r") as file:
            unfolded = sum(_size(item) for item in _datasets(file))
    except (RuntimeError, KeyError, TypeError) as damage:  # h5py has no class of its own for it
        raise ValueError(str(damage)) from damage
    check_unfolding(stored, unfolded, "its arrays")


def _size(item: Any) -> int:
    """Return the bytes that an array unfolds to."""
    if item.is_virtual or item.external:
        raise LimitError(f"want arrays that lie in the file, got '{item.name}' in another one")
    return int(item.nbytes)


def _datasets(file: Any) -> Iterator[Any]:
    """Yield every array once, however many names it has."""
    import h5py

    seen: set[Any] = set()
    todo: list[Any] = [file]
    while todo:
        group = todo.pop()
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise LimitError(f"want arrays that lie in the file, got a link '{name}' to another one")
            item = group.get(name)
            if item is None:  # a soft link that leads nowhere
                continue
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise LimitError(f"want at most {_MOST_OBJECTS} groups and arrays in a file, got more")
            if isinstance(item, h5py.Dataset):
                yield item
            elif isinstance(item, h5py.Group):
                todo.append(item)
