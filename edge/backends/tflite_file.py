"""What a TFLite file would read from outside its bundle, found without any TensorFlow package.

Since 2025 the format knows buffers in other files (`external_buffers`), and since 2023 buffers behind the end of the
flatbuffer (`Buffer.offset`). The few tables that say so are read by hand, as the FlatBuffers format lays them out.
"""

import math
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.limits import LimitError, open_file

_IDENTIFIER = b"TFL3"
_BUFFERS, _EXTERNAL_GROUPS, _EXTERNAL_BUFFERS = 4, 8, 9
"""Fields of the table Model."""
_DATA, _OFFSET, _SIZE = 0, 1, 2
"""Fields of the table Buffer."""
_MOST_BUFFERS = 200_000
MOST_TENSOR_BYTES = 1_000_000_000
"""Of all tensors that a file declares, beside its weights: a few bytes can declare gigabytes. The activations of a
detector of 640 x 640 in float come to 300 million, each counted though the runtime reuses most of their memory."""


def check_tflite_file(path: Path) -> None:
    """Make sure that a TFLite file holds all that it needs.

    Raises:
        LimitError: it refers to another file, its weights end behind its end, or it is no TFLite file.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _check(data)
        except (struct.error, ValueError) as error:
            if isinstance(error, LimitError):
                raise
            raise LimitError(f"want a whole TFLite file, got one that ends too early ({error})") from error


def check_tensors(details: Sequence[Mapping[str, Any]], file_bytes: int) -> None:
    """Make sure that a model's tensors fit into a board's memory, before any of them is allocated.

    Args:
        details: of all tensors, as the interpreter's `get_tensor_details` gives them: "shape" and "dtype" are read.
        file_bytes: size of the file, whose weights come on top.

    Raises:
        LimitError: they would take more than `MOST_TENSOR_BYTES`.
    """
    declared = sum(math.prod(one["shape"].tolist()) * np.dtype(one["dtype"]).itemsize for one in details)
    if declared > MOST_TENSOR_BYTES + file_bytes:
        raise LimitError(f"want tensors of at most {MOST_TENSOR_BYTES / 1e9:g} GB, got {declared / 1e9:.1f}")


def _check(data: mmap.mmap) -> None:
    if data[4:8] != _IDENTIFIER:
        raise LimitError("want a TFLite file, got something else")
    model = _offset(data, 0)
    for field in (_EXTERNAL_GROUPS, _EXTERNAL_BUFFERS):
        if next(_vector(data, model, field), None) is not None:
            raise LimitError("want all weights inside the file, got some that lie in another file (external buffers)")
    for buffer in _vector(data, model, _BUFFERS):
        start, size = (_number(data, buffer, field) for field in (_OFFSET, _SIZE))
        place = _field(data, buffer, _DATA)
        if place is not None:
            vector = _offset(data, place)
            start, size = vector + 4, _unsigned(data, vector)
        if start + size > len(data):
            raise LimitError("want all weights inside the file, got some that end behind its end")


def _vector(data: mmap.mmap, table: int, field: int) -> Iterator[int]:
    """Yield the places of the tables of a vector."""
    place = _field(data, table, field)
    if place is None:
        return
    vector = _offset(data, place)
    count = _unsigned(data, vector)
    if count > _MOST_BUFFERS:
        raise LimitError(f"want at most {_MOST_BUFFERS} buffers, got {count}")
    for number in range(count):
        yield _offset(data, vector + 4 + 4 * number)


def _field(data: mmap.mmap, table: int, field: int) -> int | None:
    """Return where a field of a table lies; None where the table leaves it out."""
    rules = table - int(struct.unpack_from("<i", data, table)[0])
    if rules < 0:
        raise LimitError("want a TFLite file, got a table that begins before it")
    size = int(struct.unpack_from("<H", data, rules)[0])
    entry = 4 + 2 * field
    inside = int(struct.unpack_from("<H", data, rules + entry)[0]) if entry + 2 <= size else 0
    return table + inside if inside else None


def _number(data: mmap.mmap, table: int, field: int) -> int:
    place = _field(data, table, field)
    return 0 if place is None else int(struct.unpack_from("<Q", data, place)[0])


def _offset(data: mmap.mmap, place: int) -> int:
    return place + _unsigned(data, place)


def _unsigned(data: mmap.mmap, place: int) -> int:
    return int(struct.unpack_from("<I", data, place)[0])
