"""Embedders to start from: `models embed build`. What is looked at is a crop; what comes out is one vector.

MobileNetV2 at width 1.0 brings the weights that can be fetched (`models.embedder`). No package registry has weights of
the others, nor of other widths: give a file of your own, as `keras.applications` or a training of yours leaves it.
"""

from pathlib import Path
from typing import Any, Literal

import keras

from edge.errors import ConfigError
from models.embedder import MEAN_RGB, STD_RGB, mobilenet_v2

BaseName = Literal["mobilenetv2", "resnet50", "efficientnet-lite0"]
BASES: tuple[BaseName, ...] = ("mobilenetv2", "resnet50", "efficientnet-lite0")
Pooling = Literal["avg", "max", "none"]

_LITE = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Of each stage of EfficientNet-Lite0: expansion, width, repeats, stride of the first, kernel. EfficientNet (Tan and
Le, arXiv:1905.11946, table 1) without squeeze-and-excitation and with ReLU6, which int8 runtimes like better."""


def build_base(
    name: BaseName,
    size: tuple[int, int] = (224, 224),
    alpha: float = 1.0,
    pooling: Pooling = "avg",
    weights: Path | None = None,
) -> keras.Model:
    """Build an embedder of uint8 pictures.

    Args:
        name: which network.
        size: height and width of the input, pixels.
        alpha: width of MobileNetV2.
        pooling: how the last map becomes a vector of length 1; `none` keeps the map as it is.
        weights: file of Keras weights for the network without its top; None = those that can be fetched.

    Raises:
        ConfigError: no weights can be had, or those of the file do not fit.
    """
    if min(size) < 32:
        raise ConfigError(f"size: want at least 32 pixels each way, got {size}; try 97x97")
    pool: Literal["avg", "max"] | None = None if pooling == "none" else pooling
    if name == "mobilenetv2" and alpha == 1.0 and weights is None:
        return mobilenet_v2(size, pool, unit_length=pool is not None)
    if weights is None:
        what = f"mobilenetv2 of width {alpha:g}" if name == "mobilenetv2" else name
        raise ConfigError(
            f"{what}: want --weights FILE, got none, and no package registry has them; on a networked machine save "
            "them with keras.applications, or take mobilenetv2 of width 1"
        )
    image = keras.Input((*size, 3), dtype="uint8", name="image")
    try:
        network = _network(name, size, alpha)
        network.load_weights(weights)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"weights {weights}: want those of {name} without its top, got '{reason}'") from error
    x = network(_normalise(name, image))
    if pool is not None:
        layer = keras.layers.GlobalAveragePooling2D if pool == "avg" else keras.layers.GlobalMaxPooling2D
        x = keras.layers.UnitNormalization(name="embedding")(layer(name="pool")(x))
    return keras.Model(image, {"embedding": x}, name=name.replace("-", "_"))


def _network(name: BaseName, size: tuple[int, int], alpha: float) -> keras.Model:
    shape = (*size, 3)
    if name == "mobilenetv2":
        return keras.applications.MobileNetV2(shape, alpha=alpha, include_top=False, weights=None)
    if name == "resnet50":
        return keras.applications.ResNet50(include_top=False, weights=None, input_shape=shape)
    return efficientnet_lite0(shape)


def _normalise(name: BaseName, image: Any) -> Any:
    """Scale pixels as the weights were trained: to -1..1, BGR less the mean, or by the spread of ImageNet."""
    if name == "mobilenetv2":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    if name == "resnet50":
        x = keras.ops.flip(keras.ops.cast(image, "float32"), axis=-1)
        return keras.layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], name="scale")(x)
    offset = [-mean / std for mean, std in zip(MEAN_RGB, STD_RGB, strict=True)]
    return keras.layers.Rescaling([1 / std for std in STD_RGB], offset=offset, name="scale")(image)


def efficientnet_lite0(shape: tuple[int, int, int]) -> keras.Model:
    """Build EfficientNet-Lite0 without its top, weights random."""
    inside = keras.Input(shape)
    x = _convolve(inside, "stem", 32, 3, 2)
    for stage, (expansion, width, repeats, stride, kernel) in enumerate(_LITE):
        for repeat in range(repeats):
            x = _block(x, f"block_{stage}_{repeat}", expansion, width, stride if repeat == 0 else 1, kernel)
    return keras.Model(inside, _convolve(x, "head", 1280, 1, 1), name="efficientnet_lite0")


def _block(x: Any, name: str, expansion: int, width: int, stride: int, kernel: int) -> Any:
    kept, narrow = x, int(x.shape[-1])
    if expansion != 1:
        x = _convolve(x, f"{name}_expand", expansion * narrow, 1, 1)
    x = _convolve(x, f"{name}_depthwise", None, kernel, stride)
    x = _convolve(x, f"{name}_project", width, 1, 1, relu=False)
    return keras.layers.Add(name=f"{name}_add")([kept, x]) if stride == 1 and narrow == width else x


def _convolve(x: Any, name: str, width: int | None, kernel: int, stride: int, *, relu: bool = True) -> Any:
    options = {"strides": stride, "padding": "same", "use_bias": False, "name": name}
    convolution = keras.layers.DepthwiseConv2D(kernel, **options) if width is None else None
    x = convolution(x) if convolution is not None else keras.layers.Conv2D(width, kernel, **options)(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x
