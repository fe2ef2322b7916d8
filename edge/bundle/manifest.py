"""`bundle.json`: all that the device must know of a model, as plain values with the range of each.

What must hold between several values is in `edge.bundle.check`. Nothing in a manifest names a machine, a path or a
time, so the same input gives the same bundle.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

FORMAT = 3
"""Version of the manifest. A device reads its own version only."""

MOST_ERROR = 0.3
"""Largest `Golden.max_error` that a device accepts: above what sets of kernels differ by over int8 (0.18 measured),
below what one scrambled layer gives (0.42). See `converters.tolerance`."""

Finite = Annotated[float, Meta(ge=-1e30, le=1e30)]
"""Any number but infinity and what float32 cannot hold."""
Share = Annotated[float, Meta(ge=0, le=1)]
"""A score, a probability, a part of a whole."""
Cosine = Annotated[float, Meta(ge=-1.000001, le=1.000001)]
"""A cosine, and the last digits that rounding may add."""
Count = Annotated[int, Meta(ge=0, le=10**12)]
Length = Annotated[int, Meta(ge=1, le=2**26)]
Sha256 = Annotated[str, Meta(pattern="^([0-9a-f]{64})?$")]
"""64 hexadecimal digits; "" = not known."""
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(max_length=2000)]

Task = Literal["detect", "embed", "classify", "localize", "pair", "other"]
"""What a model is for. `pair` says whether two inputs show the same individual, `localize` names and boxes the one
object of a picture, `other` is judged by its tensors alone."""
Runtime = Literal["tflite", "onnx", "fake"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all manifest parts: immutable, an unknown key is an error."""


class Quantization(_Part, frozen=True):
    """Per-tensor affine quantisation: real = scale * (stored - zero_point)."""

    scale: Annotated[float, Meta(ge=1e-30, le=1e30)]
    zero_point: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]


class TensorSpec(_Part, frozen=True):
    """One input or output of the model, found in the model file by name and never by position."""

    name: Name
    dtype: Literal["float32", "uint8", "int8", "int16", "int32", "int64"]
    shape: tuple[Length, ...]
    quantization: Quantization | None = None


class Preprocess(_Part, frozen=True):
    """How pixels become the input tensor: fit to size, then real value = (pixel - mean) / std.

    A model that normalises inside its graph takes uint8 or float32 0..255 and has mean 0, std 1.

    Attributes:
        fit: `letterbox` keeps the aspect ratio and pads right and bottom with `pad_value`; `stretch` does not.
        color: what the tensor's channels are; frames are RGB. `gray` is the luma of ITU-R BT.601, one channel.
        mean: one number for each channel, or one for all.
        std: one number for each channel, or one for all.
    """

    fit: Literal["letterbox", "stretch"]
    pad_value: Annotated[int, Meta(ge=0, le=255)] = 114
    color: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: tuple[Annotated[float, Meta(ge=-1e6, le=1e6)], ...] = (0.0,)
    std: tuple[Annotated[float, Meta(ge=1e-6, le=1e6)], ...] = (1.0,)


class Decoder(_Part, frozen=True):
    """Which function of `edge.decode` gives the output tensors their meaning, and its constants.

    Attributes:
        name: key of `edge.decode.DECODERS` and of `edge.bundle.layout.DECODER_OUTPUTS`.
        strides: input pixels per cell of each feature map, for heads that have them.
        bins: length of the box-distance distribution per side, for heads that have one.
        threshold: default score below which a detection is left out.
        nms_iou: boxes of one class that overlap a better one by more than this IoU are left out.
    """

    name: Name
    strides: tuple[Length, ...] = ()
    bins: Annotated[int, Meta(ge=0, le=256)] = 0
    threshold: Share = 0.4
    nms_iou: Annotated[float, Meta(gt=0, le=1)] = 0.6


class Embedding(_Part, frozen=True):
    """What the vectors of an embedder are.

    Attributes:
        dim: length D of a vector.
        unit_length: True where the model gives rows of Euclidean length 1.
        metric: distance the vectors were judged with.
    """

    dim: Length
    unit_length: bool
    metric: Literal["manhattan", "cosine"] = "manhattan"


class Golden(_Part, frozen=True):
    """The stored answer that the device must reproduce before it trusts a model.

    Attributes:
        max_error: largest allowed root-mean-square error of an output, relative to the output's own RMS.
        why: where `max_error` comes from.
    """

    max_error: Annotated[float, Meta(gt=0, le=MOST_ERROR)]
    why: Words


class OutputParity(_Part, frozen=True):
    """How far one output of the packed model is from the Keras model, over the parity inputs.

    Attributes:
        output: name of the output tensor.
        max_abs: largest absolute difference.
        cosine_min: cosine of the worst input.
        cosine_limit: what the recipe demanded of `cosine_min`.
        inputs: how many inputs were compared.
    """

    output: Name
    max_abs: Annotated[float, Meta(ge=0, le=3.5e38)]
    cosine_min: Cosine
    cosine_limit: Cosine
    inputs: Annotated[int, Meta(ge=1, le=10**12)]


class Metric(_Part, frozen=True):
    """How well the packed model does its task, on examples that calibrated nothing.

    Attributes:
        name: what is measured, in the field's words: "accuracy", "top-1 agreement", "AP50".
        value: the packed model's figure, 0 to 1; higher is better.
        keras: the Keras model's own figure, None for a metric that compares the two.
        limit: what `value` had to reach, None where it is only reported.
        examples: how many examples were judged.
    """

    name: Name
    value: Share
    examples: Count
    keras: Share | None = None
    limit: Share | None = None


class Calibration(_Part, frozen=True):
    """What the quantiser saw.

    Attributes:
        words: where it came from, for a person; no path.
        examples: how many inputs.
        sha256: hash over the hashes of all inputs, in order.
        seed: chose them.
    """

    words: Words
    examples: Count
    sha256: Sha256
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0


class Weights(_Part, frozen=True):
    """Where the weights came from and under which terms."""

    source: Words
    version: Words
    sha256: Sha256
    licence: Words


class Provenance(_Part, frozen=True):
    """What the bundle was made from.

    Attributes:
        keras: `module:function` or file name of the Keras model.
        source_sha256: of the model's file, or of the source files of its function.
        weights: one entry for each file of weights.
        recipe_sha256: hash of all that the bundle was made from; another recipe makes another bundle.
        basis: hash of what all variants of the model share, its source, weights and data; its report has the same.
        settings: how the quantiser was set in the attempt that passed, "" for its defaults.
        calibration: what the quantiser saw, None where it needs nothing.
        versions: package -> version of the tools used.
    """

    keras: Words
    weights: tuple[Weights, ...]
    recipe_sha256: Sha256
    basis: Sha256 = ""
    source_sha256: Sha256 = ""
    settings: Words = ""
    calibration: Calibration | None = None
    versions: dict[Words, Words] = {}


class Manifest(_Part, frozen=True):
    """`bundle.json`: all that the device must know of a model.

    Attributes:
        variant: number format of weights and sums, see `converters.recipe.Kind`.
        preprocess: how pixels become the inputs that are pictures (see `edge.preprocess.is_picture`); None for a
            model that takes no picture.
        minimum_runtime: oldest TFLite release that can run the file, as the file itself says; "" = not known.
        labels: name of each class.
        threshold: for task `pair`, the probability from which two inputs show the same individual.
        preferred: True for the variant that a device takes by itself when it has this runtime.
    """

    format: Annotated[int, Meta(ge=FORMAT, le=FORMAT)]
    name: Name
    task: Task
    runtime: Runtime
    variant: Name
    model_file: Name
    inputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1, max_length=64)]
    outputs: Annotated[tuple[TensorSpec, ...], Meta(min_length=1, max_length=64)]
    golden: Golden
    provenance: Provenance
    preprocess: Preprocess | None = None
    minimum_runtime: Annotated[str, Meta(max_length=32)] = ""
    parity: tuple[OutputParity, ...] = ()
    metrics: tuple[Metric, ...] = ()
    labels: Annotated[tuple[Name, ...], Meta(max_length=100_000)] = ()
    decoder: Decoder | None = None
    embedding: Embedding | None = None
    threshold: Share | None = None
    preferred: bool = False
