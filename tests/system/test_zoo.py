"""The zoo's own commands on a tenth of a model: train, finished before, data for the converter, report."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.registries import FetchError

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

ROOT = Path(__file__).parents[2]


def models(*words: str | Path, package: str = "models") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", package, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment)


def test_zoo_from_recipe_to_page(tmp_path: Path) -> None:
    try:
        from models.data.fashion_mnist import load

        load("test")
    except FetchError as error:
        pytest.skip(f"Fashion-MNIST is not to be had here: {error}")
    text = (ROOT / "models/recipes/zoo/Model_1.toml").read_text()
    (tmp_path / "Model_1.toml").write_text(text.replace("epochs = 12", "epochs = 2\nexamples = 2000"))
    arguments = ("zoo", tmp_path / "Model_1.toml", "--models", tmp_path / "models")
    done = models(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained in" in done.stdout
    again = models(*arguments)
    assert "was finished before" in again.stdout, again.stdout + again.stderr
    assert models("zoo", "--finished", "--models", tmp_path / "models").stdout.split() == [], "another recipe's model"
    shutil.copy(ROOT / "models/recipes/zoo/Model_1.toml", tmp_path / "models/Model_1/recipe.toml")
    assert models("zoo", "--finished", "--models", tmp_path / "models").stdout.split() == ["Model_1"]
    assert models("zoo-data", "--out", tmp_path / "out").returncode == 0
    with np.load(tmp_path / "out" / "calibrate.npz") as few, np.load(tmp_path / "out" / "judge.npz") as rest:
        assert (len(few["image"]), len(rest["image"])) == (500, 4500)
        assert not {image.tobytes() for image in few["image"]} & {image.tobytes() for image in rest["image"]}
    done = models(
        "convert", tmp_path / "models/Model_1/model.keras", "--name", "Model_1", "--task", "classify", "--labels",
        tmp_path / "out/labels.txt", "--calibrate", tmp_path / "out/calibrate.npz", "--metric-data",
        tmp_path / "out/judge.npz", "--variants", "int8-tflite", "--out", tmp_path / "bundles", package="converters",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    reporting = (
        *("zoo-report", "--models", tmp_path / "models", "--bundles", tmp_path / "bundles"),
        *("--out", tmp_path / "out"),
    )
    done = models(*reporting)
    assert done.returncode == 0, done.stdout + done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith("| Model_1 |")).split("|")
    keras, packed = float(row[4]), float(row[8])
    assert 70 < keras < 90
    assert packed == pytest.approx(keras, abs=0.5)
    assert (tmp_path / "out" / "report.html").stat().st_size > 50_000


def test_typo_in_a_recipe_ends_with_one_sentence(tmp_path: Path) -> None:
    shutil.copy(ROOT / "models/recipes/zoo/Model_1.toml", tmp_path / "wrong.toml")
    (tmp_path / "wrong.toml").write_text("epoch = 3\n" + (tmp_path / "wrong.toml").read_text())
    done = models("zoo", tmp_path / "wrong.toml")
    assert done.returncode == 2
    assert "unknown key 'epoch'; did you mean 'epochs'?" in done.stderr
    assert "Traceback" not in done.stderr
