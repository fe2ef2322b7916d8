"""Static quantisation of a TFLite file: ranges of the activations, rounding of the weights, layers left in float.

TensorFlow's calibrator knows smallest and largest value only, and takes them wrongly of a tensor that an operator
overwrites in place. Here it prepares the file, and ranges are measured by ours; its quantiser reads them from the file.
"""

from collections.abc import Callable, Collection, Sequence
from copy import copy
from typing import Any

import numpy as np

from converters.job import tell
from converters.layers import Node
from converters.rounding import F64, LEVELS, fit_rows
from converters.tflite_file import (
    Array,
    Kernel,
    add_constant,
    constant,
    kernels,
    pack,
    runs,
    schema,
    shape_of,
    tensor_name,
    unpack,
)
from edge.bundle import TensorSpec

TAIL = 5e-5
"""Part of the values at each end that `percentile` ranges leave out: the 0.005th and 99.995th percentile."""

EXACT = 4096
"""Weights of a layer in float that stay as they are; more are stored in 8 bits, and turned to float at load."""

_PATCHES_FOR_EACH_WEIGHT = 8
"""Inputs of a layer that are looked at, for each weight of a row: enough to estimate their covariance."""
_PATCHES = (16, 400)
"""Fewest and most of them in one sample."""

Moments = dict[int, tuple[F64, F64]]
"""Number of the weights' buffer -> mean of x x^T and mean of x over the inputs x of a row; by channel if depthwise."""


def measure(
    content: bytes, inputs: Sequence[TensorSpec], samples: Sequence[Sequence[Array]], ranges: str
) -> tuple[bytes, Moments]:
    """Run a calibrated float file on all samples; write the ranges into it and collect the layers' inputs.

    Args:
        content: as TensorFlow's converter gives it with `_experimental_calibrate_only`.
        inputs: of the model.
        samples: one array for each of `inputs`.
        ranges: as `Settings.ranges`.

    Returns:
        The file with ranges, and the moments of its layers' inputs.
    """
    model = unpack(content)
    tensors = model.subgraphs[0].tensors
    watched = [place for place, tensor in enumerate(tensors) if _has_range(tensor)]
    seekers = [_RANGES[ranges](len(samples)) for _ in watched]
    layers = list(kernels(model))
    moments: Moments = {}
    counts: dict[int, int] = {}
    rng = np.random.default_rng(0)
    for number, value in enumerate(runs(content, inputs, samples)):
        tell(number, len(samples), "calibrating")
        for place, seeker in zip(watched, seekers, strict=True):
            seeker.see(value(place))
        for layer in layers:
            key = tensors[layer.operator.inputs[1]].buffer
            seen = _inputs_of(layer, model, value(layer.operator.inputs[0]), len(samples), rng)
            second, mean = moments.get(key, (np.zeros(()), np.zeros(())))
            moments[key] = (second + np.swapaxes(seen, -1, -2) @ seen, mean + seen.sum(axis=-2, dtype=np.float64))
            counts[key] = counts.get(key, 0) + seen.shape[-2]
    for place, seeker in zip(watched, seekers, strict=True):
        lowest, highest = seeker.found()
        tensors[place].quantization.min = np.array([lowest], np.float32)
        tensors[place].quantization.max = np.array([highest], np.float32)
    return pack(model), {key: (a / counts[key], b / counts[key]) for key, (a, b) in moments.items()}


def fit_weights(content: bytes, moments: Moments, exact: Collection[str] = ()) -> bytes:
    """Round the weights of a float file to 8 bits, as `converters.rounding` does, and correct the biases.

    Args:
        content: a float file.
        moments: from `measure`, of the same file.
        exact: names of layers that stay in float; the small ones of them keep their weights.
    """
    model = unpack(content)
    layers = list(kernels(model))
    tensors = model.subgraphs[0].tensors
    shifts: dict[int, F64] = {}
    for number, layer in enumerate(layers):
        tell(number, len(layers), "rounding weights")
        index = layer.operator.inputs[1]
        key, weights = tensors[index].buffer, constant(model, index)
        assert weights is not None, "kernels() yields those with constant weights"
        if key not in moments or (layer.name in exact and weights.size <= EXACT):
            continue
        if key not in shifts:
            rounded, shifts[key] = _fit(layer, weights, *moments[key])
            model.buffers[key].data = np.frombuffer(rounded.astype(np.float32).tobytes(), np.uint8)
        _shift_bias(model, layer.operator, shifts[key])
    return pack(model)


def put_weights(dynamic: bytes, fitted: bytes) -> bytes:
    """Put fitted weights and biases into a dynamic-range file, whose own weights were rounded one by one.

    Args:
        dynamic: as TensorFlow's converter gives it.
        fitted: from `fit_weights`, of the same model.
    """
    source, model = unpack(fitted), unpack(dynamic)
    layers = {layer.name: layer for layer in kernels(source)}
    tensors, int8 = model.subgraphs[0].tensors, schema().TensorType.INT8
    for operator in model.subgraphs[0].operators:
        layer = layers.get(tensor_name(model, operator.outputs[0]))
        if layer is None or tensors[operator.inputs[1]].type != int8:
            continue
        stored = tensors[operator.inputs[1]]
        weights = constant(source, layer.operator.inputs[1])
        if weights is None or weights.shape != shape_of(stored):
            continue
        scale = np.asarray(stored.quantization.scale, np.float32)
        axis = int(stored.quantization.quantizedDimension) if len(scale) > 1 else 0
        along = scale.reshape([-1 if n == axis else 1 for n in range(weights.ndim)])
        stored.buffer = add_constant(model, np.clip(np.rint(weights / along), -LEVELS, LEVELS).astype(np.int8))
        bias = constant(source, layer.operator.inputs[2]) if len(layer.operator.inputs) > 2 else None
        if bias is not None and len(operator.inputs) > 2:  # -1 there: none yet, and the fitted weights want one
            own = copy(source.subgraphs[0].tensors[layer.operator.inputs[2]])
            own.quantization, own.buffer = None, add_constant(model, bias)
            tensors.append(own)
            operator.inputs = [*operator.inputs[:2], len(tensors) - 1, *operator.inputs[3:]]
    return pack(_without_unused(model))


def quantize(content: bytes, float_layers: Sequence[str]) -> bytes:
    """Let TensorFlow quantise a file with ranges to int8.

    Args:
        content: from `measure` or `fit_weights`.
        float_layers: names of the layers that stay in float.
    """
    from tensorflow.lite.python.convert import mlir_quantize

    return bytes(mlir_quantize(content, denylisted_nodes=list(float_layers) or None))


def nodes(content: bytes) -> list[Node]:
    """List a file's operators in order, named by their first outputs as TensorFlow's quantiser does."""
    model = unpack(content)
    weighted = {layer.place for layer in kernels(model)}
    return [
        Node(
            tensor_name(model, operator.outputs[0]),
            tuple(int(index) for index in operator.inputs),
            tuple(int(index) for index in operator.outputs),
            place in weighted,
        )
        for place, operator in enumerate(model.subgraphs[0].operators)
    ]


def _fit(layer: Kernel, weights: Array, second: F64, mean: F64) -> tuple[Array, F64]:
    """Round one layer; return the weights in their own shape, and the shift of its bias."""
    wide = weights.astype(np.float64)
    if layer.op == "DEPTHWISE_CONV_2D":
        rows = wide.reshape(-1, wide.shape[3]).T
        each = len(rows) // len(mean)  # output channels of one input channel
        fitted = [fit_rows(row[None], second[n // each], mean[n // each]) for n, row in enumerate(rows)]
        rounded = np.concatenate([row for row, _ in fitted]).T.reshape(wide.shape)
        return rounded, np.concatenate([shift for _, shift in fitted])
    rounded, shift = fit_rows(wide.reshape(len(wide), -1), second, mean)
    return rounded.reshape(wide.shape), shift


def _shift_bias(model: Any, operator: Any, shift: F64) -> None:
    """Give an operator a bias of its own, moved; one without any is left alone."""
    if len(operator.inputs) < 3:
        return
    bias = constant(model, operator.inputs[2])
    if bias is None:
        return
    tensors = model.subgraphs[0].tensors
    own = schema().TensorT()
    own.__dict__.update(tensors[operator.inputs[2]].__dict__)
    own.name = own.name + f"_shifted_{len(tensors)}".encode()
    own.buffer = add_constant(model, (bias + shift).astype(np.float32))
    tensors.append(own)
    operator.inputs = [*operator.inputs[:2], len(tensors) - 1, *operator.inputs[3:]]


def store_in_8_bits(content: bytes) -> bytes:
    """Store the large weights of layers that stayed in float as int8, with an operator that turns them to float."""
    model = unpack(content)
    graph, types = model.subgraphs[0], schema().TensorType
    made: dict[int, Any] = {}
    for layer in kernels(model):
        index = layer.operator.inputs[1]
        weights = constant(model, index)
        if index in made or weights is None or weights.size <= EXACT:
            continue
        axis = 3 if layer.op == "DEPTHWISE_CONV_2D" else 0
        others = tuple(n for n in range(weights.ndim) if n != axis)
        scale = np.abs(weights).max(axis=others) / np.float32(LEVELS)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        along = scale.reshape([-1 if n == axis else 1 for n in range(weights.ndim)])
        stored = schema().TensorT()
        stored.shape, stored.type = list(shape_of(graph.tensors[index])), types.INT8
        stored.name = graph.tensors[index].name + b"_int8"
        stored.buffer = add_constant(model, np.clip(np.rint(weights / along), -LEVELS, LEVELS).astype(np.int8))
        stored.quantization = schema().QuantizationParametersT()
        stored.quantization.scale = scale
        stored.quantization.zeroPoint = np.zeros(len(scale), np.int64)
        stored.quantization.quantizedDimension = axis
        graph.tensors.append(stored)
        graph.tensors[index].buffer = 0  # by convention the empty one
        made[index] = _dequantize(model, len(graph.tensors) - 1, index)
    graph.operators = [*made.values(), *graph.operators]
    return pack(_without_unused(model)) if made else content


def _dequantize(model: Any, source: int, target: int) -> Any:
    """Make an operator that turns one tensor into float."""
    code = schema().BuiltinOperator.DEQUANTIZE
    kinds = op_codes(model)
    if code not in kinds:
        kind = schema().OperatorCodeT()
        kind.builtinCode, kind.deprecatedBuiltinCode, kind.version = code, code, _DEQUANTIZE_BY_CHANNEL
        model.operatorCodes.append(kind)
    place = op_codes(model).index(code)
    model.operatorCodes[place].version = max(int(model.operatorCodes[place].version), _DEQUANTIZE_BY_CHANNEL)
    operator = schema().OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = place, [source], [target]
    return operator


_DEQUANTIZE_BY_CHANNEL = 5
"""Version of the operator that knows a scale for each channel."""


def op_codes(model: Any) -> list[int]:
    """List the numbers of the kinds of operators that a file names."""
    return [max(int(kind.builtinCode), int(kind.deprecatedBuiltinCode)) for kind in model.operatorCodes]


def _without_unused(model: Any) -> Any:
    """Empty the buffers that no tensor needs any more."""
    used = {int(tensor.buffer) for graph in model.subgraphs for tensor in graph.tensors}
    used |= {int(entry.buffer) for entry in model.metadata or ()}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            buffer.data = None
    return model


def _has_range(tensor: Any) -> bool:
    """Tell whether the calibrator watched a tensor."""
    known = tensor.quantization
    return known is not None and known.min is not None and len(known.min) == 1


def _inputs_of(layer: Kernel, model: Any, value: Array, samples: int, rng: np.random.Generator) -> Array:
    """Take some of the inputs that a layer's rows are multiplied with: (N, K), or (C, N, K) if it is depthwise."""
    shape = shape_of(model.subgraphs[0].tensors[layer.operator.inputs[1]])
    if layer.op == "FULLY_CONNECTED":
        return value.reshape(-1, shape[1]).astype(np.float32)
    rows, columns = shape[1:3]
    width = rows * columns * (1 if layer.op == "DEPTHWISE_CONV_2D" else shape[3])
    wanted = int(np.clip(-(-_PATCHES_FOR_EACH_WEIGHT * width // samples), *_PATCHES))
    patches = _patches(value, (rows, columns), layer.operator.builtinOptions, wanted, rng)
    if layer.op == "DEPTHWISE_CONV_2D":
        return np.ascontiguousarray(patches.transpose(2, 0, 1))
    return patches.reshape(len(patches), -1)


def _patches(value: Array, size: tuple[int, int], how: Any, wanted: int, rng: np.random.Generator) -> Array:
    """Cut what a convolution sees at `wanted` random places: (N, rows * columns, channels)."""
    spread = (int(how.dilationHFactor or 1), int(how.dilationWFactor or 1))
    step = (int(how.strideH), int(how.strideW))
    reach = [(n - 1) * d + 1 for n, d in zip(size, spread, strict=True)]
    edge = value.shape[1:3]
    if how.padding == schema().Padding.SAME:
        places = [-(-length // s) for length, s in zip(edge, step, strict=True)]
        border = [max((p - 1) * s + r - n, 0) for p, s, r, n in zip(places, step, reach, edge, strict=True)]
        value = np.pad(value, ((0, 0), *((b // 2, b - b // 2) for b in border), (0, 0)))
    else:
        places = [(n - r) // s + 1 for n, s, r in zip(edge, step, reach, strict=True)]
    chosen = rng.choice(places[0] * places[1], min(wanted, places[0] * places[1]), replace=False)
    top, left = chosen // places[1] * step[0], chosen % places[1] * step[1]
    taps = [
        value[0, top + row * spread[0], left + column * spread[1]]
        for row in range(size[0])
        for column in range(size[1])
    ]
    return np.stack(taps, axis=1)


class _Extremes:
    """Smallest and largest of all values."""

    def __init__(self, samples: int) -> None:
        del samples
        self._low: list[float] = []
        self._high: list[float] = []

    def see(self, value: Array) -> None:
        """Take one sample's values."""
        self._low.append(float(value.min()))
        self._high.append(float(value.max()))

    def found(self) -> tuple[float, float]:
        """Return the range."""
        return min(self._low), max(self._high)


class _Average(_Extremes):
    """Mean over the samples of the smallest and of the largest value."""

    def found(self) -> tuple[float, float]:
        """Return the range."""
        return float(np.mean(self._low)), float(np.mean(self._high))


class _Percentile:
    """Range that leaves out `TAIL` of all values at each end; only what may lie out there is kept."""

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._low = self._high = np.empty(0, np.float32)

    def see(self, value: Array) -> None:
        """Take one sample's values."""
        kept = int(value.size * self._samples * TAIL) + 1
        low, high = np.append(self._low, value), np.append(self._high, value)
        self._low = np.partition(low, kept - 1)[:kept] if len(low) > kept else low
        self._high = np.partition(high, -kept)[-kept:] if len(high) > kept else high

    def found(self) -> tuple[float, float]:
        """Return the range."""
        return float(self._low.max()), float(self._high.min())


_RANGES: dict[str, Callable[[int], Any]] = {"minmax": _Extremes, "average": _Average, "percentile": _Percentile}
"""`Settings.ranges` -> what finds them."""
