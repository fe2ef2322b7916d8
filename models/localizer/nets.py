"""Nets that say what the one object of a picture is, and where: three bases, each under a box head and a class head.

| net | base | heads |
|---|---|---|
| `own-cnn` | convolutions 32-32-64-64, pretrained as a classifier | dense, on all cells of the base's map |
| `vgg16` | VGG16 (arXiv:1409.1556) without its top | the same |
| `mobilenetv2` | MobileNetV2, ImageNet weights of `models.embedder` | the sides of the box are found where they are |

Each is built in two halves, `base` and `heads`: the base does not change while the heads learn, so its answers are
computed once. All take `image`, uint8 RGB 0..255, and give `box`, float32 (N, 4) xyxy in parts of the input, and
`class`, float32 (N, C) probabilities.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from edge.errors import ConfigError
from models.embedder import mobilenet_v2

NetName = Literal["own-cnn", "vgg16", "mobilenetv2"]

VGG16_FILE = "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
"""Of keras.applications; in no package registry."""
OWN_WIDTHS = (32, 32, 64, 64)
_DEEP = ("block_5_add", "block_12_add", "block_16_project_BN")
"""Maps of MobileNetV2 that the heads look at, with strides 8, 16 and 32. The first has but 32 channels: it can be kept
for thousands of pictures."""
_NECK = 64
_BEYOND = 1
"""Cells that are added at both ends of a row: a side may lie on the very edge, past the centre of the last cell."""


@dataclass(frozen=True, slots=True)
class Net:
    """A localizer in two halves.

    Attributes:
        base: `image` -> one map or several.
        heads: the maps -> `box` and `class`.
    """

    base: Any
    heads: Any

    def whole(self) -> Any:
        """Return both halves as one model, `image` -> `box` and `class`; it shares their weights.

        The heads go in without what they were trained by, so that the file opens where our loss is not known.
        """
        image = keras.Input(self.base.input_shape[1:], dtype="uint8", name="image")
        heads = keras.Model(self.heads.inputs[0], self.heads.output, name="heads")
        return keras.Model(image, heads(self.base(image)), name=self.base.name)


def own_classifier(size: int, classes: int) -> Any:
    """Build the small net that is trained as a classifier first: 32-32-64-64, dense 64, dropout 0.4, softmax."""
    base = own_base(size)
    x = keras.layers.Flatten()(base.output)
    x = keras.layers.Dense(64, activation="relu", name="dense")(x)
    x = keras.layers.Dropout(0.4)(x)
    x = keras.layers.Dense(classes, activation="softmax", name="class")(x)
    return keras.Model(base.input, x, name="own_classifier")


def own_base(size: int) -> Any:
    """Build the convolutions of the small net; its map has a sixteenth of the input's size."""
    if size < 16:
        raise ConfigError(f"localizer size: want at least 16 pixels, got {size}; try 96")
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    for number, width in enumerate(OWN_WIDTHS):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"conv_{number}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool_{number}")(x)
    return keras.Model(image, x, name="own_cnn")


def vgg16_base(size: int, weights: Path | None) -> Any:
    """Build VGG16 without its top.

    Args:
        size: height and width of the input, at least 32 pixels.
        weights: see `vgg16_weights`; None = random weights.

    Raises:
        ConfigError: the file does not hold them.
    """
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    # what keras.applications.vgg16.preprocess_input does: ImageNet's mean colour off, and BGR
    x = keras.layers.Rescaling(1.0, offset=(-123.68, -116.779, -103.939))(image)
    x = keras.layers.Concatenate()([x[..., 2:], x[..., 1:2], x[..., :1]])
    base = keras.applications.VGG16(include_top=False, weights=None, input_shape=(size, size, 3))
    if weights is not None:
        try:
            base.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(f"vgg16 {weights}: want {VGG16_FILE}, got '{error}'; fetch it again") from error
    return keras.Model(image, base(x), name="vgg16")


def vgg16_weights(wanted: str) -> Path | None:
    """Return the file of VGG16's weights, or None where there is none: then the weights are random.

    Args:
        wanted: `random`, a file, or `imagenet` for the one that keras.applications keeps in `~/.keras/models` once
            `keras.applications.VGG16(include_top=False)` was called on a machine with a network.

    Raises:
        ConfigError: the named file is not there.
    """
    if wanted == "random":
        return None
    if wanted == "imagenet":
        path = Path.home() / ".keras" / "models" / VGG16_FILE
        return path if path.is_file() else None
    if not Path(wanted).is_file():
        raise ConfigError(f"weights: want imagenet, random or a file, got '{wanted}', which is not there; correct it")
    return Path(wanted)


def mobilenet_base(size: int, weights: Path | None = None) -> tuple[Any, Any]:
    """Build MobileNetV2 without its last convolution, cut in two.

    Args:
        size: height and width of the input, a multiple of 32 pixels.
        weights: see `models.embedder.mobilenet_v2`; None fetches them.

    Returns:
        The first part, `image` -> map at stride 8, which stays as ImageNet left it; and the second, that map -> maps
        at strides 16 and 32, which may learn, all but the statistics of its normalisations.
    """
    if size % 32:
        raise ConfigError(f"localizer size: want a multiple of 32 for mobilenetv2, got {size}; try 128")
    whole = mobilenet_v2((size, size), None, weights=weights)
    cut, *outputs = (whole.get_layer(name).output for name in _DEEP)
    base = keras.Model(whole.input, cut, name="mobilenetv2")
    tail = keras.Model(cut, outputs, name="mobilenetv2_tail")
    for layer in tail.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return base, tail


def dense_heads(base: Any, classes: int) -> Any:
    """Build the heads of the first two nets: box 128-64-32-4 sigmoid, class 512-512 softmax, on the flattened map."""
    features = keras.Input(base.output_shape[1:], name="features")
    flat = keras.layers.Flatten()(features)
    x = flat
    for width in (128, 64, 32):
        x = keras.layers.Dense(width, activation="relu", name=f"box_{width}")(x)
    box = keras.layers.Dense(4, activation="sigmoid", name="box")(x)
    x = flat
    for number in range(2):
        x = keras.layers.Dense(512, activation="relu", name=f"class_{number}")(x)
    kind = keras.layers.Dense(classes, activation="softmax", name="class")(x)
    return keras.Model(features, {"box": box, "class": kind}, name="heads")


def spatial_heads(tail: Any, classes: int) -> Any:
    """Build the heads of the third net, which keep the places of things up to the end; they begin with its tail.

    The three maps become one at stride 8, as in "Feature Pyramid Networks" (arXiv:1612.03144). For the left and right
    side its columns are looked at, for top and bottom its rows, each by what is strongest in it. A softmax says where
    the side is, and its mean is the coordinate: "Integral Human Pose Regression" (arXiv:1711.08229), on one axis.
    """
    features = keras.Input(tail.input_shape[1:], name="features")
    maps = [features, *tail(features)]
    merged = None
    for number, deep in reversed(list(enumerate(maps))):
        x = keras.layers.Conv2D(_NECK, 1, name=f"neck_{number}")(deep)
        if merged is not None:
            x = keras.layers.Add(name=f"merge_{number}")([x, keras.layers.UpSampling2D(2)(merged)])
        merged = x
    merged = keras.layers.ReLU(6.0)(merged)
    for number in range(2):
        merged = keras.layers.Conv2D(_NECK, 3, padding="same", name=f"neck_conv_{number}")(merged)
        merged = keras.layers.ReLU(6.0)(merged)
    size = int(merged.shape[1])
    # after the pooling, one axis is left: columns for x0 and x1, rows for y0 and y1
    x_sides = _sides(keras.layers.MaxPooling2D((size, 1), name="columns")(merged), size, "x")
    y_sides = _sides(keras.layers.MaxPooling2D((1, size), name="rows")(merged), size, "y")
    box = keras.layers.Concatenate(name="box")([x_sides[0], y_sides[0], x_sides[1], y_sides[1]])
    kind = keras.layers.Dense(classes, activation="softmax", name="class")(_looked_at(maps[1], merged))
    return keras.Model(features, {"box": box, "class": kind}, name="heads")


def _looked_at(features: Any, guide: Any) -> Any:
    """Return the mean of the features where the object is, (N, 128): what the ground holds must not decide the class.

    Args:
        features: map at stride 16.
        guide: map at stride 8 that knows where the object is.
    """
    guide = keras.layers.MaxPooling2D(2, name="guide")(guide)
    cells = int(guide.shape[1]) ** 2
    weight = keras.layers.Reshape((cells,))(keras.layers.Conv2D(1, 3, padding="same", name="attend")(guide))
    weight = keras.layers.Reshape((cells, 1))(keras.layers.Softmax(name="attention")(weight))
    x = keras.layers.Concatenate()([keras.layers.Dropout(0.2)(features), guide])
    x = keras.layers.Conv2D(2 * _NECK, 1, activation="relu", name="class_conv")(x)
    x = keras.layers.Multiply()([keras.layers.Reshape((cells, 2 * _NECK))(x), weight])
    x = keras.layers.Rescaling(float(cells))(keras.layers.GlobalAveragePooling1D()(x))
    return keras.layers.Dropout(0.3)(x)


def _sides(line: Any, cells: int, axis: str) -> list[Any]:
    """Return the lower and the upper side on one axis, each (N, 1), in parts of the input."""
    line = keras.layers.Reshape((cells, _NECK))(line)
    line = keras.layers.ZeroPadding1D(_BEYOND)(line)
    for number in range(2):
        line = keras.layers.Conv1D(_NECK, 5, padding="same", activation="relu", name=f"{axis}_conv_{number}")(line)
    logits = keras.layers.Conv1D(2, 3, padding="same", name=f"{axis}_logits")(line)
    centres = (np.arange(-_BEYOND, cells + _BEYOND) + 0.5) / cells
    chance = keras.layers.Softmax(name=f"{axis}_softmax")(keras.layers.Permute((2, 1))(logits))
    mean = keras.layers.Dense(
        1, use_bias=False, trainable=False, name=f"{axis}_mean",
        kernel_initializer=keras.initializers.Constant(centres[:, None].tolist()),
    )(chance)  # fmt: skip
    both = keras.layers.Reshape((2,))(mean)
    return [both[:, :1], both[:, 1:]]
