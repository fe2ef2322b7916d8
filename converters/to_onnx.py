"""A traced model -> the bytes of an ONNX file, by tf2onnx from the frozen graph; int8 by ONNX Runtime's quantiser.

tf2onnx numbers its nodes anew in every process. All names but those of inputs and outputs are replaced here by
their place in one fixed walk of the graph, so that the same model gives the same bytes.
"""

import functools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from converters.load import ConversionError, Tensor, Traced

OPSET = 17
"""Old enough for the onnxruntime of JetPack 5 and 6, new enough for every operator we use."""

IR_VERSION = 8
"""The file format that belongs to opset 17."""

_DOMAINS = ("", "ai.onnx")


@functools.lru_cache(maxsize=1)
def to_onnx(traced: Traced) -> bytes:
    """Pack a model in float32; the last one made is remembered, as the int8 variant starts from it.

    Raises:
        ConversionError: the graph has an operator without an ONNX counterpart; tf2onnx itself only logs that.
    """
    import onnx
    import tf2onnx

    inputs = [tensor.name for tensor in traced.frozen.inputs]
    outputs = [tensor.name for tensor in traced.frozen.outputs]
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            traced.frozen.graph.as_graph_def(), input_names=inputs, output_names=outputs, opset=OPSET
        )
        names = dict(zip(inputs, (spec.name for spec in traced.inputs), strict=True))
        names.update(zip(outputs, sorted(spec.name for spec in traced.outputs), strict=True))
        model = canonical(model, names)
        _check(model)
    except (ValueError, RuntimeError, TypeError, KeyError, onnx.checker.ValidationError) as error:
        raise ConversionError(f"tf2onnx: want a valid ONNX graph, got '{_first_line(error)}'") from error
    return bytes(model.SerializeToString(deterministic=True))


def quantize(model: bytes, input_name: str, calibration: Sequence[Tensor]) -> bytes:
    """Make the int8 variant: static QDQ, weights and activations signed, weights by channel, ranges by min and max.

    Signed activations are what ONNX Runtime's Arm kernels want, and the only kind its GPU providers take.

    Args:
        model: the float32 file.
        input_name: of the image.
        calibration: image tensors, as the device will make them.

    Raises:
        ConversionError: the quantiser cannot do it.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, target = (Path(folder) / name for name in ("float.onnx", "prepared.onnx", "int8.onnx"))
        source.write_bytes(model)
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Reader(input_name, calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            quantized = onnx.load(target)
            _keep_needed_opsets(quantized)
            _check(quantized)
        except (ValueError, RuntimeError, TypeError, KeyError, onnx.checker.ValidationError) as error:
            raise ConversionError(f"onnxruntime: want an int8 graph, got '{_first_line(error)}'") from error
    return bytes(quantized.SerializeToString(deterministic=True))


def canonical(model: Any, names: dict[str, str]) -> Any:
    """Rename inputs and outputs, and give everything else a name and place that depend on the graph alone.

    Args:
        model: an `onnx.ModelProto`; not changed.
        names: old -> new name of the graph's inputs and outputs.
    """
    import onnx

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    walked = list(_walk(graph))
    renamed = dict(names)
    for number, node in enumerate(walked):
        for place, name in enumerate(node.output):
            if name:
                renamed.setdefault(name, f"n{number}_{place}")
    used: list[str] = []
    for name in (name for node in walked for name in _reads(node)):
        if name in constants and name not in renamed:
            renamed[name] = f"c{len(used)}"
            used.append(name)
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.ir_version = IR_VERSION
    for field in ("node", "initializer", "value_info"):
        made.graph.ClearField(field)
    made.graph.name = "model"
    for number, node in enumerate(walked):
        _rename_node(made.graph.node.add(), node, f"n{number}", renamed)
    for name in used:
        made.graph.initializer.add().CopyFrom(constants[name])
        made.graph.initializer[-1].name = renamed[name]
    for value in (*made.graph.input, *made.graph.output):
        value.name = renamed[value.name]
    _keep_needed_opsets(made)
    return made


def _walk(graph: Any) -> Iterator[Any]:
    """Yield the nodes that the outputs need, each after those it reads, in an order that names cannot change."""
    makers = {name: node for node in graph.node for name in node.output if name}
    done: set[str] = set()
    stack = [makers[value.name] for value in reversed(graph.output) if value.name in makers]
    while stack:
        node = stack[-1]
        missing = [makers[name] for name in _reads(node) if name in makers and name not in done]
        if missing:
            stack.extend(reversed(missing))
            continue
        stack.pop()
        if node.output[0] not in done:
            done.update(node.output)
            yield node


def _reads(node: Any) -> Iterator[str]:
    """Yield the names a node takes in, those that its inner graphs take from outside included."""
    yield from (name for name in node.input if name)
    for graph in _inner_graphs(node):
        inside = {name for inner in graph.node for name in inner.output} | {t.name for t in graph.initializer}
        inside |= {value.name for value in graph.input}
        for inner in graph.node:
            yield from (name for name in _reads(inner) if name not in inside)
        yield from (value.name for value in graph.output if value.name not in inside)


def _inner_graphs(node: Any) -> list[Any]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def _rename_node(made: Any, node: Any, name: str, renamed: dict[str, str]) -> None:
    """Copy a node under a new name; inside its inner graphs only what comes from outside is renamed."""
    made.CopyFrom(node)
    made.name = name
    made.ClearField("doc_string")
    for field in (made.input, made.output):
        field[:] = [renamed.get(old, old) for old in field]
    for graph in _inner_graphs(made):
        for number, inner in enumerate(graph.node):
            copied = type(inner)()
            copied.CopyFrom(inner)
            _rename_node(inner, copied, f"{name}_{number}", renamed)
        for value in graph.output:
            value.name = renamed.get(value.name, value.name)


def _keep_needed_opsets(model: Any) -> None:
    """Drop the operator sets that no node uses: an old runtime refuses a file for naming one it does not know."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in _DOMAINS or opset.domain in used]
    copies = [(opset.domain, opset.version) for opset in kept]
    del model.opset_import[:]
    for domain, version in copies:
        model.opset_import.add(domain=domain, version=version)


def _check(model: Any) -> None:
    """Raise ValueError unless the file is valid and has nothing but standard operators of our version."""
    import onnx

    onnx.checker.check_model(model, full_check=True)
    versions = {opset.domain: opset.version for opset in model.opset_import}
    if model.ir_version > IR_VERSION or versions.get("", 0) > OPSET:
        raise ValueError(f"IR {model.ir_version}, opset {versions.get('', 0)}: newer than {IR_VERSION} and {OPSET}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


class _Reader:
    """Hands the calibration tensors to ONNX Runtime, one a call, as its `CalibrationDataReader` does."""

    def __init__(self, name: str, tensors: Sequence[Tensor]) -> None:
        self._feeds = iter([{name: tensor} for tensor in tensors])

    def get_next(self) -> dict[str, Tensor] | None:
        return next(self._feeds, None)
