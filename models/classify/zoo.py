"""The zoo of Fashion-MNIST: what fits into an hour, in which order, and training it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import msgspec
import numpy as np

from edge.errors import ConfigError
from edge.whole import sweep, write_file
from models.classify.data import pictures_of, split, training_pictures
from models.classify.jobs import job_of
from models.classify.recipe import Recipe
from models.training.archive import archive_of, writable, write_arrays
from models.training.recipe import find_recipe, find_recipes, plain_name, read_recipe
from models.training.run import MODELS, RECIPE_FILE, Job, Result, read_result, train

FAMILY = "zoo"
CALIBRATING = 500


@dataclass(frozen=True)
class Entry:
    """One model of the zoo.

    Attributes:
        name: of model and recipe.
        path: of the recipe.
        recipe: read from it.
    """

    name: str
    path: Path
    recipe: Recipe

    @property
    def seconds(self) -> float:
        """What training is expected to take, by the recipe."""
        return self.recipe.epochs * self.recipe.seconds_per_epoch

    def finished(self, folder: Path = MODELS) -> bool:
        """Tell whether a model of this very recipe is there, and not another of the same name."""
        path = folder / self.name
        try:
            return archive_of(path).is_file() and _told(read_recipe(path / RECIPE_FILE, Recipe)) == _told(self.recipe)
        except ConfigError:
            return False

    def job(self, folder: Path = MODELS) -> Job:
        """Read its data and return what trains it."""
        pictures = pictures_of(self.recipe)
        return job_of(self.name, self.recipe, self.path.read_text("utf-8"), pictures, folder)


def entries(names: Sequence[str] = ()) -> list[Entry]:
    """Return models of the zoo, the quickest first, each after the one that it starts from.

    Args:
        names: which ones; empty = all.

    Raises:
        ConfigError: no such recipe, or one that is wrong.
    """
    paths = {name: find_recipe(FAMILY, name) for name in names} if names else find_recipes(FAMILY)
    found = [
        Entry(plain_name(path.name.removesuffix(".toml"), f"recipe {path}"), path, read_recipe(path, Recipe))
        for path in paths.values()
    ]
    waiting, ordered = sorted(found, key=lambda entry: (entry.seconds, entry.name)), []
    while waiting:
        names_left = {entry.name for entry in waiting}
        ready = next((e for e in waiting if e.recipe.start_from not in names_left - {e.name}), waiting[0])
        ordered.append(ready)
        waiting.remove(ready)
    return ordered


def plan(every: Sequence[Entry], minutes: float, finished: Sequence[str] = ()) -> tuple[list[Entry], list[Entry]]:
    """Divide models into those that fit into a time, taken in order, and the rest; what is left out leaves room.

    A model that starts from one that was left out is left out, too.

    Args:
        every: as `entries` returns them.
        minutes: what there is.
        finished: names of models that take no time.
    """
    taken: list[Entry] = []
    left: list[Entry] = []
    seconds = 0.0
    for entry in every:
        takes = 0.0 if entry.name in finished else entry.seconds
        if seconds + takes <= 60 * minutes and entry.recipe.start_from not in {e.name for e in left}:
            taken.append(entry)
            seconds += takes
        else:
            left.append(entry)
    return taken, left


def train_all(chosen: Sequence[Entry], folder: Path = MODELS, minutes: float = float("inf")) -> list[Result]:
    """Train models one after the other; a finished one is left alone, a killed one goes on.

    Args:
        chosen: the models.
        folder: where they land.
        minutes: a model that is not expected to end within them is put off, and what starts from it.

    Raises:
        ConfigError: see `models.training.run.train`.
    """
    made: list[Result] = []
    put_off: set[str] = set()
    began = time.monotonic()
    for place, entry in enumerate(chosen, 1):
        start = time.monotonic()
        print(f"[{place}/{len(chosen)}] {entry.name}: {entry.recipe.words}", flush=True)
        late = start - began + entry.seconds > 60 * minutes and not entry.finished(folder)
        if late or entry.recipe.start_from in put_off:
            put_off.add(entry.name)
            print(f"  put off: {minutes:g} minutes no longer hold it; the next call goes on here", flush=True)
            continue
        made.append(train(entry.job(folder)))
        keras.backend.clear_session()
        how = f"trained in {time.monotonic() - start:.0f} s" if made[-1].trained else "was finished before"
        print(f"  {how}, validation accuracy {made[-1].figures['valid']['accuracy']:.2%}", flush=True)
    return made


def finished_names(folder: Path = MODELS, most_parameters: float = float("inf")) -> list[str]:
    """Return the finished models of the zoo, in the order of `entries`, without those larger than that."""
    done = [entry.name for entry in entries() if entry.finished(folder)]
    return [name for name in done if read_result(folder / name).figures["parameters"] <= most_parameters]


def write_data(out: Path) -> list[Path]:
    """Write what the converter needs: 500 validation pictures to calibrate with, the others to judge by, the labels.

    No model of the zoo was trained on either. The test pictures stay out of it: a converter that is given them could
    choose by them.

    Raises:
        ConfigError: the folder cannot be written.
        FetchError: Fashion-MNIST could not be fetched.
    """
    pictures = training_pictures()
    _, valid = split(pictures, Recipe(words="", layers=(), epochs=1).valid_examples, 0, 0)
    order = np.random.default_rng(0).permutation(len(valid.truth))
    made = [out / "calibrate.npz", out / "judge.npz", out / "labels.txt"]
    with writable(out):
        out.mkdir(parents=True, exist_ok=True)
        sweep(out)
        for path, rows in zip(made[:2], (order[:CALIBRATING], order[CALIBRATING:]), strict=True):
            write_arrays(path, image=valid.images[rows], y=valid.truth[rows])
        write_file(made[2], ("\n".join(pictures.labels) + "\n").encode())
    return made


def bundle_name(name: str, side: int = 28) -> str:
    """Return the folder name of a model's int8 bundle: a bundle's name has no dots."""
    return f"{name.replace('.', '_')}-{side}-int8-tflite"


def _told(recipe: Recipe) -> Recipe:
    """Return a recipe without what changes nothing about the model."""
    return msgspec.structs.replace(recipe, words="", seconds_per_epoch=0.0)
