"""A small Keras model through the converter, judged by the device's own code; and models that must be refused."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.convert import bundle_folder
from edge.bundle import STAGING, find_bundles
from edge.model import open_model

ROOT = Path(__file__).parents[2]
VARIANTS = ("fp32-tflite", "fp16-tflite", "dynamic-tflite", "int8-tflite", "fp32-onnx", "int8-onnx")

MODEL = """
import keras
import numpy as np

def build(poison=False):
    keras.utils.set_random_seed(7)
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = keras.layers.RandomFlip()(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.SeparableConv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(24, name="embedding")(x))
    if poison:
        model.layers[-1].bias.assign(np.full(24, np.nan))
    return model
"""


def recipe(folder: Path, limits: str, arguments: str = "") -> Path:
    """Write a recipe for the model above, with pictures of its own."""
    (folder / "tiny_model.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    for part in ("calibrate", "judge"):
        (folder / part).mkdir(exist_ok=True)
        for number in range(12):
            noise = cv2.resize(rng.integers(0, 256, (6, 6, 3)).astype(np.uint8), (64, 64))
            cv2.imwrite(str(folder / part / f"{number}.png"), noise)
    lines = [
        'name = "tiny"', "size = 32", 'task = "embed"', 'model = "tiny_model:build"', arguments,
        "[preprocess]", 'fit = "stretch"', "[embedding]", 'metric = "manhattan"',
        "[[calibration]]", f'source = "{folder / "calibrate"}"', "count = 12",
        "[[parity]]", f'source = "{folder / "judge"}"', "count = 12",
        "[variants]", limits,
    ]  # fmt: skip
    path = folder / "tiny-32.toml"
    path.write_text("\n".join(lines))
    return path


def convert(path: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys; from converters.cli import main; code = main(sys.argv[1:]); "
        "print('tensorflow' in sys.modules); sys.exit(code)"
    )
    words = [sys.executable, "-c", code, "convert", str(path), "--out", str(out), *more]
    paths = {"PYTHONPATH": f"{ROOT}:{path.parent}"}
    return subprocess.run(words, capture_output=True, text=True, timeout=300, env=os.environ | paths)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    path = recipe(folder, "\n".join(f"{name} = {{ cosine_min = 0.97 }}" for name in VARIANTS))
    done = convert(path, folder / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    return path, folder / "out"


def test_all_six_variants_are_written_and_open_on_the_device(made: tuple[Path, Path]) -> None:
    bundles = find_bundles(made[1])
    assert {bundle.path.name for bundle in bundles} == {f"tiny-32-{name}" for name in VARIANTS}
    for bundle in bundles:
        assert bundle.path.with_name(f"{bundle.path.name}.zip").is_file()
        assert min(part.cosine_min for part in bundle.manifest.parity) >= 0.97
        with open_model(bundle.path, "embed", 1) as model:
            assert model.bundle.manifest.embedding is not None
            assert model.bundle.manifest.embedding.dim == 24


def test_what_is_up_to_date_is_left_alone_without_tensorflow(made: tuple[Path, Path]) -> None:
    path, out = made
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    done = convert(path, out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False", "TensorFlow was imported for nothing"
    assert done.stdout.count("up to date") == 6
    after = {file: file.stat().st_mtime_ns for file in before}
    assert {f: t for f, t in after.items() if f.suffix != ".converting" and f.name != ".converting"} == {
        f: t for f, t in before.items() if f.name != ".converting"
    }


def test_a_file_too_far_from_keras_is_not_written(tmp_path: Path) -> None:
    done = convert(recipe(tmp_path, "int8-tflite = { cosine_min = 1.0 }"), tmp_path / "out")
    assert done.returncode == 3
    assert "NOT WRITTEN" in done.stdout
    assert "embedding" in done.stdout
    assert find_bundles(tmp_path / "out") == []


def test_an_optional_variant_may_fail(tmp_path: Path) -> None:
    done = convert(recipe(tmp_path, "int8-tflite = { cosine_min = 1.0, optional = true }"), tmp_path / "out")
    assert done.returncode == 0, done.stdout
    assert "NOT WRITTEN, optional" in done.stdout


def test_a_variant_that_the_recipe_lacks_is_an_error(tmp_path: Path) -> None:
    done = convert(recipe(tmp_path, "fp32-tflite = { cosine_min = 0.9 }"), tmp_path / "out", "--variants", "int16x8")
    assert done.returncode == 2
    assert "fp32-tflite" in done.stderr


def test_hidden_folders_of_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in (".venv-3.11", f"{STAGING}abc"):
        (out / name).mkdir(parents=True)
    with bundle_folder(out):
        assert [path.name for path in out.iterdir() if path.is_dir()] == [".venv-3.11"]


def test_an_older_bundle_that_stays_is_named(made: tuple[Path, Path]) -> None:
    path, out = made
    again = path.with_name("strict.toml")
    again.write_text(
        path.read_text().replace("int8-tflite = { cosine_min = 0.97 }", "int8-tflite = { cosine_min = 1.0 }")
    )
    done = convert(again, out, "--variants", "int8-tflite", "--attempts", "1")
    assert done.returncode == 3
    assert "an older one is still there" in done.stdout


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    path = recipe(tmp_path, "fp32-tflite = { cosine_min = 0.9 }", "arguments = { poison = true }")
    done = convert(path, tmp_path / "o")
    assert done.returncode == 3
    assert "NaN" in done.stdout
    assert find_bundles(tmp_path / "o") == []


def test_a_slip_in_a_recipe_is_named(tmp_path: Path) -> None:
    path = recipe(tmp_path, "fp32-tflite = { cosine_minimum = 0.9 }")
    done = convert(path, tmp_path / "out")
    assert done.returncode == 2
    assert "cosine_minimum" in done.stderr
