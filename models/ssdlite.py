"""SSDLite on MobileNetV2, trained on people: the detector for machines that have PyPI but no npm.

Less sure than NanoDet-g and only of people. Liu et al., "SSD: Single Shot MultiBox Detector", arXiv:1512.02325,
with the separable heads of arXiv:1801.04381 section 6.2; the layout of anchors and box codes is that of the
TensorFlow Object Detection API, which trained the weights.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from edge.errors import BundleError
from models.mobilenet import TENSORFLOW, convolve, mobilenet_features, normalise
from models.pixels import subtract_mean
from models.weights import fetch

SIZE = 300
"""Height and width of the input in pixels. The anchors were laid out for it."""

GRIDS = (19, 10, 5, 3, 2, 1)
"""Cells each way of the six feature maps that boxes are predicted from."""

_EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))
"""Of the maps behind the backbone: width of the 1 x 1 and of the separable stride-2 convolution."""

_RATIOS = (1.0, 2.0, 0.5, 3.0, 0.3333)
_SMALLEST, _LARGEST = 0.2, 0.95
"""Side of the square anchor of the first and of the last map, of the picture's side."""

_BOX_SCALES = (10.0, 10.0, 5.0, 5.0)
"""What the offsets of centre and of size were multiplied with in training; `faster_rcnn_box_coder`."""

_MIDDLE, _HALF_RANGE = 127.5, 127.5
"""Pixels 0..255 become -1..1."""


def pedestrian_ssdlite(weights: Path | None = None) -> Any:
    """Build the people detector with its trained weights.

    Args:
        weights: `frozen_inference_graph.pb`; None fetches it.

    Returns:
        keras.Model, channels last, input `image` uint8 (N, 300, 300, 3) RGB 0..255; outputs `boxes` float32
        (N, 1917, 4) xyxy in pixels of the input and `scores` float32 (N, 1917, 1), 0..1. Before suppression;
        boxes may reach beyond the picture.

    Raises:
        BundleError: the weights are not those of this network.
        FetchError: they could not be fetched.
    """
    path = weights if weights is not None else fetch("pedestrian-ssdlite")
    model = _network()
    _load(model, _read_constants(path), path.name)
    return model


def anchors() -> NDArray[np.float32]:
    """Return the boxes that predictions are relative to, float32 (1917, 4): centre x, y, width, height in pixels.

    Rows run over maps, then rows of cells, then columns, then shapes; `ssd_anchor_generator`.
    """
    scales = [_SMALLEST + (_LARGEST - _SMALLEST) * n / (len(GRIDS) - 1) for n in range(len(GRIDS))] + [1.0]
    parts = []
    for n, cells in enumerate(GRIDS):
        shapes = [(scales[n], ratio) for ratio in _RATIOS] + [((scales[n] * scales[n + 1]) ** 0.5, 1.0)]
        if n == 0:
            shapes = [(_SMALLEST / 2, 1.0), (_SMALLEST, 2.0), (_SMALLEST, 0.5)]
        centre = (np.arange(cells) + 0.5) / cells
        grid = np.empty((cells, cells, len(shapes), 4))
        grid[..., 0] = centre[None, :, None]
        grid[..., 1] = centre[:, None, None]
        grid[..., 2] = [scale * ratio**0.5 for scale, ratio in shapes]
        grid[..., 3] = [scale / ratio**0.5 for scale, ratio in shapes]
        parts.append(grid.reshape(-1, 4) * SIZE)
    return np.concatenate(parts).astype(np.float32)


def _network() -> Any:
    """Build the layers, weights still random."""
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="image")
    x = mobilenet_features(subtract_mean(image, (_MIDDLE,) * 3), TENSORFLOW)
    first = keras.Model(image, x).get_layer("block_13_expand_BN_relu").output
    codes, scores = [], []
    for n, level in enumerate([first, x, *_extra_maps(x)]):
        count = 3 if n == 0 else 6
        codes.append(_predict(level, f"boxes_{n}", 4 * count, 4))
        scores.append(_predict(level, f"scores_{n}", count, 1))
    score = keras.layers.Activation("sigmoid", name="scores")(keras.layers.Concatenate(1, name="logits")(scores))
    boxes = _decode(keras.layers.Concatenate(1, name="codes")(codes))
    return keras.Model(image, {"boxes": boxes, "scores": score}, name="pedestrian_ssdlite")


def _extra_maps(x: Any) -> list[Any]:
    """Return the four ever smaller maps behind the backbone."""
    maps = []
    for n, (narrow, width) in enumerate(_EXTRA, start=2):
        x = normalise(convolve(x, f"extra_{n}_narrow", narrow, 1, 1, TENSORFLOW), f"extra_{n}_narrow_BN", TENSORFLOW)
        x = convolve(x, f"extra_{n}_depthwise", None, 3, 2, TENSORFLOW)
        x = normalise(x, f"extra_{n}_depthwise_BN", TENSORFLOW)
        x = normalise(convolve(x, f"extra_{n}_widen", width, 1, 1, TENSORFLOW), f"extra_{n}_widen_BN", TENSORFLOW)
        maps.append(x)
    return maps


def _predict(x: Any, name: str, width: int, columns: int) -> Any:
    """Predict something for every anchor of a map: (N, anchors, columns)."""
    x = normalise(convolve(x, f"{name}_depthwise", None, 3, 1, TENSORFLOW), f"{name}_depthwise_BN", TENSORFLOW)
    x = keras.layers.Conv2D(width, 1, name=name)(x)
    return keras.layers.Reshape((-1, columns), name=f"{name}_rows")(x)


def _decode(codes: Any) -> Any:
    """Turn codes (N, 1917, 4), offsets of the centre and logarithms of the size, into xyxy pixels."""
    around = anchors()[None]
    centre = codes[..., :2] * around[..., 2:] + around[..., :2]
    half = keras.ops.exp(codes[..., 2:]) * (around[..., 2:] / 2)
    return keras.ops.concatenate([centre - half, centre + half], axis=-1)


def _read_constants(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the float arrays of a frozen TensorFlow graph."""
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise BundleError(f"{path.name}: want a frozen TensorFlow graph, got {error}; fetch it again") from error
    tensors = {node.name: node.attr["value"].tensor for node in graph.node if node.op == "Const"}
    return {
        name: tf.make_ndarray(value) for name, value in tensors.items() if value.dtype == tf.float32.as_datatype_enum
    }


def _scope(layer: str) -> str:
    """Return what a layer of ours is called in the graph."""
    backbone = "FeatureExtractor/MobilenetV2/"
    if layer in ("Conv1", "Conv_1"):
        return backbone + ("Conv" if layer == "Conv1" else "Conv_1")
    place, _, part = layer.rpartition("_")
    if layer.startswith(("block_", "expanded_conv_")):
        return f"{backbone}{place.replace('block_', 'expanded_conv_')}/{part}"
    if layer.startswith("extra_"):
        n = int(place.removeprefix("extra_"))
        narrow, width = _EXTRA[n - 2]
        if part == "narrow":
            return f"{backbone}layer_19_1_Conv2d_{n}_1x1_{narrow}"
        return f"{backbone}layer_19_2_Conv2d_{n}_3x3_s2_{width}" + ("_depthwise" if part == "depthwise" else "")
    kind, n_, *rest = layer.split("_")
    predictor = {"boxes": "BoxEncodingPredictor", "scores": "ClassPredictor"}[kind]
    return "_".join([f"BoxPredictor_{n_}/{predictor}", *rest])


def _array_names(layer: Any, convolution: str) -> list[str]:
    """Return the graph's names of a layer's arrays, in the order of `layer.weights`."""
    kind, scope = type(layer).__name__, _scope(convolution)
    if kind == "BatchNormalization":
        return [f"{scope}/BatchNorm/{array}" for array in ("gamma", "beta", "moving_mean", "moving_variance")]
    if kind == "DepthwiseConv2D":
        return [f"{scope}/depthwise_weights"]
    return [f"{scope}/weights", f"{scope}/biases"][: len(layer.weights)]


def _load(model: Any, arrays: dict[str, NDArray[np.float32]], what: str) -> None:
    """Put the graph's arrays into the layers; a batch normalisation belongs to the convolution before it."""
    convolution = ""
    for layer in model.layers:
        if not layer.weights:
            continue
        if type(layer).__name__ != "BatchNormalization":
            convolution = layer.name
        else:
            convolution = layer.input._keras_history.operation.name
        names = _array_names(layer, convolution)
        absent = [name for name in names if name not in arrays]
        if absent:
            raise BundleError(f"{what}: want an array '{absent[0]}', got none; fetch it again")
        taken = [_ours(layer.name, arrays[name]) for name in names]
        got, want = [array.shape for array in taken], [tuple(variable.shape) for variable in layer.weights]
        if got != want:
            raise BundleError(f"{what}, layer {layer.name}: want shapes {want}, got {got}; fetch it again")
        layer.set_weights(taken)


def _ours(layer: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change an array to what our layer wants.

    The first kernel takes over the division of the pixels; box codes come as y, x, height, width and scaled; the
    score of "background" is left out.
    """
    if layer == "Conv1":
        return np.divide(array, _HALF_RANGE, dtype=np.float32)
    if layer in [f"boxes_{n}" for n in range(len(GRIDS))]:
        columns = array.reshape(-1, 4)[:, [1, 0, 3, 2]]
        return np.divide(columns, _BOX_SCALES, dtype=np.float32).reshape(array.shape)
    if layer in [f"scores_{n}" for n in range(len(GRIDS))]:
        return array[..., 1::2]
    return array
