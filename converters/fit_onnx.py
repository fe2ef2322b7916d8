"""Rounding the weights of an ONNX graph to 8 bits so that its sums change least, see `converters.rounding`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.job import tell
from converters.load import Tensor
from converters.rounding import F64, fit_rows

_PATCHES_FOR_EACH_WEIGHT = 8
_PATCHES = (16, 400)
"""As in `converters.static_tflite`."""


def fit_convolutions(
    prepared: Any, names: Sequence[str], samples: Sequence[Sequence[Tensor]], float_layers: Sequence[str], exact: int
) -> None:
    """Round the weights of a prepared graph's convolutions in place, and correct their biases.

    Args:
        prepared: float32 `ModelProto` of `converters.quantize_onnx.prepare`.
        names: of the inputs.
        samples: one array for each of `names`.
        float_layers: nodes that stay in float; those of up to `exact` weights keep them.
        exact: number of weights.
    """
    import onnx

    constants = {tensor.name: tensor for tensor in prepared.graph.initializer}
    users = [name for node in prepared.graph.node for name in node.input]
    layers = []
    for node in prepared.graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants or users.count(node.input[1]) > 1:
            continue
        weights = onnx.numpy_helper.to_array(constants[node.input[1]])
        grouped = _attribute(node, "group", 1)
        depthwise = grouped > 1 and weights.shape[1] == 1
        biased = len(node.input) > 2 and node.input[2] in constants and users.count(node.input[2]) == 1
        kept = node.name in float_layers and weights.size <= exact
        if weights.ndim == 4 and (grouped == 1 or depthwise) and (biased or len(node.input) == 2) and not kept:
            layers.append((node, weights.astype(np.float64), depthwise))
    for number, ((node, weights, depthwise), (second, mean)) in enumerate(
        zip(layers, _moments(prepared, layers, names, samples), strict=True)
    ):
        tell(number, len(layers), "rounding weights")
        rows = weights.reshape(len(weights), -1)
        if depthwise:
            each = len(rows) // len(mean)
            parts = [fit_rows(row[None], second[n // each], mean[n // each]) for n, row in enumerate(rows)]
            rounded, shift = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        else:
            rounded, shift = fit_rows(rows, second, mean)
        fitted = rounded.reshape(weights.shape).astype(np.float32)
        constants[node.input[1]].CopyFrom(onnx.numpy_helper.from_array(fitted, node.input[1]))
        if len(node.input) == 2:
            node.input.append(f"{node.name}_bias")
            bias = shift.astype(np.float32)
            prepared.graph.initializer.append(onnx.numpy_helper.from_array(bias, node.input[2]))
        else:
            bias = (onnx.numpy_helper.to_array(constants[node.input[2]]) + shift).astype(np.float32)
            constants[node.input[2]].CopyFrom(onnx.numpy_helper.from_array(bias, node.input[2]))


def _moments(
    prepared: Any, layers: Sequence[tuple[Any, F64, bool]], names: Sequence[str], samples: Sequence[Sequence[Tensor]]
) -> list[tuple[F64, F64]]:
    """Return for each layer the mean of x x^T and of x over its inputs x; by channel if it is depthwise."""
    import onnxruntime as ort

    watched = type(prepared)()
    watched.CopyFrom(prepared)
    own = {value.name for value in (*watched.graph.output, *watched.graph.input)}
    for source in sorted({node.input[0] for node, _, _ in layers} - own):
        watched.graph.output.add().name = source
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = [value.name for value in session.get_outputs()]
    rng = np.random.default_rng(0)
    sums: list[tuple[F64, F64]] = [(np.zeros(()), np.zeros(())) for _ in layers]
    counts = [0] * len(layers)
    for number, sample in enumerate(samples):
        tell(number, len(samples), "measuring layers")
        values = dict(zip(names, sample, strict=True))
        values.update(zip(outputs, session.run(outputs, dict(values)), strict=True))
        for place, (node, weights, depthwise) in enumerate(layers):
            width = int(np.prod(weights.shape[1:]))
            wanted = int(np.clip(-(-_PATCHES_FOR_EACH_WEIGHT * width // len(samples)), *_PATCHES))
            seen = _patches(values[node.input[0]], node, weights.shape[2:], wanted, rng)
            seen = seen.transpose(1, 0, 2) if depthwise else seen.reshape(len(seen), -1)
            second, mean = sums[place]
            sums[place] = (
                second + np.swapaxes(seen, -1, -2) @ seen,
                mean + seen.sum(axis=-2, dtype=np.float64),
            )
            counts[place] += seen.shape[-2]
    return [(second / count, mean / count) for (second, mean), count in zip(sums, counts, strict=True)]


def _patches(
    value: Tensor, node: Any, size: tuple[int, ...], wanted: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cut what a convolution sees at `wanted` random places: (N, channels, rows * columns)."""
    step, spread = _attribute(node, "strides", [1, 1]), _attribute(node, "dilations", [1, 1])
    reach = [(n - 1) * d + 1 for n, d in zip(size, spread, strict=True)]
    edge, padding = value.shape[2:], _attribute(node, "auto_pad", b"NOTSET")
    if padding in (b"SAME_UPPER", b"SAME_LOWER"):
        extra = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(edge, step, reach, strict=True)]
        low = [(e + 1) // 2 if padding == b"SAME_LOWER" else e // 2 for e in extra]
        border = [(a, e - a) for a, e in zip(low, extra, strict=True)]
    else:
        pads = _attribute(node, "pads", [0, 0, 0, 0])
        border = [(pads[0], pads[2]), (pads[1], pads[3])]
    value = np.pad(value, ((0, 0), (0, 0), *border))
    places = [(n - r) // s + 1 for n, r, s in zip(value.shape[2:], reach, step, strict=True)]
    chosen = rng.choice(places[0] * places[1], min(wanted, places[0] * places[1]), replace=False)
    top, left = chosen // places[1] * step[0], chosen % places[1] * step[1]
    taps = [
        value[0][:, top + row * spread[0], left + column * spread[1]].T
        for row in range(size[0])
        for column in range(size[1])
    ]
    return np.stack(taps, axis=2)


def _attribute(node: Any, name: str, otherwise: Any) -> Any:
    import onnx

    found = [attribute for attribute in node.attribute if attribute.name == name]
    return onnx.helper.get_attribute_value(found[0]) if found else otherwise
