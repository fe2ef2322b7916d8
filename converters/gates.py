"""What every file must pass before it is run: valid, the expected tensors, built-in operators, a runtime old enough."""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converters.load import ConversionError
from converters.targets import Target
from edge.bundle import Quantization, Runtime, TensorSpec

_MINIMUM_RUNTIME = b"min_runtime_version"
_SIGNATURE = "serving_default"
_ONNX_DOMAINS = ("", "ai.onnx")
_SHOWN = 300

_INTEGERS = ("int8", "uint8", "int16")
_CHANNEL_SCALED_DENSE = "2.17.0"
"""TFLite release that multiplies float activations by Dense weights with a scale for each channel: what TensorFlow
2.21 writes into files that have them. tflite-runtime 2.14 refuses version 12 of the operator, and computes something
else where the file gives an older version, as those of ai-edge-quantizer do (docs/converting.md)."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a model file says of itself.

    Attributes:
        inputs: its inputs in the expected order, with their scales where they are integers.
        outputs: the same of its outputs.
        operators: name -> how many.
        minimum_runtime: oldest TFLite release that can run it; "" = it does not say.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    operators: dict[str, int]
    minimum_runtime: str = ""


def check_file(
    model: bytes, runtime: Runtime, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], target: Target | None
) -> FileFacts:
    """Check a model file without running it.

    Args:
        model: its bytes.
        runtime: which runtime it is for.
        inputs: the tensors that it must take, and no other.
        outputs: the tensors that it must return, and no other.
        target: the board it is for, None = any.

    Raises:
        ConversionError: it is not valid, has other tensors, an operator that no runtime of ours has, or needs a
            newer runtime than the board's; checked in this order.
    """
    if runtime == "tflite":
        return _check_tflite(model, inputs, outputs, target)
    if runtime == "onnx":
        return _check_onnx(model, inputs, outputs, target)
    raise ConversionError(f"runtime '{runtime}': want tflite or onnx, got one that no converter writes; choose one")


def minimum_runtime(model: bytes) -> str:
    """Return the oldest TFLite release that can run a file; "" where it does not say.

    What the file itself says, raised where its weights need more: ai-edge-quantizer copies the figure of the float
    file that it was given.

    Raises:
        ConversionError: it is no TFLite file.
    """
    return _minimum(_open_tflite(model))


def _check_tflite(
    model: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], target: Target | None
) -> FileFacts:
    root = _open_tflite(model)
    found = _signature(root)
    specs = _matching(inputs, found[0], "input", "TFLite"), _matching(outputs, found[1], "output", "TFLite")
    operators = Counter(name for _, name, _ in _operators(root))
    foreign = sorted(name for name in operators if name.startswith("custom "))
    if foreign:
        whose = "TensorFlow's own" if any(name.startswith("custom Flex") for name in foreign) else "custom"
        names = ", ".join(name.removeprefix("custom ") for name in foreign)
        raise ConversionError(
            f"TFLite file: want built-in operators alone, got {whose} {names}, which no runtime of ours has; replace "
            "the layer that needs it, or move its work to the device"
        )
    needed = _minimum(root)
    if target is not None and target.tflite and _version(needed) > _version(target.tflite):
        raise ConversionError(
            f"TFLite file: want one that TFLite {target.tflite} of {target.words} can run, got one that needs "
            f"{needed}; take another variant, or put a newer runtime on the board"
        )
    return FileFacts(*specs, dict(sorted(operators.items())), needed)


def _open_tflite(model: bytes) -> Any:
    """Open a flatbuffer and look at all its parts; the library itself checks nothing."""
    from ai_edge_litert import schema_py_generated as schema

    if model[4:8] != b"TFL3":
        raise ConversionError("TFLite file: want a flatbuffer marked TFL3, got something else; convert it again")
    try:
        root: Any = schema.Model.GetRootAs(model, 0)
        for number in range(root.BuffersLength()):
            buffer = root.Buffers(number)
            if buffer.DataLength():
                buffer.DataAsNumpy()
            if buffer.Offset() + buffer.Size() > len(model):
                raise ValueError("weights that end behind the end of the file")
        for graph, _, operator in _operators(root):
            places = (operator.Inputs, operator.InputsLength()), (operator.Outputs, operator.OutputsLength())
            if any(tensor(i) >= graph.TensorsLength() for tensor, length in places for i in range(length)):
                raise ValueError("an operator on a tensor that is not there")
        for number in range(root.SubgraphsLength()):
            graph = root.Subgraphs(number)
            for place in range(graph.TensorsLength()):
                if graph.Tensors(place).Buffer() >= root.BuffersLength():
                    raise ValueError("a tensor of a buffer that is not there")
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ConversionError(f"TFLite file: want a whole flatbuffer, got '{error}'; convert it again") from error
    return root


def _operators(root: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield the operators of all subgraphs: subgraph, name and operator; a custom one's name begins with "custom "."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = []
    for number in range(root.OperatorCodesLength()):
        code = root.OperatorCodes(number)
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = code.CustomCode()
        codes.append(f"custom {custom.decode()}" if custom else names.get(builtin, f"operator {builtin}"))
    for number in range(root.SubgraphsLength()):
        graph = root.Subgraphs(number)
        for place in range(graph.OperatorsLength()):
            operator = graph.Operators(place)
            yield graph, codes[operator.OpcodeIndex()], operator


def _signature(root: Any) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Return inputs and outputs of the signature by name."""
    for number in range(root.SignatureDefsLength()):
        signature = root.SignatureDefs(number)
        if signature.SignatureKey().decode() == _SIGNATURE:
            graph = root.Subgraphs(signature.SubgraphIndex())
            entries = (
                [signature.Inputs(i) for i in range(signature.InputsLength())],
                [signature.Outputs(i) for i in range(signature.OutputsLength())],
            )
            for kind, count, named in (
                ("input", graph.InputsLength(), entries[0]),
                ("output", graph.OutputsLength(), entries[1]),
            ):
                if count != len(named):
                    raise ConversionError(
                        f"TFLite file: want every {kind} named by the signature, got {count} of which {len(named)} "
                        "are; convert it again"
                    )
            taken, given = (
                {entry.Name().decode(): _tflite_spec(graph.Tensors(entry.TensorIndex()), entry) for entry in side}
                for side in entries
            )
            return taken, given
    raise ConversionError(f"TFLite file: want a signature '{_SIGNATURE}', got none; convert it again")


def _tflite_spec(tensor: Any, entry: Any) -> TensorSpec:
    shape = tuple(int(n) for n in tensor.ShapeAsNumpy()) if tensor.ShapeLength() else ()
    dtype: Any = _tflite_type(tensor)
    scale = tensor.Quantization()
    quantization = None
    if scale is not None and scale.ScaleLength() == 1 and dtype in _INTEGERS:
        quantization = Quantization(scale=float(scale.Scale(0)), zero_point=int(scale.ZeroPoint(0)))
    return TensorSpec(name=entry.Name().decode(), dtype=dtype, shape=shape, quantization=quantization)


def _tflite_type(tensor: Any) -> str:
    from ai_edge_litert import schema_py_generated as schema

    types = {value: name.lower() for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
    return str(types.get(tensor.Type(), f"type {tensor.Type()}"))


def _minimum(root: Any) -> str:
    said = ""
    for number in range(root.MetadataLength()):
        entry = root.Metadata(number)
        if entry.Name() == _MINIMUM_RUNTIME:
            said = bytes(root.Buffers(entry.Buffer()).DataAsNumpy()).rstrip(b"\0").decode()
    if _version(said) < _version(_CHANNEL_SCALED_DENSE) and any(
        name == "FULLY_CONNECTED" and _is_channel_scaled(graph, operator) for graph, name, operator in _operators(root)
    ):
        return _CHANNEL_SCALED_DENSE
    return said


def _is_channel_scaled(graph: Any, operator: Any) -> bool:
    """Tell float activations times integer weights with a scale for each channel."""
    activations, weights = graph.Tensors(operator.Inputs(0)), graph.Tensors(operator.Inputs(1))
    scales = weights.Quantization()
    integer = _tflite_type(weights) in ("int8", "int4")
    return _tflite_type(activations) == "float32" and integer and scales is not None and scales.ScaleLength() > 1


def _check_onnx(
    model: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], target: Target | None
) -> FileFacts:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        loaded = onnx.load_from_string(model)
        onnx.checker.check_model(loaded, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, DecodeError, ValueError) as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConversionError(
            f"ONNX file: want one that the checker accepts, got '{first[:_SHOWN]}'; replace the layer that it names, "
            "or take a TFLite variant"
        ) from error
    graph = loaded.graph
    held = {tensor.name for tensor in graph.initializer}
    taken = {value.name: _onnx_spec(value) for value in graph.input if value.name not in held}
    given = {value.name: _onnx_spec(value) for value in graph.output}
    specs = _matching(inputs, taken, "input", "ONNX"), _matching(outputs, given, "output", "ONNX")
    nodes = [*_nodes(graph), *(node for function in loaded.functions for node in function.node)]
    own = {(function.domain, function.name) for function in loaded.functions}
    foreign = {
        f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in _ONNX_DOMAINS and (n.domain, n.op_type) not in own
    }
    if foreign:
        raise ConversionError(
            f"ONNX file: want standard operators alone, got {', '.join(sorted(foreign))}; replace the layer that needs "
            "it, or take a TFLite variant"
        )
    opset = max((entry.version for entry in loaded.opset_import if entry.domain in _ONNX_DOMAINS), default=0)
    if target is not None:
        for what, got, newest in (("opset", opset, target.opset), ("IR version", loaded.ir_version, target.ir)):
            if newest and got > newest:
                raise ConversionError(
                    f"ONNX file: want {what} {newest} or older for {target.words}, got {got}; take another variant, "
                    "or put a newer onnxruntime on the board"
                )
    return FileFacts(*specs, dict(sorted(Counter(node.op_type for node in nodes).items())))


def _nodes(graph: Any) -> Iterator[Any]:
    """Yield the nodes of a graph and of the graphs inside them: bodies of loops, branches."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)


def _onnx_spec(value: Any) -> TensorSpec:
    from onnx import TensorProto

    kind = value.type.tensor_type
    name = TensorProto.DataType.Name(kind.elem_type).lower()
    dtype: Any = {"float": "float32", "double": "float64"}.get(name, name)
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(int(n.dim_value) for n in kind.shape.dim))


def _matching(
    wanted: Sequence[TensorSpec], found: Mapping[str, TensorSpec], kind: str, file: str
) -> tuple[TensorSpec, ...]:
    """Return what was found in the order of what is wanted; 0 stands for a length that the file leaves open."""
    want, got = ({spec.name: f"{spec.dtype} {spec.shape}" for spec in specs} for specs in (wanted, found.values()))
    if want != got:
        raise ConversionError(f"{file} file: want {kind}s {_words(want)}, got {_words(got)}; convert it again")
    return tuple(found[spec.name] for spec in wanted)


def _words(specs: Mapping[str, str]) -> str:
    return ", ".join(f"'{name}' {words}" for name, words in specs.items()) or "none"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
