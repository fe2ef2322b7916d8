"""The layers of a graph, and which of them a quantiser hurts.

Each is quantised alone, and what the model's outputs lose by it is measured.

A layer's own rounding error says little: in MobileNetV2 leaving the 12 layers with the largest ones in float raised the
mean cosine from .956 to .966, the 12 that cost the outputs most to .993.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.job import tell
from converters.load import ConversionError, Tensor
from converters.recipe import ALL, DECODING, Settings
from converters.record import LayerError
from converters.traced import Traced
from edge.bundle import TensorSpec

_SAMPLES = 8
"""Inputs that each layer is tried with; more did not change the order of the worst."""

_MOVES = frozenset({"RESHAPE", "CAST", "TRANSPOSE", "QUANTIZE", "DEQUANTIZE", "SQUEEZE", "EXPAND_DIMS", "SHAPE"})
"""TFLite operators that move values and do not change them."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of a graph: its name, the tensors it reads and writes, and whether it has weights."""

    name: str
    reads: tuple[Hashable, ...]
    writes: tuple[Hashable, ...]
    weighted: bool


def named(wanted: Sequence[str], nodes: Sequence[Node]) -> tuple[str, ...]:
    """Return the layers that `Settings.float_layers` stands for.

    Args:
        wanted: names, or `ALL` or `DECODING`.
        nodes: of the graph, in the order in which they run.

    Raises:
        ConversionError: a name that the graph does not have.
    """
    names = tuple(node.name for node in nodes)
    if ALL in wanted:
        return names
    if DECODING in wanted:
        return _behind_weights(nodes)
    if unknown := sorted(set(wanted) - set(names)):
        raise ConversionError(f"float layers: want names of this model's layers, got '{unknown[0]}'; measure them anew")
    return tuple(wanted)


def _behind_weights(nodes: Sequence[Node]) -> tuple[str, ...]:
    """List the nodes from which no node with weights is reached any more."""
    upstream: set[Hashable] = set()  # tensors that a node with weights depends on
    found = []
    for node in reversed(nodes):
        if node.weighted or upstream.intersection(node.writes):
            upstream.update(node.reads)
        else:
            found.append(node.name)
    return tuple(reversed(found))


def tflite_layer_errors(
    traced: Traced, samples: Sequence[Sequence[Tensor]], settings: Settings | None = None
) -> tuple[LayerError, ...]:
    """Measure what each layer costs in TFLite int8.

    Args:
        traced: the model.
        samples: one array for each of `traced.inputs`.
        settings: the ranges to quantise with.

    Returns:
        Layers worst first, by the names that `Settings.float_layers` takes. `LayerError.error` is the RMS of the
        change over the RMS of the output, of the output that suffers most.

    Raises:
        ConversionError: the model cannot be quantised.
    """
    from converters.static_tflite import fit_weights, quantize
    from converters.tflite_file import op_names, tensor_name, unpack
    from converters.to_tflite import calibrated

    content, moments = calibrated(traced, samples, (settings or Settings()).ranges)
    content = fit_weights(content, moments)
    model = unpack(content)
    names = [tensor_name(model, operator.outputs[0]) for operator in model.subgraphs[0].operators]
    ops = dict(zip(names, op_names(model), strict=True))
    few = samples[:_SAMPLES]
    wanted = _run_tflite(content, traced, few)
    found = []
    for number, (name, op) in enumerate(ops.items()):
        tell(number, len(ops), "looking for the worst layers")
        if op not in _MOVES:
            alone = quantize(content, [other for other in names if other != name])
            found.append(LayerError(layer=name, op=op, error=_distance(_run_tflite(alone, traced, few), wanted)))
    return tuple(sorted(found, key=lambda layer: (-layer.error, layer.layer)))


def onnx_layer_errors(
    model: bytes, inputs: Sequence[TensorSpec], samples: Sequence[Sequence[Tensor]]
) -> tuple[LayerError, ...]:
    """Measure what each layer costs in ONNX int8.

    Args:
        model: the float32 file.
        inputs: of the model.
        samples: one array for each of `inputs`.

    Returns:
        As `tflite_layer_errors`.

    Raises:
        ConversionError: the model cannot be quantised.
    """
    from converters.fit_onnx import fit_convolutions
    from converters.quantize_onnx import failures, prepare, with_pairs

    few, names = samples[:_SAMPLES], [spec.name for spec in inputs]
    try:
        prepared = prepare(model)
        fit_convolutions(prepared, names, samples, (), 0)
        paired = with_pairs(prepared, "int8", names, samples, Settings())
    except failures() as error:
        raise ConversionError(f"onnxruntime: want an int8 graph, got '{str(error)[:200]}'; take float16") from error
    wanted = _run_onnx(prepared, names, few)
    found = []
    for number, node in enumerate(prepared.graph.node):
        tell(number, len(prepared.graph.node), "looking for the worst layers")
        alone = _alone(prepared, paired, node.name)
        if alone is not None:
            error_of = _distance(_run_onnx(alone, names, few), wanted)
            found.append(LayerError(layer=node.name, op=node.op_type, error=error_of))
    return tuple(sorted(found, key=lambda layer: (-layer.error, layer.layer)))


def _alone(prepared: Any, paired: Any, name: str) -> Any | None:
    """Return the float graph with one node quantised: its inputs, weights and outputs; None if it never is."""
    pairs = {node.output[0]: node for node in paired.graph.node if node.op_type in _PAIR}
    made = type(prepared)()
    made.CopyFrom(prepared)
    made.ClearField("opset_import")
    made.opset_import.extend(paired.opset_import)
    known = {tensor.name for tensor in made.graph.initializer}
    made.graph.initializer.extend(tensor for tensor in paired.graph.initializer if tensor.name not in known)
    place = [node.name for node in made.graph.node].index(name)
    node = made.graph.node[place]
    before: list[Any] = []
    after: list[Any] = []
    for index, source in enumerate(node.input):
        if source + _SUFFIX in pairs:
            before += [other for other in _pair(pairs, source + _SUFFIX) if other not in before]  # x * x reads it twice
            node.input[index] = source + _SUFFIX
    for source in node.output:
        if source + _SUFFIX in pairs:
            after += _pair(pairs, source + _SUFFIX)
            for other in made.graph.node[place + 1 :]:
                other.input[:] = [source + _SUFFIX if read == source else read for read in other.input]
    if not before and not after:
        return None
    kept = list(made.graph.node)
    ordered = type(made.graph)()
    ordered.node.extend([*kept[:place], *before, kept[place], *after, *kept[place + 1 :]])
    made.graph.ClearField("node")
    made.graph.node.extend(ordered.node)
    return made


_PAIR = ("QuantizeLinear", "DequantizeLinear")
_SUFFIX = "_DequantizeLinear_Output"
"""How ONNX Runtime's quantiser calls a tensor that went through such a pair."""


def _pair(pairs: dict[str, Any], output: str) -> list[Any]:
    """List the nodes that make a quantised tensor: both of a pair, or the second alone for constants."""
    last = pairs[output]
    first = pairs.get(last.input[0])
    return [last] if first is None else [first, last]


def _distance(got: list[list[Tensor]], wanted: list[list[Tensor]]) -> float:
    """Return RMS of the difference over RMS of what was wanted, over all samples, of the worst output."""
    worst = 0.0
    for a, b in zip(zip(*got, strict=True), zip(*wanted, strict=True), strict=True):
        have, want = np.stack(a).astype(np.float64), np.stack(b).astype(np.float64)
        size = float(np.sqrt(np.mean(want**2)))
        worst = max(worst, float(np.sqrt(np.mean((have - want) ** 2))) / (size or 1.0))
    return worst


def _run_tflite(content: bytes, traced: Traced, samples: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    answers = []
    for sample in samples:
        fed = {spec.name: value for spec, value in zip(traced.inputs, sample, strict=True)}
        outputs = runner(**fed)
        answers.append([outputs[spec.name].copy() for spec in traced.outputs])
    return answers


def _run_onnx(model: Any, names: Sequence[str], samples: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Run a file with nothing optimised: x86 chips without VNNI saturate in the fused int8 kernels."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [session.run(None, dict(zip(names, sample, strict=True))) for sample in samples]
