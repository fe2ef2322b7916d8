"""What must hold between the values of a manifest: pure functions, a manifest -> what is wrong with it.

The range of each value by itself is in its type, see `edge.bundle.manifest`. A device checks both before it opens a
model; a converter before it writes one.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import msgspec

from edge.bundle.layout import CHANNELS, DECODER_OUTPUTS, is_picture, localizer_outputs
from edge.bundle.manifest import Decoder, Manifest, Preprocess, TensorSpec
from edge.limits import LimitError, plain_name

MODEL_SUFFIXES = {"tflite": ".tflite", "onnx": ".onnx", "fake": ".json"}
"""Runtime -> end of the model file's name. ONNX Runtime reads files of another end in another way."""

MOST_VALUES = 2**26
"""Values of one tensor: a picture of 4096 x 4096 pixels has 5 * 10^7."""

_INTEGERS = {"uint8": (0, 255), "int8": (-128, 127), "int16": (-(2**15), 2**15 - 1)}
_INTEGERS |= {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_ROUNDING = 1e-6


def complaints(manifest: Manifest) -> list[str]:
    """Return what is wrong with a manifest, each "what: want X, got Y"; nothing = it is sound."""
    found = [*_texts(manifest), *_names(manifest)]
    for spec in (*manifest.inputs, *manifest.outputs):
        found += _tensor(spec)
    if manifest.preprocess is not None:
        found += _preprocess(manifest.preprocess, manifest.inputs)
    if not found:  # what a task needs makes sense for sound tensors alone
        found += [*_foreign(manifest), *_task(manifest), *_evidence(manifest)]
    return found


def _texts(manifest: Manifest) -> Iterator[str]:
    """Complain of text that would do something to the terminal that shows it."""
    for text in _strings(msgspec.to_builtins(manifest)):
        for sign in text:
            if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                yield f"text: want no control characters, got U+{ord(sign):04X} in {text[:40]!a}"
                return


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _names(manifest: Manifest) -> Iterator[str]:
    for what, name in (("name", manifest.name), ("model_file", manifest.model_file)):
        try:
            plain_name(name)
        except LimitError as error:
            yield f"{what}: {error}"
    suffix = MODEL_SUFFIXES[manifest.runtime]
    if not manifest.model_file.endswith(suffix):
        yield f"model_file: want a name that ends in {suffix} for {manifest.runtime}, got {manifest.model_file!a}"
    if manifest.model_file == "bundle.json":
        yield "model_file: want a file of its own, got the manifest"
    for kind, specs in (("inputs", manifest.inputs), ("outputs", manifest.outputs)):
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            yield f"{kind}: want a name of its own for each, got {', '.join(names)}"


def _tensor(spec: TensorSpec) -> Iterator[str]:
    if len(spec.shape) > 8 or prod(spec.shape) > MOST_VALUES:
        yield f"tensor '{spec.name}': want at most {MOST_VALUES} values, got shape {spec.shape}"
    if spec.quantization is None:
        return
    if spec.dtype not in _INTEGERS:
        yield f"tensor '{spec.name}': want no scale for {spec.dtype}, got {spec.quantization.scale:g}"
        return
    low, high = _INTEGERS[spec.dtype]
    if not low <= spec.quantization.zero_point <= high:
        yield f"tensor '{spec.name}': want a zero point of {low} to {high}, got {spec.quantization.zero_point}"


def _preprocess(how: Preprocess, inputs: Sequence[TensorSpec]) -> Iterator[str]:
    channels = CHANNELS[how.color]
    for what, numbers in (("mean", how.mean), ("std", how.std)):
        if len(numbers) not in (1, channels):
            yield f"preprocess.{what}: want 1 or {channels} numbers for {how.color}, got {len(numbers)}"
    scaled = any(how.mean) or any(number != 1 for number in how.std)
    for spec in inputs:
        if not is_picture(spec, how) or spec.dtype == "float32":
            continue
        plain = spec.dtype == "uint8" and spec.quantization is None and not scaled
        if not plain and (spec.dtype not in ("uint8", "int8") or spec.quantization is None):
            yield (
                f"input '{spec.name}': want float32, or uint8 or int8 with its scale, got {spec.dtype}"
                f"{'' if spec.quantization else ' without scale'}"
            )


def _foreign(manifest: Manifest) -> Iterator[str]:
    """Complain of values that belong to another task."""
    owners: tuple[tuple[str, object, tuple[str, ...]], ...] = (
        ("decoder", manifest.decoder, ("detect",)),
        ("embedding", manifest.embedding, ("embed",)),
        ("threshold", manifest.threshold, ("pair",)),
        ("labels", manifest.labels or None, ("detect", "classify", "localize")),
    )
    for what, value, tasks in owners:
        if value is not None and manifest.task not in tasks:
            yield f"{what}: want none for task '{manifest.task}', got one"


def _task(manifest: Manifest) -> Iterator[str]:
    """Complain of what the task needs and has not."""
    if manifest.task == "detect":
        yield from decoder_complaints(manifest)
    elif manifest.task == "embed":
        values = prod(manifest.outputs[0].shape)
        if manifest.embedding is None or manifest.embedding.dim != values:
            got = manifest.embedding.dim if manifest.embedding is not None else "no embedding"
            yield f"embedding: want dim {values}, as the output has it, got {got}"
    elif manifest.task == "pair":
        if len(manifest.inputs) != 2:
            yield f"inputs: want 2 for task 'pair', got {len(manifest.inputs)}"
        if manifest.threshold is None:
            yield "threshold: want one for task 'pair', got none"
    elif manifest.task == "classify":
        yield from _labels(manifest, prod(manifest.outputs[0].shape))
    elif manifest.task == "localize":
        box, classes = localizer_outputs(manifest.outputs)
        if box == classes or prod(manifest.outputs[box].shape) != 4:
            shapes = ", ".join(f"{spec.name} {spec.shape}" for spec in manifest.outputs)
            yield f"outputs: want a box of 4 numbers and a class, got {shapes}"
        yield from _labels(manifest, prod(manifest.outputs[classes].shape))


def decoder_complaints(manifest: Manifest) -> Iterator[str]:
    """Complain of a detector whose outputs are not what its decoder reads."""
    how, classes = manifest.decoder, len(manifest.labels)
    if how is None or how.name not in DECODER_OUTPUTS:
        got = "none" if how is None else f"'{how.name}'"
        yield f"decoder: want one of {', '.join(sorted(DECODER_OUTPUTS))}, got {got}"
        return
    if not classes:
        yield "labels: want a name for each class, got none"
    image = manifest.inputs[0]
    if len(manifest.inputs) != 1 or manifest.preprocess is None or not is_picture(image, manifest.preprocess):
        yield "inputs: want one picture for task 'detect', and its preprocessing, got something else"
        return
    height, width = image.shape[1:3]
    broken = list(_strides(how, height, width))
    yield from broken
    if broken:
        return
    shapes = {spec.name: spec.shape for spec in manifest.outputs}
    for name, want in DECODER_OUTPUTS[how.name](how, height, width, classes).items():
        shape = shapes.get(name)
        if shape is None:
            yield f"outputs: want '{name}' for decoder '{how.name}', got none of that name"
        elif len(shape) != len(want) or any(w is not None and w != s for w, s in zip(want, shape, strict=True)):
            yield f"output '{name}': want shape {want} for decoder '{how.name}' and {classes} labels, got {shape}"
    if how.name == "boxes" and not broken and {"boxes", "scores"} <= shapes.keys():
        rows = shapes["boxes"][1:2], shapes["scores"][1:2]
        if rows[0] != rows[1]:
            yield f"outputs: want as many boxes as scores, got {rows[0]} and {rows[1]}"


def _strides(how: Decoder, height: int, width: int) -> Iterator[str]:
    if how.name != "nanodet":
        if how.strides or how.bins:
            yield f"decoder: want no strides and bins for '{how.name}', got {how.strides} and {how.bins}"
        return
    if how.bins < 2:
        yield f"decoder.bins: want at least 2 for 'nanodet', got {how.bins}"
    if not how.strides or list(how.strides) != sorted(set(how.strides)):
        yield f"decoder.strides: want ascending numbers, got {how.strides}"
    elif any(height % stride or width % stride for stride in how.strides):
        yield f"decoder.strides: want numbers that divide {height} x {width} pixels, got {how.strides}"


def _labels(manifest: Manifest, values: int) -> Iterator[str]:
    classes = max(2, values)  # one number is the probability of the second of two classes
    if manifest.labels and len(manifest.labels) != classes:
        yield f"labels: want {classes} for {values} output values, got {len(manifest.labels)}"


def _evidence(manifest: Manifest) -> Iterator[str]:
    """Complain of figures that no conversion would have let pass."""
    outputs = {spec.name for spec in manifest.outputs}
    for part in manifest.parity:
        if part.output not in outputs:
            yield f"parity: want figures of the outputs, got some of '{part.output}'"
        if part.cosine_min < part.cosine_limit - _ROUNDING:
            yield f"parity of '{part.output}': want cosine {part.cosine_limit:g} or more, got {part.cosine_min:g}"
    for metric in manifest.metrics:
        if metric.limit is not None and metric.value < metric.limit - _ROUNDING:
            yield f"metric '{metric.name}': want {metric.limit:g} or more, got {metric.value:g}"
