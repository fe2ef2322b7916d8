"""Train one model: progress, early stopping that keeps the best weights, and going on after kill -9.

After every epoch the whole state (weights, optimizer, history, best weights so far) is on disk and one small file,
replaced in one step, says which of it counts. Keras' own BackupAndRestore forgets the state of EarlyStopping and can
be killed between its two files.
"""

import fcntl
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import msgspec
import numpy as np
from tqdm import tqdm

from edge.bar import bar
from edge.errors import ConfigError
from edge.whole import sweep, write_file
from models.training.archive import DAMAGE, MODEL_FILE, finished, writable, writing
from models.training.curves import plot_history
from models.training.recipe import fingerprint

MODELS = Path("build/models")
"""Where trained models land, one folder and one archive each; below `logs`, what TensorBoard reads."""

HISTORY_FILE, FIGURES_FILE, RECIPE_FILE, CURVES_FILE = "history.json", "figures.json", "recipe.toml", "curves.png"

STATE_FILE = "state.json"
"""In the folder of an unfinished run: which of its files count."""

Figures = dict[str, Any]
"""Names -> numbers, words, lists and dicts of them, as JSON can hold them."""


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of the model's folder and archive.
        recipe: the text of the recipe, kept in the archive.
        made_from: `recipe.fingerprint` of all that the result depends on: the recipe's values and the data.
        build: makes the compiled model; called after seeding.
        train: epoch, counted from 0 -> what `keras.Model.fit` takes as `x` (see `augment.epochs_of`); a function of
            the epoch, so that a run that was killed goes on with what it would have seen. It shuffles, `fit` does not.
        valid: what `keras.Model.fit` takes as `validation_data`.
        epochs: at most.
        patience: epochs without a better `monitor` before it stops; None = never stop early.
        report: finished model, history and a folder for pictures -> figures; None = no more than the run's own.
        export: trained model -> the one to save and report on; the same for most.
        monitor: which entry of the history decides.
        mode: whether a better one is smaller or larger.
        seed: of weights, dropout and order.
        folder: where models land.
        batch_valid: examples in a batch of `valid`, where that is arrays.
    """

    name: str
    recipe: str
    made_from: str
    build: Callable[[], keras.Model]
    train: Callable[[int], Any]
    valid: Any
    epochs: int
    patience: int | None = None
    report: Callable[[keras.Model, Mapping[str, list[float]], Path], Figures] | None = None
    export: Callable[[keras.Model], keras.Model] = lambda model: model
    monitor: str = "val_loss"
    mode: Literal["min", "max"] = "min"
    seed: int = 0
    folder: Path = MODELS
    batch_valid: int = 256

    @property
    def stamp(self) -> str:
        """Says what the model is made from; another one is another model."""
        return fingerprint(self.made_from, f"{self.epochs} {self.patience} {self.monitor} {self.mode} {self.seed}")

    @property
    def path(self) -> Path:
        """The folder of the finished model."""
        return self.folder / self.name


@dataclass(frozen=True)
class Result:
    """A finished model.

    Attributes:
        path: its folder: model.keras, history.json, figures.json, recipe.toml and pictures.
        history: name -> value after each epoch.
        figures: of the run (`epochs`, `best_epoch`, `seconds`, `parameters`, the monitored best) and of `Job.report`.
        trained: False where it was finished before, and nothing was done.
    """

    path: Path
    history: dict[str, list[float]]
    figures: Figures
    trained: bool

    def load(self) -> keras.Model:
        """Open the model.

        Raises:
            ConfigError: see `load_trained`.
        """
        return load_trained(self.path)


class _State(msgspec.Struct, forbid_unknown_fields=True):
    """What counts of a run that is not finished.

    Attributes:
        stamp: of the job.
        epoch: epochs done.
        seconds: time they took, of all processes that worked on it.
        weights: file with weights and optimizer after `epoch`.
        best: best monitored value, at `best_epoch`, counted from 0, with its weights in `best_weights`.
        history: name -> value after each epoch.
    """

    stamp: str
    epoch: int = 0
    seconds: float = 0.0
    weights: str = ""
    best: float = math.nan
    best_epoch: int = -1
    best_weights: str = ""
    history: dict[str, list[float]] = {}


def train(job: Job, finish: bool = False) -> Result:
    """Train a model to its end, or go on where a killed process left off; leave a finished one alone.

    Args:
        job: what to train.
        finish: True to end a run that was begun: its best epoch so far becomes the model.

    Raises:
        ConfigError: the loss became NaN, the disk is full, or another process trains this model.
    """
    sweep(job.folder)
    if finished(job.path, job.stamp):
        _drop_state_of_finished(job)
        return read_result(job.path)
    with writable(job.folder), _alone(job) as work:
        state = _read_state(work, job)
        keras.utils.set_random_seed(job.seed)
        model = job.build()
        if not (_over(state, job) or (finish and state.best_weights)):
            model, state = _restored(model, work, state, job)
            _fit(model, job, state, work)
        if state.best_weights:
            _load_weights(model, work / state.best_weights)
        _finish(job.export(model), job, state)
        shutil.rmtree(work)
    return Result(job.path, state.history, read_result(job.path).figures, trained=True)


def read_result(path: Path) -> Result:
    """Read a finished model's folder.

    Raises:
        ConfigError: it is not there, or damaged.
    """
    try:
        history = json.loads((path / HISTORY_FILE).read_text())
        figures = json.loads((path / FIGURES_FILE).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: want the folder of a trained model, got '{error}'; train it") from error
    if not isinstance(history, dict) or not isinstance(figures, dict):
        raise ConfigError(f"{path}: want tables in {HISTORY_FILE} and {FIGURES_FILE}, got other values; train it again")
    return Result(path, history, figures, trained=False)


def load_trained(path: Path) -> keras.Model:
    """Open the model in a finished model's folder.

    Raises:
        ConfigError: it is not there, or damaged.
    """
    try:
        return keras.models.load_model(path / MODEL_FILE, compile=False)  # nobody trains it on
    except DAMAGE as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path / MODEL_FILE}: want a whole model, got '{words}'; train it again") from error


def work_folder(path: Path) -> Path:
    """Return where the state of an unfinished run is kept."""
    return path.with_name(f".{path.name}.training")


@contextmanager
def _alone(job: Job) -> Iterator[Path]:
    """Make the run's folder and hold its lock, which the system lets go when a process dies."""
    work = work_folder(job.path)
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"{job.name}: want it to myself, got another process training it; wait") from error
        yield work


def _drop_state_of_finished(job: Job) -> None:
    """Remove the state of a run that a kill ended after the model was whole; that of another recipe stays."""
    if not work_folder(job.path).exists():
        return
    with suppress(OSError, ConfigError), _alone(job) as work:  # ConfigError: a process trains it by another recipe
        if _stored_state(work, job).stamp == job.stamp:
            shutil.rmtree(work)


def _stored_state(work: Path, job: Job) -> _State:
    """Return the state on disk, or a fresh one where there is none that can be read."""
    try:
        return msgspec.json.decode((work / STATE_FILE).read_bytes(), type=_State)
    except (OSError, ValueError, RecursionError):  # msgspec.DecodeError is a ValueError
        return _State(job.stamp)


def _read_state(work: Path, job: Job) -> _State:
    """Return where an earlier process left off, or a fresh state; sweep files that do not count."""
    sweep(work)
    state = _stored_state(work, job)
    if state.stamp != job.stamp:
        _say(f"{job.name}: recipe or data changed since epoch {state.epoch} of an unfinished run; beginning anew")
        state = _State(job.stamp)
    if state.epoch:
        _say(f"{job.name}: going on after epoch {state.epoch} of {job.epochs}")
    _sweep(work, state)
    return state


def _restored(model: keras.Model, work: Path, state: _State, job: Job) -> tuple[keras.Model, _State]:
    """Return the model as an earlier process left it; where its weights are damaged, a new one and a fresh state."""
    if not state.weights:
        return model, state
    model.optimizer.build(model.trainable_variables)  # else Keras skips the optimizer's state without a word
    try:
        _load_weights(model, work / state.weights)
    except ConfigError as error:
        _say(f"{job.name}: {error}; beginning anew")
        keras.utils.set_random_seed(job.seed)
        return job.build(), _State(job.stamp)
    return model, state


def _load_weights(model: keras.Model, file: Path) -> None:
    """Put the weights of a file into a model.

    Raises:
        ConfigError: the file is damaged, or of another model.
    """
    try:
        model.load_weights(file)
    except DAMAGE as error:
        words = " ".join(str(error).split())[:200]
        raise ConfigError(f"{file}: want whole weights, got '{words}'; remove {file.parent} to train again") from error


def _fit(model: keras.Model, job: Job, state: _State, work: Path) -> None:
    """Train epoch after epoch until the end or until nothing gets better, saving the state after each."""
    steps = _length(job.train(0))
    total, done = (None, 0) if steps is None else (steps * job.epochs, steps * state.epoch)
    with (
        bar(total=total, initial=done, desc=job.name, unit="batch") as shown,
        _summaries(job, state.epoch) as summarise,
    ):
        progress = _Progress(shown)
        while not _over(state, job):
            start = time.monotonic()
            _seed_epoch(model, job.seed, state.epoch)
            run = model.fit(
                job.train(state.epoch), epochs=state.epoch + 1, initial_epoch=state.epoch, shuffle=False, verbose=0,
                validation_data=job.valid, validation_batch_size=_batch(job), callbacks=[progress],
            )  # fmt: skip
            logs = {name: float(values[-1]) for name, values in run.history.items()}
            _check_logs(logs, job, state.epoch)
            state.seconds += time.monotonic() - start
            _save(model, job, state, work, logs)
            summarise(state.epoch, logs)
            words = "  ".join(f"{name} {value:.4f}" for name, value in logs.items())
            _say(f"{job.name} {state.epoch}/{job.epochs}  {words}  {time.monotonic() - start:.0f} s")


def _seed_epoch(model: keras.Model, seed: int, epoch: int) -> None:
    """Make dropout and the like a function of the epoch: `save_weights` leaves the state of their generators out."""
    states = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    for place, variable in enumerate(states):
        variable.assign(np.random.default_rng((seed, epoch, place)).integers(0, 2**32, 2, np.uint32))


def _save(model: keras.Model, job: Job, state: _State, work: Path, logs: dict[str, float]) -> None:
    """Bring the state on disk up to this epoch: new files first, then the one that names them, then the sweep."""
    for name, value in logs.items():
        state.history.setdefault(name, []).append(value)
    state.weights = f"epoch-{state.epoch:04}.weights.h5"
    model.save_weights(work / state.weights)
    with (work / state.weights).open("rb") as file:
        os.fsync(file.fileno())
    value = logs[job.monitor]
    if state.best_epoch < 0 or (value < state.best if job.mode == "min" else value > state.best):
        state.best, state.best_epoch, state.best_weights = value, state.epoch, state.weights
    state.epoch += 1
    write_file(work / STATE_FILE, msgspec.json.encode(state))
    _sweep(work, state)


def _sweep(work: Path, state: _State) -> None:
    for path in work.glob("*.weights.h5"):
        if path.name not in (state.weights, state.best_weights):
            path.unlink()


def _over(state: _State, job: Job) -> bool:
    waited = state.epoch - 1 - state.best_epoch
    return state.epoch >= job.epochs or (job.patience is not None and state.epoch > 0 and waited >= job.patience)


def _finish(model: keras.Model, job: Job, state: _State) -> None:
    """Write the archive of a model with its best weights."""
    figures: Figures = {
        "name": job.name,
        "epochs": state.epoch,
        "best_epoch": state.best_epoch + 1,
        job.monitor: state.best,
        "seconds": round(state.seconds, 1),
        "parameters": int(model.count_params()),
        "seed": job.seed,
        "keras": keras.__version__,
    }
    with writing(job.path, job.stamp) as folder:
        model.save(folder / MODEL_FILE)
        (folder / RECIPE_FILE).write_text(job.recipe)
        (folder / HISTORY_FILE).write_text(json.dumps(state.history, indent=1))
        (folder / CURVES_FILE).write_bytes(plot_history(state.history, job.name, state.best_epoch))
        if job.report is not None:
            figures |= job.report(model, state.history, folder)
        (folder / FIGURES_FILE).write_text(json.dumps(figures, indent=1))


def _check_logs(logs: dict[str, float], job: Job, epoch: int) -> None:
    if job.monitor not in logs:
        raise ConfigError(f"{job.name}: want '{job.monitor}' to decide by, got {', '.join(logs)}; correct monitor")
    bad = [name for name, value in logs.items() if "loss" in name and not math.isfinite(value)]
    if bad:
        raise ConfigError(
            f"{job.name}: want a finite loss, got {bad[0]} = {logs[bad[0]]} in epoch {epoch + 1}; "
            "lower the learning rate, or look for NaN in the data"
        )


@contextmanager
def _summaries(job: Job, done: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Open the log that TensorBoard reads, a new one at the beginning; what is yielded writes an epoch into it."""
    import tensorflow as tf

    folder = job.folder / "logs" / job.name
    if done == 0:
        shutil.rmtree(folder, ignore_errors=True)
    writer = tf.summary.create_file_writer(str(folder))

    def write(epoch: int, logs: dict[str, float]) -> None:
        with writer.as_default():
            for name, value in logs.items():
                tf.summary.scalar(name, value, step=epoch)
        writer.flush()

    try:
        yield write
    finally:
        writer.close()


class _Progress(keras.callbacks.Callback):  # type: ignore[misc]
    """Moves the bar of the whole run by one for each batch."""

    def __init__(self, shown: "tqdm[Any]") -> None:
        super().__init__()
        self._bar = shown

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar."""
        self._bar.update(1)


def _length(data: Any) -> int | None:
    try:
        length = len(data)
    except TypeError:
        return None
    return length if length > 0 else None


def _batch(job: Job) -> int | None:
    return job.batch_valid if isinstance(job.valid, tuple) else None


def _say(words: str) -> None:
    with tqdm.external_write_mode(file=sys.stdout):
        print(words, flush=True)
