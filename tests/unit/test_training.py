"""The training core: nothing is lost by a kill, nothing half-written is taken for a result, the best is kept."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("keras", reason="training needs the extras [convert] and [train]")
pytest.importorskip("sklearn", reason="training needs the extra [train]")

import keras

from edge.errors import ConfigError, OutputError
from models.training.archive import archive_of, finished, writing
from models.training.augment import Augmentation, Batches, augment
from models.training.recipe import Part, fingerprint, read_recipe
from models.training.run import Result, read_result, train, work_folder
from models.training.scores import classification_scores
from tests.unit.tiny_training import build, pictures, tiny_job

ROOT = Path(__file__).parents[2]


def weights_of(result: Result) -> list[Any]:
    return result.load().get_weights()


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.unit.tiny_training", str(folder), *words]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)


def test_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    straight = train(tiny_job(tmp_path / "straight", 6))
    killed = start(tmp_path / "killed", "6", "0.3")
    state = work_folder(tmp_path / "killed" / "tiny") / "state.json"
    end = time.monotonic() + 60
    while not (state.is_file() and json.loads(state.read_text())["epoch"] >= 2):
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = json.loads(state.read_text())["epoch"]
    assert 2 <= done < 6
    assert not archive_of(tmp_path / "killed" / "tiny").exists()
    resumed = train(tiny_job(tmp_path / "killed", 6))
    assert resumed.trained
    assert len(resumed.history["loss"]) == 6
    for ours, theirs in zip(weights_of(resumed), weights_of(straight), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)  # sums of threads may come in another order
    assert resumed.history["loss"] == pytest.approx(straight.history["loss"], abs=1e-5)
    assert not state.exists()


def test_finished_model_is_left_alone_until_recipe_or_data_change(tmp_path: Path) -> None:
    first = train(tiny_job(tmp_path, 1))
    assert first.trained
    again = train(tiny_job(tmp_path, 1))
    assert not again.trained
    assert again.history == first.history
    assert train(tiny_job(tmp_path, 1, made_from="other data")).trained
    assert train(tiny_job(tmp_path, 2, made_from="other data")).trained


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    """A rate that soon diverges: the last epoch is worse than the best."""

    def wild() -> keras.Model:
        model = build(0.02)
        steps = 256 // 32
        rate = keras.optimizers.schedules.PiecewiseConstantDecay([2 * steps], [0.02, 5.0])
        model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    result = train(tiny_job(tmp_path, 30, build=wild, patience=3))
    losses = result.history["val_loss"]
    assert len(losses) < 30
    assert result.figures["best_epoch"] == int(np.argmin(losses)) + 1
    assert len(losses) == result.figures["best_epoch"] + 3
    kept = result.load()
    kept.compile(loss="sparse_categorical_crossentropy")
    assert kept.evaluate(*pictures(128, 1), verbose=0) == pytest.approx(min(losses), rel=1e-4)
    assert losses[-1] > min(losses)


def test_archive_holds_all_and_mends_a_lost_folder(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 1)
    result = train(job)
    with zipfile.ZipFile(archive_of(job.path)) as packed:
        names = set(packed.namelist())
    assert {"model.keras", "history.json", "figures.json", "recipe.toml", "curves.png"} <= names
    (result.path / "model.keras").unlink()
    assert not train(job).trained
    assert read_result(job.path).load().count_params() == result.figures["parameters"]


def test_archive_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"

    def die_half_way() -> None:
        with writing(folder, "stamp") as inside:
            (inside / "model.keras").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        die_half_way()
    assert list(tmp_path.iterdir()) == []
    assert not finished(folder, "stamp")
    with writing(folder, "stamp") as inside:
        (inside / "model.keras").write_text("whole")
    assert finished(folder, "stamp")
    assert not finished(folder, "another stamp")
    archive_of(folder).write_bytes(archive_of(folder).read_bytes()[:-30])
    assert not finished(folder, "stamp")


def test_next_start_sweeps_what_a_killed_training_left(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 1)
    train(job)
    left = tmp_path / ".edge-staging-killed" / "new"
    left.mkdir(parents=True)
    (left / "model.keras").write_text("half")
    work = work_folder(job.path)  # killed while it removed the state of the finished run
    work.mkdir()
    (work / "epoch-0000.weights.h5").write_text("weights")
    assert not train(job).trained
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "tiny", "tiny.zip"]


def test_state_of_another_recipe_outlives_the_finished_model(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 1)
    train(job)
    state = work_folder(job.path) / "state.json"
    state.parent.mkdir()
    state.write_text('{"stamp": "another recipe", "epoch": 3}')
    assert not train(job).trained
    assert state.is_file()


def test_finished_model_is_recovered_where_a_kill_left_it(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with writing(folder, "stamp") as inside:
        (inside / "model.keras").write_text("whole")
    made = folder.stat().st_ino
    room = tmp_path / ".model.edge-replace"
    (room / "new").mkdir(parents=True)
    folder.rename(room / "old")
    assert finished(folder, "stamp")
    assert folder.stat().st_ino == made, "unpacked again, though it was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "model.zip"]


def test_kill_between_archive_and_folder_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for stamp in ("old", "new"):
        with writing(folder, stamp) as inside:
            (inside / "model.keras").write_text(stamp)
        if stamp == "old":
            shutil.copytree(folder, tmp_path / "kept")
    shutil.rmtree(folder)
    (tmp_path / "kept").rename(folder)  # the new archive beside the old folder
    assert not finished(folder, "old")
    assert finished(folder, "new")
    assert (folder / "model.keras").read_text() == "new"


def test_full_disk_is_one_sentence(tmp_path: Path) -> None:
    def full(*_: Any) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    job = tiny_job(tmp_path, 1, report=full)
    with pytest.raises(OutputError, match="No space left on device'; make room"):
        train(job)
    assert not job.path.exists()
    assert not archive_of(job.path).exists()


def test_loss_that_is_not_a_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="want a finite loss, got loss = nan in epoch 1"):
        train(tiny_job(tmp_path, 2, build=lambda: build(float("nan"))))


def test_another_process_on_the_same_model_is_refused(tmp_path: Path) -> None:
    other = start(tmp_path, "50", "0.5")
    try:
        lock = work_folder(tmp_path / "tiny") / "state.json"
        while not lock.is_file():
            assert other.poll() is None
            time.sleep(0.05)
        with pytest.raises(ConfigError, match="another process"):
            train(tiny_job(tmp_path, 50))
    finally:
        other.kill()
        other.wait()


class _Family(Part, frozen=True):
    epochs: int
    rate: float = 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "unknown key 'epoch'; did you"),
        ("epochs = 'x'", "epochs: want a whole number, got 'x'"),
        ("epochs = ", "want TOML"),
    ],
)
def test_typo_in_a_recipe_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_recipe(tmp_path / "a.toml", _Family)


def test_fingerprint_is_of_values() -> None:
    array = np.arange(6)
    assert fingerprint(array, _Family(epochs=1)) == fingerprint(array.copy(), _Family(epochs=1, rate=0.1))
    assert len({fingerprint(array), fingerprint(array.reshape(2, 3)), fingerprint(array.astype(np.int32))}) == 3


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    images, truth = pictures(50, 0)
    how = Augmentation(flip=True, shift=0.2, rotation=10, zoom=0.1, shear=5, noise=10, blur=1, cutout=0.3)

    def epoch(number: int, seed: int = 1) -> list[Any]:
        batches = Batches(images, {"class": truth}, 16, seed, number, how)
        return [batches[index] for index in range(len(batches))]

    first, again, second = epoch(0), epoch(0), epoch(1)
    assert [len(batch[0]) for batch in first] == [16, 16, 16, 2]
    assert all(
        (a[0] == b[0]).all() and (a[1]["class"] == b[1]["class"]).all() for a, b in zip(first, again, strict=True)
    )
    assert any((a[0] != b[0]).any() for a, b in zip(first, second, strict=True))
    seen = np.concatenate([batch[1]["class"] for batch in first])
    assert sorted(seen) == sorted(truth)


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(flip=True), Augmentation(shift=0.2), Augmentation(rotation=20), Augmentation(zoom=0.2),
        Augmentation(shear=15), Augmentation(noise=20), Augmentation(blur=2), Augmentation(cutout=0.4),
    ],
)  # fmt: skip
def test_each_augmentation_changes_most_pictures_and_keeps_shape(how: Augmentation) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 14, 3)).astype(np.uint8)
    before = images.copy()
    changed = augment(images, how, np.random.default_rng(1))
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert (images == before).all()
    assert (changed != images).any(axis=(1, 2, 3)).mean() > 0.3
    assert augment(images, Augmentation(), np.random.default_rng(1)) is images


def test_scores_of_a_known_answer() -> None:
    truth = np.array([0, 0, 1, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]], np.float32)
    scores = classification_scores(truth, probabilities, ("no", "yes"))
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["confusion"] == [[1, 1], [1, 2]]
    assert scores["f1_per_class"]["yes"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert scores["roc_auc"] == pytest.approx(5 / 6)
