"""The layers of MobileNetV2, as torch and as TensorFlow understand them.

Architecture: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", arXiv:1801.04381, table 2,
width 1.0; layers are named as in keras.applications.
"""

from dataclasses import dataclass
from typing import Any

import keras

WIDTH = 1280
"""Channels of the last feature map."""

_STEM_WIDTH = 32
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Of each row of table 2: expansion, width, repeats, stride of the first."""


@dataclass(frozen=True)
class Dialect:
    """Where the libraries that train such networks differ.

    Attributes:
        even_border: a stride-2 convolution has one zero on every side; else, on an even-sized map, at bottom and
            right only.
        epsilon: what batch normalisation adds to the variance.
    """

    even_border: bool
    epsilon: float


TORCH = Dialect(even_border=True, epsilon=1e-5)
TENSORFLOW = Dialect(even_border=False, epsilon=1e-3)


def mobilenet_features(x: Any, dialect: Dialect) -> Any:
    """Build everything up to the last feature map.

    Args:
        x: Keras tensor float32 (N, height, width, 3), normalised.
        dialect: of the library the weights were trained with.

    Returns:
        Keras tensor float32 (N, ceil(height / 32), ceil(width / 32), 1280), values 0..6.
    """
    x = normalise(convolve(x, "Conv1", _STEM_WIDTH, 3, 2, dialect), "bn_Conv1", dialect)
    number = 0
    for expansion, width, repeats, first_stride in _BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            x = _inverted_residual(x, number, expansion, width, stride, dialect)
            number += 1
    return normalise(convolve(x, "Conv_1", WIDTH, 1, 1, dialect), "Conv_1_bn", dialect)


def _inverted_residual(x: Any, number: int, expansion: int, width: int, stride: int, dialect: Dialect) -> Any:
    """Widen, convolve each channel by itself, narrow without activation; add the way in where shapes allow."""
    name = f"block_{number}" if number else "expanded_conv"
    kept = x
    narrow = int(x.shape[-1])
    if expansion != 1:
        x = convolve(x, f"{name}_expand", expansion * narrow, 1, 1, dialect)
        x = normalise(x, f"{name}_expand_BN", dialect)
    x = normalise(convolve(x, f"{name}_depthwise", None, 3, stride, dialect), f"{name}_depthwise_BN", dialect)
    x = normalise(convolve(x, f"{name}_project", width, 1, 1, dialect), f"{name}_project_BN", dialect, relu=False)
    if stride == 1 and narrow == width:
        x = keras.layers.Add(name=f"{name}_add")([kept, x])
    return x


def convolve(x: Any, name: str, width: int | None, kernel: int, stride: int, dialect: Dialect) -> Any:
    """Convolve without bias; each channel by itself where no width is given."""
    padding = "same"
    if dialect.even_border and stride == 2 and (x.shape[1] % 2 == 0 or x.shape[2] % 2 == 0):
        # On an odd-sized map "same" has its border on both sides anyway, and nothing must be copied.
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        padding = "valid"
    options = {"strides": stride, "padding": padding, "use_bias": False, "name": name}
    if width is None:
        return keras.layers.DepthwiseConv2D(kernel, **options)(x)
    return keras.layers.Conv2D(width, kernel, **options)(x)


def normalise(x: Any, name: str, dialect: Dialect, *, relu: bool = True) -> Any:
    """Normalise with the statistics of training, and cut off below 0 and above 6."""
    x = keras.layers.BatchNormalization(epsilon=dialect.epsilon, name=name)(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x
