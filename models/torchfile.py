"""Read a torch state dictionary without torch.

Files that `torch.save` wrote before version 1.6 are five pickles (a magic number, the protocol, facts about the
machine, the dictionary, the keys of its storages) followed by the numbers of each storage. Pickles can run code and
claim any amount of memory, so each is first read as data: only the opcodes and the few names that a state dictionary
needs are let through.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError
from edge.limits import read_file

_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of such a file; torch/serialization.py, `MAGIC_NUMBER`."""

_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}
"""Kinds of storage a state dictionary of a float network holds -> number format."""

_OPCODES = frozenset(
    (
        *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "GLOBAL", "REDUCE", "BUILD", "BINPERSID"),
        *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE"),
        *("TUPLE1", "TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    )
)
"""What protocol 2 of pickle writes for a state dictionary."""

_DAMAGE = (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError)


def read_state_dict(path: Path) -> "OrderedDict[str, NDArray[Any]]":
    """Read a `.pt` or `.pth` file in torch's old format.

    Args:
        path: the file.

    Returns:
        Name of the parameter -> array float32 or int64, in the file's order.

    Raises:
        BundleError: the file is missing, damaged, of torch's new format, or asks for names that a state
            dictionary has no use for.
    """
    try:
        data = read_file(path)
        return _read(io.BytesIO(data), len(data))
    except OSError as error:
        raise BundleError(f"{path.name}: want a readable file, got {error.strerror}; fetch it again") from error
    except _DAMAGE as error:
        raise BundleError(
            f"{path.name}: want a torch state dictionary in the format before 1.6, got {error}; fetch it again"
        ) from error


@dataclass
class _Storage:
    """A run of numbers that tensors are views of; filled in after the dictionary was read."""

    dtype: str
    count: int
    values: NDArray[Any] | None = None


@dataclass(frozen=True)
class _View:
    """A tensor: where in a storage its numbers lie."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """Return the numbers as a contiguous array of the tensor's shape."""
        values = self.storage.values
        contiguous = tuple(int(np.prod(self.shape[axis + 1 :], dtype=np.int64)) for axis in range(len(self.shape)))
        count = int(np.prod(self.shape, dtype=np.int64))
        if values is None or self.stride != contiguous or not 0 <= self.offset <= self.offset + count <= len(values):
            raise ValueError(f"a tensor of shape {self.shape} that does not lie in its storage in order")
        return values[self.offset : self.offset + count].reshape(self.shape).copy()


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, stride: Any, *_: Any) -> _View:
    """Stand in for `torch._utils._rebuild_tensor_v2`; gradients and hooks are left out."""
    return _View(storage, int(offset), tuple(shape), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Lets nothing through but dictionaries, numbers and the stand-ins above."""

    def __init__(self, file: io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in for a name, or refuse it."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f"a pickle that asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor refers to by key."""
        kind, storage_type, key, _, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"a reference of kind {kind!r}")
        return self._storages.setdefault(key, _Storage(_STORAGES[storage_type], int(count)))


def _read(file: io.BytesIO, size: int) -> "OrderedDict[str, NDArray[Any]]":
    storages: dict[str, _Storage] = {}

    def load() -> Any:
        _check_opcodes(file)
        return _Unpickler(file, storages).load()

    if load() != _MAGIC:
        _refuse("another first number")
    load()  # protocol version
    load()  # facts about the machine that wrote it; the numbers are little endian, as on every one of them
    views = load()
    for key in load():
        storage = storages[key]
        count = int.from_bytes(file.read(8), "little")
        wanted = np.dtype(storage.dtype).itemsize * count
        if count != storage.count or file.tell() + wanted > size:
            _refuse(f"a storage of {count} numbers where {storage.count} belong")
        storage.values = np.frombuffer(file.read(wanted), storage.dtype)
    return OrderedDict((name, view.array()) for name, view in views.items())


def _check_opcodes(file: io.BytesIO) -> None:
    """Look through the next pickle without running it, and go back to its start.

    Raises:
        UnpicklingError: an opcode that a state dictionary does not need, or a number under which something is to be
            remembered that is larger than what came so far: Python would make room for all numbers below it.
    """
    start = file.tell()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        if opcode.name not in _OPCODES:
            raise pickle.UnpicklingError(f"a pickle with the opcode {opcode.name}")
        if opcode.name.endswith("BINPUT") and isinstance(argument, int) and argument > number:
            raise pickle.UnpicklingError(f"a pickle that remembers something as number {argument}")
    file.seek(start)


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
