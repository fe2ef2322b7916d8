"""A trained classifier through the converter as a person would do it, and the same one poisoned in four ways."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import SUMS_FILE, Manifest, find_bundles
from models.registries import FetchError

ROOT = Path(__file__).parents[2]
AGREEMENT, DROP = 0.995, 0.002
"""What int8 must keep of this model, from the project's own figures to reach."""


def converters(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "converters", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=ROOT, env={**os.environ})


@pytest.fixture(scope="module")
def fashion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train in a process of its own: TensorFlow keeps its memory."""
    folder = tmp_path_factory.mktemp("fashion")
    try:
        from models.data.fashion_mnist import load

        load("test")
    except FetchError as error:
        pytest.skip(f"Fashion-MNIST is not to be had here: {error}")
    command = [sys.executable, "tests/fashion_cnn.py", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def bundles(fashion: Path) -> dict[str, Manifest]:
    done = converters(
        "convert", fashion / "fashion.keras", "--calibrate", fashion / "calibrate.npz",
        "--metric-data", fashion / "test.npz", "--max-drop", DROP, "--min-agreement", AGREEMENT,
        "--variants", "fp32,fp16,dynamic,int8,u8s8", "--out", fashion / "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {bundle.path.name: bundle.manifest for bundle in find_bundles(fashion / "out")}


def test_int8_classifies_like_keras(bundles: dict[str, Manifest]) -> None:
    manifest = bundles["fashion-28-int8-tflite"]
    metrics = {metric.name: metric for metric in manifest.metrics}
    assert metrics["top-1 agreement"].examples == 10_000
    assert metrics["top-1 agreement"].value >= AGREEMENT
    accuracy = metrics["accuracy"]
    assert accuracy.keras is not None
    assert accuracy.keras > 0.85, "the classifier must be a trained one"
    assert accuracy.value >= accuracy.keras - DROP


def test_all_variants_are_there_with_a_report(fashion: Path, bundles: dict[str, Manifest]) -> None:
    kinds = {"fp32-tflite", "fp16-tflite", "dynamic-tflite", "int8-tflite"}  # int16x8 has no fast kernels: minutes
    kinds |= {"fp32-onnx", "fp16-onnx", "int8-onnx", "u8s8-onnx"}
    assert set(bundles) == {f"fashion-28-{kind}" for kind in kinds}
    report = fashion / "out" / "fashion-28.report"
    assert json.loads((report / "report.json").read_text())["chosen"] in bundles
    assert "int8-tflite" in (report / "report.md").read_text()
    assert (report / "report.html").stat().st_size > 10_000


def test_a_bundle_is_verified_from_what_it_records(fashion: Path, bundles: dict[str, Manifest]) -> None:
    bundle = fashion / "out" / "fashion-28-int8-tflite"
    done = converters("verify", bundle, "--metric-data", fashion / "test.npz")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all checks passed" in done.stdout


def test_the_same_model_gives_the_same_bundles(fashion: Path, bundles: dict[str, Manifest]) -> None:
    again = converters(
        "convert", fashion / "fashion.keras", "--calibrate", fashion / "calibrate.npz", "--variants",
        "int8-tflite,int8-onnx", "--metric-data", fashion / "test.npz", "--max-drop", DROP,
        "--min-agreement", AGREEMENT, "--out", fashion / "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    for name in ("int8-tflite", "int8-onnx"):
        again_sums, sums = (
            (fashion / folder / f"fashion-28-{name}" / SUMS_FILE).read_text().splitlines()
            for folder in ("again", "out")
        )
        assert [line for line in again_sums if "model." in line] == [line for line in sums if "model." in line]


def poison(fashion: Path, target: Path, body: str) -> None:
    """Change the trained model with a piece of Python and save it."""
    load = f"import keras, numpy as np\nmodel = keras.models.load_model({str(fashion / 'fashion.keras')!r})"
    code = f"{load}\n{body}\nmodel.save({str(target)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


UNEVEN = """
old = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"][-1]
cut = keras.Model(model.input, old.output)
depthwise = keras.layers.DepthwiseConv2D(1, use_bias=False, name="uneven")
scale = np.where(np.arange(old.output.shape[-1]) % 2, 1000.0, 1.0).astype("float32")
x = depthwise(old.output)
depthwise.set_weights([scale.reshape(1, 1, -1, 1)])
back = keras.layers.DepthwiseConv2D(1, use_bias=False, name="back")
y = back(x)
back.set_weights([(1 / scale).reshape(1, 1, -1, 1)])
place = model.layers.index(old)
for layer in model.layers[place + 1:]:
    y = layer(y)
model = keras.Model(model.input, y)
"""
NAN = """
weights = model.layers[-1].get_weights()
weights[1][3] = np.nan
model.layers[-1].set_weights(weights)
"""
AUGMENTED = """
archive = keras.export.ExportArchive()
noisy = keras.layers.RandomTranslation(0.3, 0.3)
noisy.build((None, 28, 28, 1))
archive.track(model)
archive.track(noisy)
import tensorflow as tf
archive.add_endpoint("serve", lambda x: model(noisy(x, training=True), training=False),
                     input_signature=[tf.TensorSpec((None, 28, 28, 1), tf.float32)])
archive.write_out(TARGET)
raise SystemExit
"""


def convert(fashion: Path, model: Path, calibrate: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return converters(
        "convert", model, "--calibrate", calibrate, "--metric-data", fashion / "test.npz", "--task", "classify",
        "--variants", "int8-tflite", "--out", out, *more,
    )  # fmt: skip


def test_channels_of_very_uneven_range_are_caught_and_the_layer_is_named(fashion: Path, tmp_path: Path) -> None:
    poison(fashion, tmp_path / "uneven.keras", UNEVEN)
    done = convert(fashion, tmp_path / "uneven.keras", fashion / "calibrate.npz", tmp_path / "out", "--attempts", "1")
    assert done.returncode == 3, done.stdout
    assert "uneven" in done.stdout.partition("worst layers")[2]
    assert not find_bundles(tmp_path / "out")


def test_calibration_in_the_wrong_scale_is_caught(fashion: Path, tmp_path: Path) -> None:
    with np.load(fashion / "calibrate.npz") as right:
        np.savez(tmp_path / "wrong.npz", image=(right["image"] / 255).astype(np.float32))
    done = convert(fashion, fashion / "fashion.keras", tmp_path / "wrong.npz", tmp_path / "out", "--input", "float32")
    assert done.returncode == 3, done.stdout
    assert "scale" in done.stdout
    assert not find_bundles(tmp_path / "out")


def test_augmentation_left_on_is_caught(fashion: Path, tmp_path: Path) -> None:
    poison(fashion, tmp_path / "noisy", AUGMENTED.replace("TARGET", repr(str(tmp_path / "noisy"))))
    done = convert(fashion, tmp_path / "noisy", fashion / "calibrate.npz", tmp_path / "out")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "augmentation" in done.stdout + done.stderr
    assert not find_bundles(tmp_path / "out")


def test_weights_that_are_not_numbers_are_caught(fashion: Path, tmp_path: Path) -> None:
    poison(fashion, tmp_path / "nan.keras", NAN)
    done = convert(fashion, tmp_path / "nan.keras", fashion / "calibrate.npz", tmp_path / "out")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "NaN" in done.stdout + done.stderr
    assert not find_bundles(tmp_path / "out")
