"""NanoDet-g: a detector of the 80 COCO classes that a small computer can afford, in Keras.

Plain 3 x 3 convolutions in CSP blocks, a feature pyramid without convolutions, one light head for each stride:
"g" for the graphics processors it was drawn for, and as good for the matrix kernels of an Arm core. The design
is that of the NanoDet project, configuration "nanodet-g"; the trained weights come from `models.weights`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from edge.errors import BundleError, ConfigError
from models.labels import COCO_80
from models.pixels import subtract_mean
from models.tfjs import Array, read_tfjs
from models.weights import fetch

Pixels = Literal["uint8", "float32", "normalised"]

STRIDES = (8, 16, 32)
"""Input pixels per cell of the three feature maps."""

BINS = 11
"""Length of the distribution over a side's distance from the cell's centre: 0 to 10 strides."""

MEAN_BGR = (103.53, 116.28, 123.675)
"""Of the pixels 0..255 that NanoDet-g was trained with; the project's configuration file, `img_norm_cfg`."""

STD_BGR = (57.375, 57.12, 58.395)
"""Companion of `MEAN_BGR`."""

_STEM_WIDTH = 32
_STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 3, 2))
"""Of each CSP stage: width, number of residual blocks, stride. Every stage doubles its width on leaving."""

_NECK_WIDTH = 128
_SLOPE = 0.1
"""Of the leaky ReLU below zero."""

_PREFIX = "PartitionedCall/"


def nanodet_g(
    size: tuple[int, int] = (416, 416),
    pixels: Pixels = "uint8",
    labels: Sequence[str] = COCO_80,
    weights: Path | None = None,
) -> Any:
    """Build NanoDet-g with its trained weights.

    Args:
        size: height and width of the input in pixels, multiples of 32. The weights were trained at 416 x 416.
        pixels: what the input holds. `uint8` and `float32`: RGB 0..255, input named `image`, normalised inside.
            `normalised`: BGR, (pixel - MEAN_BGR) / STD_BGR, float32, input named `input`, as in training.
        labels: classes to keep, of `COCO_80`, in the wanted order. Fewer classes make less to look through.
        weights: `nanodet.json` with its `nanodet.bin` beside it; None fetches them.

    Returns:
        keras.Model, channels last, input (N, height, width, 3). Outputs, for each stride s of 8, 16, 32 with
        c = (height / s) * (width / s) cells in rows: `cls_s` (N, c, labels) float32 scores 0..1, sigmoid
        applied, and `reg_s` (N, c, 4 * BINS) float32 logits for left, top, right, bottom.

    Raises:
        ConfigError: the size is no multiple of 32, or a label or kind of pixels is unknown.
        BundleError: the weights are not those of NanoDet-g.
        FetchError: they could not be fetched.
    """
    columns = _columns(labels)
    if pixels not in ("uint8", "float32", "normalised"):
        raise ConfigError(f"pixels: want uint8, float32 or normalised, got '{pixels}'; correct the name")
    if min(size) < 32 or size[0] % 32 or size[1] % 32:
        raise ConfigError(f"detector size: want multiples of 32, got {size}; try (416, 416) or (320, 320)")
    model = _network(size, pixels, len(labels))
    arrays = read_tfjs(weights if weights is not None else fetch("nanodet-g") / "nanodet.json")
    _load(model, arrays, columns, pixels)
    return model


def _columns(labels: Sequence[str]) -> list[int]:
    unknown = [label for label in labels if label not in COCO_80]
    if unknown or not labels:
        got = f"'{unknown[0]}'" if unknown else "none"
        raise ConfigError(f"labels: want some of the 80 COCO classes, got {got}; see models/labels.py")
    return [COCO_80.index(label) for label in labels]


def _network(size: tuple[int, int], pixels: Pixels, classes: int) -> Any:
    """Build the layers, weights still random."""
    if pixels == "normalised":
        image = x = keras.Input((*size, 3), name="input")
    else:
        image = keras.Input((*size, 3), dtype=pixels, name="image")
        x = subtract_mean(image, MEAN_BGR[::-1])  # deviation and colour order: in the stem's kernel, see `_load`
    c3, c4, c5 = _backbone(x)
    outputs: dict[str, Any] = {}
    for stride, level in zip(STRIDES, _neck(c3, c4, c5), strict=True):
        outputs[f"cls_{stride}"], outputs[f"reg_{stride}"] = _head(level, stride, classes)
    return keras.Model(image, outputs, name="nanodet_g")


def _backbone(x: Any) -> list[Any]:
    """Return the feature maps at strides 8, 16 and 32: 128, 256 and 512 channels."""
    # The pooling wants a border of minus infinity around an even-sized map. One more row and column of the stem
    # make the size odd, so that "same" pooling has its own border on both sides; the surplus cell is cut off.
    x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)), name="stem_pad")(x)
    x = keras.layers.Conv2D(_STEM_WIDTH, 3, strides=2, name="stem")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="pool")(x)
    x = keras.layers.Cropping2D(((0, 1), (0, 1)), name="pool_crop")(x)
    x = keras.layers.LeakyReLU(_SLOPE, name="stem_act")(x)  # after the pooling: same result, a quarter of the work
    maps = []
    for number, (width, blocks, stride) in enumerate(_STAGES, start=1):
        x = _csp_stage(x, f"stage{number}", width, blocks, stride)
        maps.append(x)
    return maps[1:]


def _csp_stage(x: Any, name: str, width: int, blocks: int, stride: int) -> Any:
    """Cross-stage partial block: the way in is kept and joined to what the residual blocks made of it."""
    kept = x = _conv(x, f"{name}_in", width, stride)
    for block in range(1, blocks + 1):
        x = _tiny_res_block(x, f"{name}_block{block}", width)
    x = _conv(x, f"{name}_out", width)
    return keras.layers.Concatenate(name=f"{name}_join")([x, kept])


def _tiny_res_block(x: Any, name: str, width: int) -> Any:
    """Halve the width, convolve once more, and join both."""
    first = _conv(x, f"{name}_in", width // 2)
    second = _conv(first, f"{name}_mid", width // 2)
    return keras.layers.Concatenate(name=f"{name}_join")([second, first])


def _conv(x: Any, name: str, width: int, stride: int = 1) -> Any:
    """3 x 3 convolution with a border of one zero on every side, then leaky ReLU.

    Keras' own "same" puts the border of a stride-2 convolution at bottom and right only, so there it is explicit.
    """
    if stride != 1:
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = keras.layers.Conv2D(width, 3, strides=stride, padding=padding, name=name)(x)
    return keras.layers.LeakyReLU(_SLOPE, name=f"{name}_act")(x)


def _neck(c3: Any, c4: Any, c5: Any) -> tuple[Any, Any, Any]:
    """Path aggregation without convolutions: bilinear resizing and sums, down the pyramid and up again."""
    p3, p4, p5 = (
        keras.layers.Conv2D(_NECK_WIDTH, 1, name=f"lateral_{stride}")(level)
        for stride, level in zip(STRIDES, (c3, c4, c5), strict=True)
    )
    p4 = _sum(p4, keras.layers.UpSampling2D(2, interpolation="bilinear", name="up_16")(p5), "down_16_sum")
    p3 = _sum(p3, keras.layers.UpSampling2D(2, interpolation="bilinear", name="up_8")(p4), "down_8_sum")
    # Bilinear resizing to half the size, with pixel centres at one half, is the mean of two by two.
    p4 = _sum(p4, keras.layers.AveragePooling2D(2, name="halve_8")(p3), "up_16_sum")
    p5 = _sum(p5, keras.layers.AveragePooling2D(2, name="halve_16")(p4), "up_32_sum")
    return p3, p4, p5


def _sum(a: Any, b: Any, name: str) -> Any:
    return keras.layers.Add(name=name)([a, b])


def _head(x: Any, stride: int, classes: int) -> tuple[Any, Any]:
    """Return the class scores and the box distributions of one level, cells in rows."""
    x = _conv(x, f"head_{stride}", _NECK_WIDTH)
    scores = keras.layers.Conv2D(classes, 1, activation="sigmoid", name=f"head_{stride}_cls")(x)
    sides = keras.layers.Conv2D(4 * BINS, 1, name=f"head_{stride}_reg")(x)
    return (
        keras.layers.Reshape((-1, classes), name=f"cls_{stride}")(scores),
        keras.layers.Reshape((-1, 4 * BINS), name=f"reg_{stride}")(sides),
    )


def _weight_names() -> dict[str, tuple[str, str]]:
    """Return layer -> names of its kernel and bias in the file, where they are numbered in the order of use."""
    layers = ["stem"]
    for number, (_, blocks, _) in enumerate(_STAGES, start=1):
        layers.append(f"stage{number}_in")
        for block in range(1, blocks + 1):
            layers += [f"stage{number}_block{block}_in", f"stage{number}_block{block}_mid"]
        layers.append(f"stage{number}_out")
    layers += [f"lateral_{stride}" for stride in STRIDES]
    names = {
        layer: (f"{_PREFIX}split_{n}" if n else f"{_PREFIX}split", f"unknown_{2 * n}") for n, layer in enumerate(layers)
    }
    for stride, kernel, bias in ((8, 28, 60), (16, 30, 66), (32, 32, 70)):
        names[f"head_{stride}"] = (f"{_PREFIX}split_{kernel}", f"unknown_{bias}")
        both = (f"{_PREFIX}split_{kernel + 1}", f"unknown_{bias + 2}")
        names[f"head_{stride}_cls"] = names[f"head_{stride}_reg"] = both
    return names


def _load(model: Any, arrays: Mapping[str, Array], columns: list[int], pixels: Pixels) -> None:
    """Put the weights into the layers.

    The file's last convolution of a head makes 80 scores and 44 box logits at once; here they are two layers,
    so that a quantiser may give each its own scale, and so that classes can be left out.
    """
    sides = list(range(len(COCO_80), len(COCO_80) + 4 * BINS))
    change: dict[str, Callable[[Any], Any]] = {}
    for stride in STRIDES:
        change[f"head_{stride}_cls"] = lambda array: array[..., columns]
        change[f"head_{stride}_reg"] = lambda array: array[..., sides]
    for layer, names in _weight_names().items():
        absent = [name for name in names if name not in arrays]
        if absent:
            raise BundleError(f"nanodet.json: want an array '{absent[0]}', got none; fetch it again")
        kernel, bias = (change.get(layer, lambda array: array)(arrays[name]) for name in names)
        if layer == "stem" and pixels != "normalised":
            kernel = (kernel / np.asarray(STD_BGR, np.float32)[:, None])[:, :, ::-1]
        want = [tuple(variable.shape) for variable in model.get_layer(layer).weights]
        if [kernel.shape, bias.shape] != want:
            raise BundleError(
                f"nanodet.json, {layer}: want shapes {want}, got {[kernel.shape, bias.shape]}; fetch it again"
            )
        model.get_layer(layer).set_weights([kernel, bias])
