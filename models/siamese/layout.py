"""Which colours are where, beside what MobileNetV2 sees there: one Keras model from the crop to a vector.

The crop is cut into stripes, for people are striped: hair, jacket, trousers, shoes. In each stripe pixels are counted
by colour. The colours are those that k-means finds in the camera's own crops, and a pixel belongs to several by a
softmax, so that all is ordinary convolution, softmax and pooling that every runtime has and that can be trained.
Colour in stripes told people apart better than ImageNet's features in every test here (docs/same-or-different.md).
"""

from pathlib import Path
from typing import Annotated, Any

import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.settings import did_you_mean, nearest
from edge.types import F32, U8
from models.embedder import mobilenet_v2

Side = Annotated[int, msgspec.Meta(ge=32, le=4096)]
"""Of the input, pixels: MobileNetV2 halves it five times, and below 32 nothing is left."""
SIZE = (128, 64)
"""Height and width of the input in pixels."""
TAP = "block_15_add"
"""Layer of MobileNetV2 whose map is used: the last block and the widest convolution after it told people apart no
better, and are half of the weights."""
_COLOUR_STEP = 2
"""Colours are counted on the picture at half its size."""
_DARKEST = 0.1
"""Added to the lightness that chroma is divided by: what is nearly black has no colour to speak of."""
_CHROMA = 0.8
_SMALLEST = 1e-6
"""Added to a share before its square root, whose slope at 0 is infinite."""
_OPPONENTS = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))
"""Rows of lightness, red against green, yellow against blue."""


def feature_model(
    palette: F32 | None,
    size: tuple[int, int] = SIZE,
    stripes: int = 8,
    centre: float = 0.22,
    tap: str = TAP,
    weights: Path | None = None,
) -> Any:
    """Build the frozen part: crop -> colours in stripes, and MobileNetV2's map in stripes.

    Args:
        palette: float32 (K, 4) of `find_palette`; None leaves colours out.
        size: height and width of the input; the height a multiple of 2 * stripes.
        stripes: in which colours are counted.
        centre: standard deviation of the weight of a column around the middle, in parts of the width. At the sides
            is what stands behind the individual.
        tap: layer of MobileNetV2; "" leaves it out.
        weights: of MobileNetV2; None fetches them.

    Returns:
        keras.Model, input `image` uint8 (N, height, width, 3), outputs `colours` float32 (N, stripes * K) and
        `deep` float32 (N, rows * channels), where they are wanted.
    """
    base = mobilenet_v2(size, pooling=None, weights=weights) if tap else None
    image = keras.Input((*size, 3), dtype="uint8", name="image") if base is None else base.inputs[0]
    outputs = {}
    if palette is not None:
        outputs["colours"] = _count_colours(image, palette, stripes, centre)
    if base is not None:
        x = _map_of(base, tap)
        x = keras.layers.AveragePooling2D((1, int(x.shape[2])), name="deep_stripes")(x)
        outputs["deep"] = keras.layers.Flatten(name="deep")(x)
    model = keras.Model(image, outputs, name="layout")
    model.trainable = False
    return model


def _map_of(base: Any, tap: str) -> Any:
    """Return the map (N, rows, columns, channels) of a layer of MobileNetV2.

    Raises:
        ConfigError: it has no such layer, or that has no map.
    """
    maps = [layer.name for layer in base.layers if len(getattr(layer.output, "shape", ())) == 4]
    if tap not in maps:
        blocks = [name for name in maps if name.endswith("_add")]
        meant = did_you_mean(tap, maps if nearest(tap, maps) else blocks)
        raise ConfigError(f"tap: want a layer of MobileNetV2 that has a map, got '{tap}'; {meant}")
    return base.get_layer(tap).output


def find_palette(pictures: U8, colours: int, seed: int) -> F32:
    """Find the colours that individuals wear before this camera.

    Args:
        pictures: uint8 (N, height, width, 3) RGB crops.
        colours: how many, K.
        seed: of k-means.

    Returns:
        float32 (K, 4): place of each colour in the space of `_to_space`, and how sharply it is told from others.
    """
    from sklearn.cluster import MiniBatchKMeans

    image = keras.Input(pictures.shape[1:], dtype="uint8")
    space = keras.Model(image, _to_space(image))
    random = np.random.default_rng(seed)
    some = random.permutation(len(pictures))[:256]
    places = np.asarray(space.predict(pictures[some], verbose=0))
    width = places.shape[2]
    middle = places[:, :, width // 4 : width - width // 4].reshape(-1, 3)
    found = MiniBatchKMeans(colours, n_init=1, random_state=seed).fit(middle[random.permutation(len(middle))[:60_000]])
    centres = found.cluster_centers_.astype(np.float32)
    off = ((centres[:, None] - centres[None]) ** 2).sum(-1)
    np.fill_diagonal(off, np.inf)
    sharpness = 2.0 / np.median(off.min(axis=1))
    return np.column_stack([centres, np.full(colours, sharpness, np.float32)]).astype(np.float32)


def project(features: Any, kernels: dict[str, NDArray[Any]], bias: NDArray[Any], trainable: bool = True) -> Any:
    """Build the projection: each part of the features through its own matrix, added, and set to length 1.

    Two matrices, not one over both: an int8 runtime gives each input one scale, and colours would drown in it.

    Args:
        features: name -> Keras tensor (N, F) of `feature_model`.
        kernels: name -> (F, D).
        bias: (D,).
        trainable: whether training changes it.

    Returns:
        Keras tensor (N, D), rows of length 1.
    """
    parts: list[Any] = []
    for name, kernel in kernels.items():
        layer = keras.layers.Dense(kernel.shape[1], use_bias=not parts, name=f"project_{name}", trainable=trainable)
        parts.append(layer(features[name]))
        layer.set_weights([kernel, bias] if len(parts) == 1 else [kernel])
    x = parts[0] if len(parts) == 1 else keras.layers.Add(name="project")(parts)
    return keras.layers.UnitNormalization(name="embedding")(x)


def _to_space(image: Any) -> Any:
    """Return lightness and two chromas of each pixel at half size: (N, height / 2, width / 2, 3).

    Chroma is divided by lightness, so that a shadow that falls on a red jacket leaves it red.
    """
    x = keras.layers.Rescaling(1 / 255, name="unit")(image)
    x = keras.layers.AveragePooling2D(_COLOUR_STEP, name="half")(x)
    to_opponents = keras.layers.Conv2D(3, 1, use_bias=False, name="opponents", trainable=False)
    x = to_opponents(x)
    to_opponents.set_weights([np.array(_OPPONENTS, np.float32).T[None, None]])
    light, chroma = x[..., :1], x[..., 1:]
    light = keras.ops.maximum(light, 0.0)
    chroma = keras.ops.multiply(keras.ops.divide(chroma, keras.ops.add(light, _DARKEST)), _CHROMA)
    light = keras.ops.multiply(keras.ops.sqrt(keras.ops.add(light, _SMALLEST)), _CHROMA)
    return keras.layers.Concatenate(name="colour_space")([light, chroma])


def _count_colours(image: Any, palette: F32, stripes: int, centre: float) -> Any:
    """Return the square root of each colour's share of each stripe: (N, stripes * K).

    The square root makes the Euclidean distance that of Hellinger, in which rare colours count too.
    """
    x = _to_space(image)
    height, width = int(x.shape[1]), int(x.shape[2])
    places, sharpness = palette[:, :3], palette[0, 3]
    assign = keras.layers.Conv2D(len(palette), 1, name="palette", trainable=False)
    x = assign(x)
    # -s |x - c|^2, less what all colours have in common and a softmax does not see
    assign.set_weights([2 * sharpness * places.T[None, None], -sharpness * (places**2).sum(axis=1)])
    x = keras.layers.Softmax(name="colour_shares")(x)
    column = np.exp(-0.5 * ((np.arange(width) - (width - 1) / 2) / width / centre) ** 2)
    rows = height // stripes
    weight = np.tile(column / column.sum() / rows, (rows, 1)).astype(np.float32)
    count = keras.layers.DepthwiseConv2D(
        (rows, width), strides=(rows, rows), use_bias=False, name="count", trainable=False
    )
    x = count(x)
    count.set_weights([np.repeat(weight[:, :, None, None], len(palette), axis=2)])
    x = keras.ops.sqrt(keras.ops.add(x, _SMALLEST))
    return keras.layers.Flatten(name="colours")(x)
