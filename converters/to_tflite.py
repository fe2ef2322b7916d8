"""A traced model -> the bytes of a TFLite file, by TensorFlow's own converter and quantiser.

Always from the frozen function, with an empty `tf.Module` as the owner of its (no) variables: the file keeps a
signature, so that the device finds tensors by name. Given a Keras 3 model as the owner, the converter writes files
that answer NaN; with the variables in the module it takes three times as long for the same bytes of weights.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from converters.layers import named
from converters.load import ConversionError, Tensor
from converters.recipe import Kind, Settings
from converters.static_tflite import (
    Moments,
    fit_weights,
    measure,
    nodes,
    put_weights,
    quantize,
    store_in_8_bits,
)
from converters.traced import Traced

T = TypeVar("T")

_TRANSLATIONS = {
    "StatelessRandomGetKeyCounter": "an augmentation layer is active; build it to obey training=False",
    "TensorListReserve": "a recurrent layer has no fixed batch; give its input a batch of 1",
    "CombinedNonMaxSuppression": "TFLite has no such operator; use tf.image.non_max_suppression_padded, or return raw "
    "heads and let edge.decode suppress",
    "Flex": "it needs operators that no runtime of ours has; replace the layer named above",
    "neither a custom op nor a flex op": "TFLite has no such operator; replace the layer named above",
    "READ_VARIABLE": "the model keeps variables; freeze it before it is converted",
    "not quantizable": "it has no int8 form; keep the layer in float, or leave the int8 variants out",
}
"""What TensorFlow's messages mean, by a word in them; the first that fits is shown."""

_LOOPS = ("While", "StatelessWhile", "TensorListReserve", "TensorListFromTensor")
"""Operators of a graph whose calibration ends TensorFlow 2.21 with a segmentation fault."""


def to_tflite(
    traced: Traced, kind: Kind, samples: Sequence[Sequence[Tensor]] = (), settings: Settings | None = None
) -> bytes:
    """Pack a model.

    Args:
        traced: the model.
        kind: number format; inputs and outputs keep the types of `traced` in all of them.
        samples: for `int8` and `int16x8`, to calibrate: one array for each of `traced.inputs`, as on the device. For
            `dynamic` they are not needed, but with them its weights are rounded as those of `int8` are, where the graph
            can be calibrated: MobileNetV2 at 97 x 97 keeps its nearest neighbour in 96 % of cases instead of 87 %.
        settings: how to quantise; None = the defaults.

    Raises:
        ConversionError: TensorFlow cannot do it with built-in operators alone.
    """
    import tensorflow as tf

    settings = settings or Settings()
    if kind in ("int8", "int16x8"):
        content, moments = calibrated(traced, samples, settings.ranges)
        if kind == "int16x8" or settings.wide:
            return _wide(traced, fit_weights(content, moments), samples, settings)
        return _run(lambda: _int8(content, moments, settings.float_layers))
    if kind == "u8s8":
        raise ConversionError("u8s8: want ONNX, got TFLite, whose quantised kernels are signed; choose int8")
    converter = _converter(traced)
    if kind != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "dynamic":
        # Otherwise a Dense layer becomes FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses to load.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    model = bytes(_run(converter.convert))
    return _fit_dynamic(traced, model, samples) if kind == "dynamic" and samples and settings.fitted else model


def calibrated(traced: Traced, samples: Sequence[Sequence[Tensor]], ranges: str) -> tuple[bytes, Moments]:
    """Return the float file with the ranges of its activations, and the moments of its layers' inputs.

    Raises:
        ConversionError: no samples, a graph that cannot be calibrated, or TensorFlow cannot convert it.
    """
    import tensorflow as tf

    from converters.trace import all_nodes

    if not samples:
        raise ConversionError("int8: want samples to calibrate with, got none; give --calibrate")
    loop = next((node for node in all_nodes(traced.graph_def) if node.op in _LOOPS), None)
    if loop is not None:
        raise ConversionError(
            f"int8: want a graph without loops, got {loop.op} '{loop.name.split('/')[-1]}' of a recurrent layer, whose "
            "calibration crashes TensorFlow 2.21; take the dynamic variant, or build the layer with unroll=True"
        )
    converter = _converter(traced)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: _named(traced, samples[:1])
    converter._experimental_calibrate_only = True
    content = bytes(_run(converter.convert))
    return _run(lambda: measure(content, traced.inputs, samples, ranges))


def _fit_dynamic(traced: Traced, model: bytes, samples: Sequence[Sequence[Tensor]]) -> bytes:
    try:
        content, moments = calibrated(traced, samples, "minmax")
    except ConversionError:
        return model
    return put_weights(model, fit_weights(content, moments))


def _converter(traced: Traced) -> Any:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.function()], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return converter


def _int8(content: bytes, moments: Moments, float_layers: Sequence[str]) -> bytes:
    float_layers = named(float_layers, nodes(content))
    return store_in_8_bits(quantize(fit_weights(content, moments, float_layers), float_layers))


def _wide(traced: Traced, content: bytes, samples: Sequence[Sequence[Tensor]], settings: Settings) -> bytes:
    """Quantise with int16 activations; 16 bits need no clipping, so the ranges are always smallest and largest."""
    import tensorflow as tf
    from tensorflow.lite.python.optimize import calibrator

    if settings.float_layers:
        raise ConversionError("int16 activations: want all layers in integers, got some in float; choose one")
    return bytes(
        _run(
            lambda: calibrator.Calibrator(content).calibrate_and_quantize(
                lambda: _named(traced, samples), tf.float32, tf.float32, True, tf.int16, tf.int64
            )
        )
    )


def _run(step: Callable[[], T]) -> T:
    """Do a step of TensorFlow, and translate its complaints."""
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    try:
        return step()
    except (ConverterError, tf.errors.OpError, ValueError, RuntimeError, TypeError) as error:
        raise ConversionError(f"TensorFlow: want a TFLite file, got '{_explain(str(error))}'") from error


def _named(traced: Traced, samples: Sequence[Sequence[Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Yield samples by the names of the signature; TensorFlow orders inputs in a way of its own."""
    for sample in samples:
        yield {spec.name: value for spec, value in zip(traced.inputs, sample, strict=True)}


def _explain(message: str) -> str:
    """Shorten a message of TensorFlow to its first line, with what it means where we know it."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    for word, meaning in _TRANSLATIONS.items():
        if word in message:
            return f"{first[:200]}: {meaning}"
    return first[:300]
