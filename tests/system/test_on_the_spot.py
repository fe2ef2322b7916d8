"""From a film to an embedder of its own, by the commands that a person types; no labels, no weights of others."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.bundle import Bundle
from edge.cli import main_run

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

ROOT = Path(__file__).parents[2]
COATS = ((220, 40, 40), (40, 60, 230), (40, 220, 90))


def film(path: Path) -> Path:
    """Three walkers of noise, each in its colour, cross a dark square side by side; 10 pictures a second."""
    random = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 240))
    for frame in range(60):
        image = np.zeros((240, 320, 3), np.uint8)
        for lane, coat in enumerate(COATS):
            left, top = 10 + 4 * frame, 10 + 76 * lane
            noise = random.normal(0, 25, (60, 40, 3))
            image[top : top + 60, left : left + 40] = np.clip(np.array(coat[::-1]) + noise, 100, 255)
        writer.write(image)
    writer.release()
    return path


def models(*words: str) -> str:
    command = [sys.executable, "-m", "models", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_record_mine_train(tmp_path: Path, detector: Bundle, embedder: Bundle) -> None:
    recording, pairs = tmp_path / "recording", tmp_path / "pairs"
    flags = ["--detector", str(detector.path), "--embedder", str(embedder.path), "--budget-ms", "10000"]
    source = str(film(tmp_path / "film.avi"))
    assert main_run(["--source", source, *flags, "--sink", f"crops:{recording}?every_ms=100"]) == 0

    said = models("pairs", "mine", str(recording), "--out", str(pairs), "--pairs", "150")
    assert "150 YES pairs" in said
    assert "150 NO pairs of 3 couples of tracks" in said

    recipe = (ROOT / "models/recipes/siamese/colours-contrastive.toml").read_text() + "epochs = 2\n"
    (tmp_path / "quick.toml").write_text(recipe)
    train = ("embed", "train", str(tmp_path / "quick.toml"), "--data", str(pairs), "--out", str(tmp_path / "models"))
    assert "trained: " in models(*train)
    assert "up to date: " in models(*train)

    import keras

    model = keras.models.load_model(tmp_path / "models" / "colours-contrastive" / "model.keras")
    coats = np.stack([np.full((128, 64, 3), coat, np.uint8) for coat in COATS])
    vectors = np.asarray(model.predict(np.concatenate([coats, coats - 20]), verbose=0)["embedding"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similar = vectors @ vectors.T
    same = np.equal.outer(np.arange(6) % 3, np.arange(6) % 3)
    assert similar[same].min() > similar[~same].max() + 0.2
