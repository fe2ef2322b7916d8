"""Whole inputs, made by the packages that people make them with: `python -m tests.fuzz.originals FOLDER`.

A process of its own, because TensorFlow takes seconds to import and its memory should not be copied into others.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.backends import open_backend
from edge.bundle import (
    FORMAT,
    Bundle,
    Decoder,
    Embedding,
    Golden,
    Manifest,
    Preprocess,
    Provenance,
    TensorSpec,
    sha256,
    write_bundle,
)
from edge.golden import PHOTO_SHAPE, make_golden
from tests.conftest import fake_bundle
from tests.unit.test_compare import pair_bundle

SIDE = 32
"""Height and width of the models' pictures, pixels."""

FAKE, TFLITE, ONNX = ("detect", "embed", "classify", "localize", "pair"), ("classify", "embed"), ("detect", "embed")
"""Tasks of the bundles of each runtime; they lie in bundles/<runtime>-<task>."""

KERAS = ("three.keras", "three.h5", "two.keras", "two.h5", "two_saved", "exported")
"""Files of Keras 3, of Keras 2, and a SavedModel with and without Keras' notes; they lie in keras/."""

_STRIDE, _BINS, _CLASSES, _DIM = 8, 4, 3, 12


def make_light(folder: Path) -> None:
    """Make what needs no TensorFlow: fake bundles, pictures and films."""
    for task in FAKE[:-1]:
        _move(fake_bundle(folder / "made", task), folder / "bundles" / f"fake-{task}")
    _move(pair_bundle(folder / "made", 48), folder / "bundles" / "fake-pair")
    _pictures(folder / "pictures")
    _films(folder / "films")


def make_heavy(folder: Path) -> None:
    """Make Keras files, and bundles of LiteRT and ONNX Runtime."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    _onnx_bundles(folder)
    _keras_files(folder)


def _move(bundle: Bundle, folder: Path) -> None:
    """Put a bundle and its zip where the kinds look for them."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    bundle.path.rename(folder)
    bundle.path.with_name(f"{bundle.path.name}.zip").rename(folder.with_name(f"{folder.name}.zip"))


def _picture(number: int, height: int = 48, width: int = 64) -> Any:
    """Draw something that compresses as a photograph does."""
    small = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def _pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for suffix in ("png", "jpg", "bmp", "webp", "tif", "ppm", "pgm"):
        picture = _picture(1)
        cv2.imwrite(str(folder / f"whole.{suffix}"), picture[..., 0] if suffix == "pgm" else picture)
    rows = np.stack([_picture(number, 16, 16) for number in range(6)])
    np.savez_compressed(folder / "whole.npz", x=rows, y=np.arange(6))
    (folder / "several").mkdir()
    for number in range(2):
        cv2.imwrite(str(folder / "several" / f"{number}.png"), _picture(number))


def _films(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, codec in (("whole.avi", "MJPG"), ("whole.mp4", "mp4v")):
        writer = cv2.VideoWriter(str(folder / name), cv2.VideoWriter.fourcc(*codec), 10.0, (64, 48))
        for number in range(6):
            writer.write(_picture(number))
        writer.release()


def _bundle(
    folder: Path, runtime: str, task: str, model: bytes, specs: tuple[TensorSpec, Sequence[TensorSpec]]
) -> None:
    """Write a bundle whose stored answer is what the runtime gives here."""
    manifest = Manifest(
        format=FORMAT, name=f"{runtime}-{task}", task=task, runtime=runtime, variant="fp32",
        model_file=f"model.{runtime}", inputs=(specs[0],), outputs=tuple(specs[1]),
        preprocess=Preprocess(fit="letterbox" if task == "detect" else "stretch", pad_value=0),
        golden=Golden(max_error=1e-3, why="float sums in another order"),
        provenance=Provenance(keras="none", weights=(), recipe_sha256=""),
        labels=("a", "b", "c") if task in ("classify", "detect") else (),
        decoder=Decoder(name="nanodet", strides=(_STRIDE,), bins=_BINS, threshold=0.4) if task == "detect" else None,
        embedding=Embedding(dim=_DIM, unit_length=False) if task == "embed" else None,
    )  # fmt: skip
    image = _picture(3, SIDE, SIDE)
    (folder / "made").mkdir(exist_ok=True)
    (folder / "made" / manifest.model_file).write_bytes(model)
    backend = open_backend(Bundle(folder / "made", manifest, {manifest.model_file: sha256(model)}), 1)
    tensor = image[None].astype(specs[0].dtype)
    answer = [np.array(output) for output in backend.invoke([tensor])]
    backend.close()
    photo = np.random.default_rng(0).integers(0, 256, (*PHOTO_SHAPE, 3), np.uint8)
    golden = make_golden(manifest, [image], photo, answer)
    write_bundle(folder / "bundles" / manifest.name, manifest, model, golden)


def _onnx_bundles(folder: Path) -> None:
    cells = (SIDE // _STRIDE) ** 2
    image = TensorSpec(name="image", dtype="uint8", shape=(1, SIDE, SIDE, 3))
    shapes = {f"cls_{_STRIDE}": (1, cells, _CLASSES), f"reg_{_STRIDE}": (1, cells, 4 * _BINS)}
    heads = [TensorSpec(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()]
    _bundle(folder, "onnx", "detect", _onnx(heads, "Sigmoid"), (image, heads))
    vector = [TensorSpec(name="embedding", dtype="float32", shape=(1, _DIM))]
    _bundle(folder, "onnx", "embed", _onnx(vector, "Relu"), (image, vector))


def _onnx(outputs: Sequence[TensorSpec], activation: str) -> bytes:
    """Build one convolution for each output, as wide as its last axis."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(5)
    nodes = [
        helper.make_node("Cast", ["image"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["real"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    stored = []
    for spec in outputs:
        pooled, width = len(spec.shape) == 2, spec.shape[-1]
        weights = random.normal(0, 0.01, (width, 3, _STRIDE, _STRIDE)).astype(np.float32)
        stored += [
            numpy_helper.from_array(weights, f"w_{spec.name}"),
            numpy_helper.from_array(np.array(spec.shape, np.int64), f"shape_{spec.name}"),
        ]
        nodes += [
            helper.make_node("Conv", ["planes", f"w_{spec.name}"], [f"a_{spec.name}"], strides=[_STRIDE] * 2),
            helper.make_node(activation, [f"a_{spec.name}"], [f"b_{spec.name}"]),
            helper.make_node("GlobalAveragePool" if pooled else "Identity", [f"b_{spec.name}"], [f"c_{spec.name}"]),
            helper.make_node("Transpose", [f"c_{spec.name}"], [f"d_{spec.name}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"d_{spec.name}", f"shape_{spec.name}"], [spec.name]),
        ]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, spec.shape) for spec in outputs], stored,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _net(library: Any, outputs: int, name: str) -> Any:
    layers = library.layers
    image = library.Input((SIDE, SIDE, 3), batch_size=1 if name != "out" else None, name="image")
    x = layers.Rescaling(1 / 255.0)(image)
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.DepthwiseConv2D(3, padding="same", depthwise_initializer="he_normal", depthwise_regularizer="l2")(x)
    y = layers.ReLU(6.0)(x)
    x = layers.GlobalAveragePooling2D()(layers.Concatenate()([x, y]))
    return library.Model(image, layers.Dense(outputs, activation="sigmoid", name=name)(x))


def _keras_files(folder: Path) -> None:
    import keras
    import tensorflow as tf
    import tf_keras

    place = folder / "keras"
    place.mkdir(parents=True)
    keras.utils.set_random_seed(1)
    three = _net(keras, 5, "out")
    three.save(place / "three.keras")
    three.save(place / "three.h5")
    three.export(str(place / "exported"), verbose=False)
    tf_keras.utils.set_random_seed(1)
    two = _net(tf_keras, 5, "out")
    two.save(str(place / "two.keras"))
    two.save(str(place / "two.h5"))
    two.save(str(place / "two_saved"))
    image = TensorSpec(name="image", dtype="float32", shape=(1, SIDE, SIDE, 3))
    for task, width in (("classify", 3), ("embed", _DIM)):
        model = tf.lite.TFLiteConverter.from_keras_model(_net(keras, width, "answer")).convert()
        wide = TensorSpec(name="output_0", dtype="float32", shape=(1, width))
        _bundle(folder, "tflite", task, model, (image, [wide]))


if __name__ == "__main__":
    make_heavy(Path(sys.argv[1]))
