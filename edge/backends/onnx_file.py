"""What an ONNX file would read or run from outside its bundle, found without any ONNX package.

An initializer may keep its values in another file, which ONNX Runtime opens by the path that is written there; an
`EPContext` node names a compiled engine. Protocol buffers are walked by field number (onnx.proto3 of ONNX 1.16).
"""

from collections.abc import Iterator
from pathlib import Path

from edge.limits import LimitError, open_file

MARKS = (b"location", b"EPContext")
"""What must occur in a file that refers to another one: the key of an external tensor's place, the operator's name."""

_DEPTH = 64
"""Graphs inside graphs; ONNX Runtime itself gives up at a few levels."""

_GRAPH = {
    1: {4: "operator", 5: {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}},
    5: "tensor",
    15: "sparse",
}
"""GraphProto: nodes with their attributes, initializers, sparse initializers."""
_FUNCTION = {7: _GRAPH[1], 11: {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"}}
_MODEL = {7: "graph", 20: {1: "graph", 2: "graph"}, 25: _FUNCTION}
_NAMED = {"graph": _GRAPH, "sparse": {1: "tensor", 2: "tensor"}}

_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def check_onnx_file(path: Path) -> None:
    """Make sure that an ONNX file holds all that it needs.

    Raises:
        LimitError: it refers to another file, or is no protocol buffer.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        data = file.read()
    if any(mark in data for mark in MARKS):  # most files have none, and a search takes milliseconds
        _walk(memoryview(data), _MODEL, 0)


def _walk(message: memoryview, fields: object, depth: int) -> None:
    """Look at one message; `fields` says which of its fields are messages to look into."""
    if depth > _DEPTH:
        raise LimitError(f"want graphs at most {_DEPTH} deep, got more")
    if fields == "tensor":
        _check_tensor(message)
        return
    known = _NAMED.get(fields, {}) if isinstance(fields, str) else fields
    assert isinstance(known, dict), "every message is a table of fields or the name of one"
    for number, value in _fields(message):
        inner = known.get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == "operator":
            if bytes(value) == b"EPContext":
                raise LimitError("want a model of its own, got one that loads a compiled engine (EPContext)")
        else:
            _walk(value, inner, depth + 1)


def _check_tensor(message: memoryview) -> None:
    for number, value in _fields(message):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value != 0):
            raise LimitError("want all weights inside the file, got some that lie in another file (external data)")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield the fields of a message: number, and a whole number or the bytes of a text or message."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind, number = tag & 7, tag >> 3
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise LimitError(f"want a protocol buffer, got a field of kind {kind}")
        if place + length > len(message):
            raise LimitError("want a whole protocol buffer, got one that was cut")
        if kind == 2:
            yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(message) and shift < 70:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise LimitError("want a whole protocol buffer, got one that was cut")
