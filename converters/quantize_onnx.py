"""A float32 ONNX file -> int8 or float16, by ONNX Runtime's quantiser and onnxconverter-common."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from converters.fit_onnx import fit_convolutions
from converters.load import ConversionError, Tensor
from converters.recipe import ALL, Settings
from converters.rounding import LEVELS
from converters.to_onnx import _check, _first_line, canonical

Kind = Literal["int8", "u8s8"]

_EXACT = 4096
"""Weights of a layer in float that stay as they are, see `converters.static_tflite.EXACT`."""

_RANGES: dict[str, dict[str, Any]] = {
    "minmax": {},
    "percentile": {"CalibPercentile": 99.99},
    "average": {"CalibMovingAverage": True, "CalibMovingAverageConstant": 0.01},
}
"""`Settings.ranges` -> options of the quantiser. The constant is its default."""


def quantize(
    model: bytes,
    kind: Kind,
    names: Sequence[str],
    samples: Sequence[Sequence[Tensor]],
    settings: Settings | None = None,
) -> bytes:
    """Make the int8 variant: static QDQ, weights signed and by channel.

    Args:
        model: the float32 file.
        kind: `int8` has signed activations, which ONNX Runtime's Arm kernels want, and the only kind its GPU providers
            take; `u8s8` has unsigned ones, which are faster on x86.
        names: of the inputs.
        samples: to calibrate: one array for each of `names`, as on the device.
        settings: how to quantise; `float_layers` are names of nodes in `prepare(model)`, or `ALL`.

    Raises:
        ConversionError: the quantiser cannot do it.
    """
    settings = settings or Settings()
    if settings.wide:
        raise ConversionError(
            "int16 activations: want ONNX of opset 17, got a quantiser that writes opset 21 for them, newer than the "
            "runtimes of JetPack; keep the worst layers in float instead"
        )
    if not samples:
        raise ConversionError(f"{kind}: want samples to calibrate with, got none; give --calibrate")
    try:
        prepared = prepare(model)
        if ALL in settings.float_layers:
            settings = replace(settings, float_layers=tuple(node.name for node in prepared.graph.node))
        _refuse_unknown(prepared, settings.float_layers)
        fit_convolutions(prepared, names, samples, settings.float_layers, _EXACT)
        quantized = with_pairs(prepared, kind, names, samples, settings)
        _store_in_8_bits(quantized, settings.float_layers)
        quantized = canonical(quantized, _io_names(quantized))
        _check(quantized)
    except failures() as error:
        raise ConversionError(f"onnxruntime: want an int8 graph, got '{_first_line(error)}'") from error
    return bytes(quantized.SerializeToString(deterministic=True))


def with_pairs(
    prepared: Any, kind: Kind, names: Sequence[str], samples: Sequence[Sequence[Tensor]], settings: Settings
) -> Any:
    """Return a prepared graph with a QuantizeLinear and DequantizeLinear on every tensor, names as they were."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        onnx.save(prepared, source)
        quantize_static(
            source,
            target,
            _Reader(names, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            activation_type=QuantType.QInt8 if kind == "int8" else QuantType.QUInt8,
            nodes_to_exclude=list(settings.float_layers),
            calibrate_method=CalibrationMethod.Percentile
            if settings.ranges == "percentile"
            else CalibrationMethod.MinMax,
            extra_options=dict(_RANGES[settings.ranges]),
        )
        return onnx.load(target)


def prepare(model: bytes) -> Any:
    """Return the float32 graph as the quantiser sees it: batch normalisation folded, shapes known."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "prepared.onnx"
        source.write_bytes(model)
        quant_pre_process(source, target, skip_symbolic_shape=True)
        prepared = onnx.load(target)
    for number, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{number}"
    return prepared


def to_float16(model: bytes) -> bytes:
    """Make the float16 variant: weights and sums in float16, inputs and outputs of the types they had.

    Raises:
        ConversionError: it cannot be done, or the result is no valid graph.
    """
    import onnx
    from onnxconverter_common import float16

    source = onnx.load_from_string(model)
    forks = sorted({node.op_type for node in source.graph.node if node.op_type in _FORKS})
    if forks:
        raise ConversionError(
            f"float16: want a graph without branches and loops, got {' and '.join(forks)} (suppression of boxes or a "
            "recurrent layer), which onnxconverter-common cannot convert; take float32"
        )
    _unshare(source)
    to_float = {node.name for node in source.graph.node if node.op_type == "Cast" and _target(node).i == _FLOAT}
    try:
        made = float16.convert_float_to_float16(
            source, keep_io_types=True, op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *_UNSAFE]
        )
        for node in made.graph.node:
            if node.name in to_float:  # the tool forgets those
                _target(node).i = _FLOAT16
        made = canonical(made, _io_names(made))
        _check(made)
    except failures() as error:
        raise ConversionError(f"onnxconverter-common: want a float16 graph, got '{_first_line(error)}'") from error
    return bytes(made.SerializeToString(deterministic=True))


_FORKS = ("If", "Loop", "Scan")


def _unshare(model: Any) -> None:
    """Give each node constants of its own: one that a float16 and a float32 node share would get one type for both."""
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == _FLOAT}
    seen: set[str] = set()
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name in constants and name in seen:
                own = onnx.TensorProto()
                own.CopyFrom(constants[name])
                own.name = f"{name}_{node.name}_{index}"
                model.graph.initializer.append(own)
                node.input[index] = own.name
            seen.add(name)


_UNSAFE = ["ReduceSumSquare", "ReduceL2", "ReduceSum"]
"""Operators that sum squares of a whole vector or map: float16 ends at 65504."""


_FLOAT, _FLOAT16 = 1, 10
"""`onnx.TensorProto.FLOAT` and `FLOAT16`."""


def _target(cast: Any) -> Any:
    """Return the attribute that says what a Cast makes."""
    return next(attribute for attribute in cast.attribute if attribute.name == "to")


def failures() -> tuple[type[Exception], ...]:
    """Return what the quantiser and the checker raise."""
    import onnx

    return (
        ValueError, RuntimeError, TypeError, KeyError, AttributeError, IndexError, AssertionError, NotImplementedError,
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError,
    )  # fmt: skip


def _refuse_unknown(model: Any, layers: Sequence[str]) -> None:
    unknown = sorted(set(layers) - {node.name for node in model.graph.node})
    if unknown:
        raise ConversionError(f"float layers: want names of this model's nodes, got '{unknown[0]}'; measure them anew")


def _io_names(model: Any) -> dict[str, str]:
    return {value.name: value.name for value in (*model.graph.input, *model.graph.output)}


def _store_in_8_bits(model: Any, layers: Sequence[str]) -> None:
    """Store the large weights of convolutions that stayed in float as int8, with nodes that turn them to float.

    Cast and Mul, which ONNX Runtime works out once at load, and not DequantizeLinear, which it does in every run.
    """
    import onnx

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    users: dict[str, int] = {}
    for node in model.graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    made = []
    for node in model.graph.node:
        name = node.input[1] if len(node.input) > 1 else ""
        if node.op_type != "Conv" or node.name not in layers or name not in constants or users[name] > 1:
            continue
        weights = onnx.numpy_helper.to_array(constants[name])
        if weights.dtype != np.float32 or weights.size <= _EXACT:
            continue
        scale = np.abs(weights).reshape(len(weights), -1).max(axis=1) / np.float32(LEVELS)
        scale = np.where(scale > 0, scale, 1).astype(np.float32)
        along = scale.reshape([-1, *[1] * (weights.ndim - 1)])
        stored = np.clip(np.rint(weights / along), -LEVELS, LEVELS).astype(np.int8)
        parts = {f"{name}_int8": stored, f"{name}_scale": along}
        model.graph.initializer.extend(onnx.numpy_helper.from_array(value, part) for part, value in parts.items())
        made.append(onnx.helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=_FLOAT))
        made.append(onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [f"{name}_float"]))
        node.input[1] = f"{name}_float"
    for number, node in enumerate(made):
        model.graph.node.insert(number, node)


class _Reader:
    """Hands the samples to ONNX Runtime, one a call, as its `CalibrationDataReader` does."""

    def __init__(self, names: Sequence[str], samples: Sequence[Sequence[Tensor]]) -> None:
        self._feeds = iter([dict(zip(names, sample, strict=True)) for sample in samples])

    def get_next(self) -> dict[str, Tensor] | None:
        return next(self._feeds, None)
