"""What a job hands back, written so that reading it runs nothing.

A job may have been taken over by the file that it opened. So its answer is no pickle: it is plain values, arrays as
type, shape and bytes, and objects as the name of a class and its fields. The reader makes objects of those classes
alone that the answer is said to consist of: dataclasses and structs, which do nothing when they are made.
"""

import dataclasses
import stat
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import msgspec
import numpy as np

from converters.modelfile import ConversionError

_PLAIN = (type(None), bool, int, float, str, bytes)
_NUMBERS = "biufc"
"""Kinds of numpy's types that may be in an array; never objects."""


def pack(value: Any) -> bytes:
    """Write a value.

    Raises:
        TypeError: something in it is neither plain, nor an array, a path, a dataclass or a struct.
    """
    return msgspec.msgpack.encode(_plain(value))


def unpack(data: bytes, kinds: Any) -> Any:
    """Read what `pack` wrote, or what claims to be that.

    Args:
        data: from a job.
        kinds: a type, as `tuple[Finding, ...]`, or several; only the classes that it names, and those of their
            fields, are made.

    Raises:
        ConversionError: it is something else.
    """
    try:
        return _Reader(kinds).read(msgspec.msgpack.decode(data))
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError) as error:
        raise misbehaved(_words(kinds), f"something else ({type(error).__name__})") from error


def misbehaved(want: str, got: str) -> ConversionError:
    """Return the error for an answer that no job of ours gives."""
    return ConversionError(
        f"a job's answer: want {want}, got {got}; the model file made the converter misbehave, so do not use it"
    )


def classes_of(kinds: Any) -> set[type]:
    """List the dataclasses and structs that a type consists of, those of their fields included."""
    found: set[type] = set()
    todo = [kinds]
    while todo:
        kind = todo.pop()
        todo += kind if isinstance(kind, tuple) else typing.get_args(kind)
        if isinstance(kind, type) and kind not in found and _is_record(kind):
            found.add(kind)
            todo += typing.get_type_hints(kind).values()
    return found


def regular_files(folder: Path) -> None:
    """Check that a job left nothing but files and folders: what reads them must not be led elsewhere, or wait.

    Raises:
        ConversionError: there is a link, a pipe, a socket or a device, or a file with a second name elsewhere.
    """
    for path, found in _everything(folder):
        if not stat.S_ISDIR(found.st_mode) and not (stat.S_ISREG(found.st_mode) and found.st_nlink == 1):
            raise misbehaved("plain files", f"a link, a pipe or a device named '{path.name}'")


def _everything(folder: Path) -> Iterator[tuple[Path, Any]]:
    yield folder, folder.lstat()
    if not folder.is_symlink():
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                yield from _everything(path)
            else:
                yield path, path.lstat()


def _plain(value: Any) -> Any:
    """Turn a value into what msgpack has; whatever it lacks becomes a map of one key that says what it is."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [_plain(each) for each in value]}
    if isinstance(value, set | frozenset):
        return {"set": [_plain(each) for each in sorted(value)]}
    if isinstance(value, Mapping):
        return {"map": [[_plain(key), _plain(each)] for key, each in value.items()]}
    if isinstance(value, PurePath):
        return {"path": str(value)}
    if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        return {"array": [value.dtype.str, list(value.shape), value.tobytes()]}
    if _is_record(type(value)):
        fields = {name: _plain(getattr(value, name)) for name in _fields(type(value))}
        return {"object": [_name(type(value)), fields]}
    raise TypeError(f"{type(value).__name__} cannot be handed back by a job")


class _Reader:
    """Makes a value of plain ones; raises some of the errors that `unpack` names."""

    def __init__(self, kinds: Any) -> None:
        self._classes = {_name(kind): kind for kind in classes_of(kinds)}

    def read(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.read(each) for each in value]
        if not isinstance(value, dict):
            return value
        ((what, held),) = value.items()
        if what == "tuple":
            return tuple(self.read(each) for each in held)
        if what == "set":
            return {self.read(each) for each in held}
        if what == "map":
            return {self.read(key): self.read(each) for key, each in held}
        if what == "path":
            return Path(held)
        if what == "array":
            return _array(*held)
        if what == "object":
            kind = self._classes[held[0]]
            return kind(**{name: self.read(held[1][name]) for name in _fields(kind)})
        raise ValueError(what)


def _array(dtype: str, shape: list[int], data: bytes) -> Any:
    kind = np.dtype(dtype)
    if kind.kind not in _NUMBERS:
        raise TypeError(dtype)
    return np.frombuffer(data, kind).reshape(shape).copy()


def _is_record(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)


def _fields(kind: type) -> list[str]:
    """List the fields that are handed over; a private one is the object's own affair."""
    if issubclass(kind, msgspec.Struct):
        return list(kind.__struct_fields__)
    names = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return [name for name in names if not name.startswith("_")]


def _name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _words(kinds: Any) -> str:
    names = sorted(kind.__name__ for kind in classes_of(kinds))
    return ", ".join(names[:4]) or "plain values"
