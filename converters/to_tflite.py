"""A traced model -> the bytes of a TFLite file, by TensorFlow's own converter.

Always from the frozen function, with an empty `tf.Module` as the owner of its (no) variables: the file keeps a
signature, so that the device finds tensors by name. Given a Keras 3 model as the owner, the converter writes files
that answer NaN; with the variables in the module it takes three times as long for the same bytes of weights.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from converters.load import ConversionError, Tensor, Traced
from converters.recipe import Kind

_MINIMUM_RUNTIME = b"min_runtime_version"

_TRANSLATIONS = {
    "StatelessRandomGetKeyCounter": "an augmentation layer is active; build it to obey training=False",
    "TensorListReserve": "a recurrent layer has no fixed batch; give its input a batch of 1",
    "CombinedNonMaxSuppression": "TFLite has no such operator; return raw heads and let edge.decode suppress",
    "Flex": "it needs operators that no runtime of ours has; replace the layer named above",
}
"""What TensorFlow's messages mean, by a word in them."""


def to_tflite(traced: Traced, kind: Kind, calibration: Sequence[Tensor] = ()) -> bytes:
    """Pack a model.

    Args:
        traced: the model.
        kind: number format.
        calibration: image tensors for `int8`, as the device will make them.

    Raises:
        ConversionError: TensorFlow cannot do it with built-in operators alone.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.named], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if kind != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "dynamic":
        # Otherwise a Dense layer becomes FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses to load.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind == "int8":
        converter.representative_dataset = lambda: _feed(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        return bytes(converter.convert())
    except (ConverterError, tf.errors.OpError, ValueError, RuntimeError, TypeError) as error:
        raise ConversionError(f"TensorFlow: want a TFLite file, got '{_explain(str(error))}'") from error


def minimum_runtime(model: bytes) -> str:
    """Return the oldest TFLite release that can run the file, as the file itself says; "" where it does not."""
    from ai_edge_litert import schema_py_generated as schema

    root: Any = schema.Model.GetRootAs(model, 0)
    for number in range(root.MetadataLength()):
        entry = root.Metadata(number)
        if entry.Name() == _MINIMUM_RUNTIME:
            data = root.Buffers(entry.Buffer()).DataAsNumpy()
            return bytes(data).rstrip(b"\0").decode()
    return ""


def _feed(calibration: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    for tensor in calibration:
        yield [tensor]


def _explain(message: str) -> str:
    """Shorten a message of TensorFlow to its first line, with what it means where we know it."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "no message")
    for word, meaning in _TRANSLATIONS.items():
        if word in message:
            return f"{first[:200]}: {meaning}"
    return first[:300]
