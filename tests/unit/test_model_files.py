"""Model files that would read another file, as the device finds them without any ONNX or TensorFlow package."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.onnx_file import check_onnx_file
from edge.backends.tflite_file import MOST_TENSOR_BYTES, check_tensors, check_tflite_file
from edge.errors import LimitError


def varint(number: int) -> bytes:
    packed = bytearray()
    while number > 127:
        packed.append(number & 127 | 128)
        number >>= 7
    return bytes([*packed, number])


def message(**fields: Any) -> bytes:
    """Encode a protocol buffer: f5=b"..." or f14=1, in order; a list repeats a field."""
    packed = b""
    for name, values in fields.items():
        number = int(name[1:])
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                packed += varint(number << 3) + varint(value)
            else:
                packed += varint(number << 3 | 2) + varint(len(value)) + value
    return packed


OUTSIDE = message(f8=b"w", f13=message(f1=b"location", f2=b"../../secret"), f14=1)
INSIDE = message(f8=b"location", f9=b"\0" * 8)
ENTRY = message(f8=b"w", f13=message(f1=b"location", f2=b"x"))


def node(tensor: bytes = b"", graph: bytes = b"", operator: bytes = b"Relu") -> bytes:
    attribute = message(f1=b"a", **({"f5": tensor} if tensor else {}), **({"f6": graph} if graph else {}))
    return message(f1=b"x", f4=operator, f5=attribute)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (message(f1=8, f7=message(f5=INSIDE)), ""),
        (message(f1=8, f7=message(f12=b"documents of the location, and EPContext")), ""),
        (message(f1=8, f7=message(f5=OUTSIDE)), "external data"),
        (message(f1=8, f7=message(f5=[INSIDE, ENTRY])), "external data"),
        (message(f7=message(f1=node(tensor=OUTSIDE))), "external data"),
        (message(f7=message(f1=node(graph=message(f5=OUTSIDE)))), "external data"),
        (message(f7=message(f1=node(graph=message(f1=node(tensor=OUTSIDE))))), "external data"),
        (message(f7=message(f15=message(f1=OUTSIDE))), "external data"),
        (message(f7=message(f15=message(f2=OUTSIDE))), "external data"),
        (message(f25=message(f7=node(tensor=OUTSIDE))), "external data"),
        (message(f20=message(f1=message(f5=OUTSIDE))), "external data"),
        (message(f7=message(f1=node(operator=b"EPContext"))), "EPContext"),
        (message(f7=message(f5=OUTSIDE))[:-1], "cut"),
        (message(f7=b"location" * 3), "kind|cut"),
        (b"", ""),
    ],
)
def test_an_onnx_file_holds_all_that_it_needs(tmp_path: Path, model: bytes, says: str) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model)
    if not says:
        check_onnx_file(file)
        return
    with pytest.raises(LimitError, match=says):
        check_onnx_file(file)


def test_graphs_without_end_are_refused(tmp_path: Path) -> None:
    graph = message(f5=INSIDE)
    for _ in range(200):
        graph = message(f1=node(graph=graph))
    (tmp_path / "model.onnx").write_bytes(message(f7=graph))
    with pytest.raises(LimitError, match="deep"):
        check_onnx_file(tmp_path / "model.onnx")


def test_onnx_itself_writes_what_is_found(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import numpy as np

    weights = onnx.numpy_helper.from_array(np.ones(2000, np.float32), "w")
    value = onnx.helper.make_tensor_value_info("x", 1, [2000])
    result = onnx.helper.make_tensor_value_info("y", 1, [2000])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", [value], [result], [weights])
    model = onnx.helper.make_model(graph)
    onnx.save(model, tmp_path / "one.onnx")
    check_onnx_file(tmp_path / "one.onnx")
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(LimitError, match="external data"):
        check_onnx_file(tmp_path / "two.onnx")


def tflite(**fields: Any) -> bytes:
    """Make a file of an empty model with these fields, by the runtime's own schema."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    flatbuffers = pytest.importorskip("flatbuffers")
    model, builder = schema.ModelT(), flatbuffers.Builder(64)
    for name, (kind, values) in fields.items():
        inner = getattr(schema, kind)()
        for key, value in values.items():
            setattr(inner, key, value)
        setattr(model, name, [inner])
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, ""),
        ({"buffers": ("BufferT", {})}, ""),
        ({"buffers": ("BufferT", {"data": [1, 2, 3]})}, ""),
        ({"buffers": ("BufferT", {"offset": 8, "size": 8})}, ""),
        ({"buffers": ("BufferT", {"offset": 8, "size": 5000})}, "end behind"),
        ({"buffers": ("BufferT", {"offset": 5000, "size": 8})}, "end behind"),
        ({"buffers": ("BufferT", {"offset": 2**63, "size": 2**63})}, "end behind"),
        ({"externalBuffers": ("ExternalBufferT", {})}, "external buffers"),
        ({"externalBufferGroups": ("ExternalBufferGroupT", {"name": "weights.bin"})}, "external buffers"),
    ],
)
def test_a_tflite_file_holds_all_that_it_needs(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite(**fields))
    if not says:
        check_tflite_file(file)
        return
    with pytest.raises(LimitError, match=says):
        check_tflite_file(file)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (b"", "ends too early"),
        (b"\x10\0\0\0TFL4" + bytes(40), "something else"),
        (b"\xff\xff\xff\xffTFL3", "ends too early"),
        (b"\x08\0\0\0TFL3\xff\0\0\0", "begins before"),
    ],
)
def test_what_is_no_tflite_file(tmp_path: Path, model: bytes, says: str) -> None:
    (tmp_path / "model.tflite").write_bytes(model)
    with pytest.raises(LimitError, match=says):
        check_tflite_file(tmp_path / "model.tflite")


def test_every_cut_of_a_file_is_refused_or_harmless(tmp_path: Path) -> None:
    file = tmp_path / "model"
    for check, whole in (
        (check_onnx_file, message(f7=message(f5=OUTSIDE))),
        (check_tflite_file, tflite(buffers=("BufferT", {"data": [1, 2, 3]}))),
    ):
        for length in range(len(whole)):
            file.write_bytes(whole[:length])
            try:
                check(file)
            except LimitError:
                continue


def test_a_fifo_is_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for check in (check_onnx_file, check_tflite_file):
        with pytest.raises(LimitError, match="fifo"):
            check(tmp_path / "fifo")


def test_tensors_that_no_board_could_hold_are_refused_before_they_are_made() -> None:
    def declared(numbers: int) -> list[dict[str, Any]]:
        return [
            {"shape": np.array([], np.int32), "dtype": np.float32},
            {"shape": np.array([1, numbers]), "dtype": np.int8},
        ]

    check_tensors(declared(MOST_TENSOR_BYTES + 7 - 4), file_bytes=7)
    with pytest.raises(LimitError, match="want tensors of at most 1 GB, got"):
        check_tensors(declared(MOST_TENSOR_BYTES + 7 - 3), file_bytes=7)
