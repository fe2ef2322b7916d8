"""The inside of a TFLite file: its operators, constants and ranges, and runs of it that show every tensor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundle import TensorSpec

Array = NDArray[Any]

_IDENTIFIER = b"TFL3"
_SIGNATURE = "serving_default"


@dataclass(frozen=True, slots=True)
class Kernel:
    """An operator with constant weights.

    Attributes:
        place: of the operator in the graph.
        op: kind of operator: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED".
        operator: an `OperatorT` of the schema.
        name: of its output, by which TensorFlow's quantiser knows the layer.
    """

    place: int
    op: str
    operator: Any
    name: str


def schema() -> Any:
    """Return the module of the file format's classes."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def unpack(content: bytes) -> Any:
    """Return a file as a `ModelT`, whose fields can be changed."""
    return schema().ModelT.InitFromPackedBuf(content, 0)


def pack(model: Any) -> bytes:
    """Return the bytes of a `ModelT`."""
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def op_names(model: Any) -> list[str]:
    """List the kinds of the operators of the main graph: "CONV_2D"."""
    words = {value: name for name, value in vars(schema().BuiltinOperator).items() if isinstance(value, int)}
    codes = [max(int(code.builtinCode), int(code.deprecatedBuiltinCode)) for code in model.operatorCodes]
    return [words.get(codes[op.opcodeIndex], "CUSTOM") for op in model.subgraphs[0].operators]


def tensor_name(model: Any, index: int) -> str:
    """Return the name of a tensor of the main graph."""
    return str(model.subgraphs[0].tensors[index].name.decode())


def kernels(model: Any) -> Iterator[Kernel]:
    """Yield the operators whose weights are constants of float32."""
    tensors = model.subgraphs[0].tensors
    for place, (op, operator) in enumerate(zip(op_names(model), model.subgraphs[0].operators, strict=True)):
        if op not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        weights = tensors[operator.inputs[1]]
        if weights.type == schema().TensorType.FLOAT32 and constant(model, operator.inputs[1]) is not None:
            yield Kernel(place, op, operator, tensor_name(model, operator.outputs[0]))


def constant(model: Any, index: int) -> Array | None:
    """Return a constant float32 tensor of the main graph; None for one that is not constant, or left out (-1)."""
    if index < 0:
        return None
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(shape_of(tensor))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a `TensorT`."""
    return tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()


def add_constant(model: Any, value: Array) -> int:
    """Append a buffer; return its number."""
    buffer = schema().BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def runs(content: bytes, inputs: Sequence[TensorSpec], samples: Sequence[Sequence[Array]]) -> Iterator[Any]:
    """Run a file on each sample and yield a function that returns any tensor by its number.

    Args:
        content: the file, in float or integer.
        inputs: found by name in the file's signature.
        samples: one array for each of `inputs`.
    """
    from ai_edge_litert.interpreter import Interpreter

    # With XNNPACK, which is many times faster than the plain kernels and shows its tensors as well. One thread: the
    # order of sums, and so the last bit of a range, must not depend on the machine's load.
    interpreter = Interpreter(model_content=content, experimental_preserve_all_tensors=True, num_threads=1)
    interpreter.allocate_tensors()
    details = interpreter.get_signature_runner(_SIGNATURE).get_input_details()
    places = [int(details[spec.name]["index"]) for spec in inputs]
    for sample in samples:
        for place, value in zip(places, sample, strict=True):
            interpreter.set_tensor(place, value)
        interpreter.invoke()
        yield interpreter.get_tensor
