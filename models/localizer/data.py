"""The pictures of a recipe: read, divided without a leak, and fitted; and what of them is fed to the heads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.bar import bar
from edge.bundle import Preprocess
from edge.errors import ConfigError
from edge.types import F32, U8
from edge.whole import staging, sweep
from models.data.duplicates import groups_of_same
from models.data.localized import Arrays, Located, classes_of, read_located, to_arrays
from models.data.split import split_rows
from models.localizer.recipe import LocalizerRecipe
from models.training.archive import writable

F16 = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Data:
    """All that a localizer learns from and is judged with.

    Attributes:
        labels: of the classes.
        train: pictures to learn from.
        mirrored: the same in a mirror; None where the recipe does not want it.
        valid: pictures to judge with.
        valid_pictures: where the latter come from.
        words: what was left out and why, a line each.
    """

    labels: tuple[str, ...]
    train: Arrays
    mirrored: Arrays | None
    valid: Arrays
    valid_pictures: tuple[Located, ...]
    words: tuple[str, ...]


def read_data(recipe: LocalizerRecipe) -> Data:
    """Read, divide and fit the pictures that a recipe names.

    Raises:
        ConfigError: no such place, one class alone, a class of the recipe without a picture, or too few to divide.
    """
    read, words = _read(recipe.data, recipe)
    labels = recipe.labels or classes_of(read)
    if lacking := [label for label in labels if label not in {picture.label for picture in read}]:
        raise ConfigError(f"data {recipe.data}: want pictures of '{lacking[0]}', got none; add some or correct labels")
    if recipe.valid:
        held, more = _read(recipe.valid, recipe)
        train, valid, straddling = _apart(read, held)
        words += [*more, *straddling]
        if strangers := sorted({picture.label for picture in valid} - set(labels)):
            raise ConfigError(
                f"data {recipe.valid}: want classes {', '.join(labels)}, got '{strangers[0]}'; correct it"
            )
    else:
        classes = np.array([labels.index(picture.label) for picture in read], np.int64)
        groups = groups_of_same([picture.look for picture in read])
        rows = split_rows(classes, groups, recipe.valid_share, recipe.seed)
        train, valid = ([read[row] for row in part.tolist()] for part in rows)
        if doubles := len(read) - len(set(groups.tolist())):
            words.append(f"{doubles} duplicates or near duplicates kept on the side of their first")
    if not valid or not train:
        raise ConfigError(f"data {recipe.valid or recipe.data}: want pictures to train and to validate with, got none")
    how = Preprocess(fit=recipe.fit)
    learned, judged = (to_arrays(part, labels, recipe.size, how) for part in (train, valid))
    mirrored = to_arrays(train, labels, recipe.size, how, mirror=True) if recipe.mirror else None
    return Data(labels, learned, mirrored, judged, tuple(valid), tuple(words))


def _read(place: str, recipe: LocalizerRecipe) -> tuple[list[Located], list[str]]:
    with bar(desc=f"reading {Path(place).name}", unit=" pictures", delay=1) as shown:

        def tick(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        found = read_located(Path(place), recipe.labels, tick)
    if not found.pictures:
        raise ConfigError(f"data {place}: want usable pictures, got none: {'; '.join(found.words())}; correct them")
    return list(found.pictures), found.words()


def _apart(train: list[Located], valid: list[Located]) -> tuple[list[Located], list[Located], list[str]]:
    """Leave out of the validation pictures those that are among the training pictures too."""
    groups = groups_of_same([picture.look for picture in (*train, *valid)])
    known = set(groups[: len(train)].tolist())
    kept = [picture for picture, group in zip(valid, groups[len(train) :].tolist(), strict=True) if group not in known]
    names = [picture.path.name for picture in valid if picture not in kept] if len(kept) < len(valid) else []
    words = [f"{len(names)} left out of validation, also in training: {', '.join(names[:5])}"] if names else []
    return train, kept, words


def answers_of(base: Any, images: U8, file: Path, batch: int = 64) -> F16:
    """Return what a base that does not change answers to pictures, computed once and kept in a file.

    Args:
        base: Keras model of `image`.
        images: uint8 (N, H, W, 3).
        file: `.npy`; its name must tell base and pictures. The array is read from it piece by piece.
        batch: pictures at once.

    Raises:
        ConfigError: no room, or the file is damaged.
    """
    if not file.is_file():
        sweep(file.parent)
        with writable(file), staging(file.parent) as work:
            part = work / file.name
            shape = (len(images), *base.output_shape[1:])
            kept = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
            starts = range(0, len(images), batch)
            for start in bar(starts, desc=f"{base.name}: base", unit="batch"):
                kept[start : start + batch] = base.predict_on_batch(images[start : start + batch])
            kept.flush()
            del kept
            part.replace(file)
    try:
        answers: F16 = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise ConfigError(f"{file}: want what a base answered, got '{error}'; remove it and train again") from error
    if answers.shape[:1] != (len(images),):
        raise ConfigError(f"{file}: want answers to {len(images)} pictures, got {answers.shape}; remove it")
    return answers


class HeadBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of a base's answers, shuffled by seed and epoch; with two versions of each, one of them is drawn."""

    def __init__(self, versions: list[F16], targets: list[dict[str, Any]], batch: int, seed: int, epoch: int) -> None:
        """Make one epoch.

        Args:
            versions: of the same N pictures, each (N, ...): as they are, and perhaps mirrored.
            targets: of each version, name -> array (N, ...).
            batch: pictures in a batch.
            seed: of the run.
            epoch: from 0.
        """
        super().__init__(workers=1, max_queue_size=8)
        self._versions, self._targets, self._batch = versions, targets, batch
        random = np.random.default_rng((seed, epoch))
        self._order = random.permutation(len(versions[0]))
        self._version = random.integers(0, len(versions), len(versions[0]))

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._order) // self._batch)

    def __getitem__(self, index: int) -> tuple[F32, dict[str, Any]]:
        """Return one batch: answers float32 and targets."""
        rows = self._order[index * self._batch : (index + 1) * self._batch]
        which = self._version[rows]
        answers = np.stack([self._versions[v][row] for v, row in zip(which, rows, strict=True)]).astype(np.float32)
        names = self._targets[0]
        drawn = {n: np.stack([self._targets[v][n][r] for v, r in zip(which, rows, strict=True)]) for n in names}
        return answers, drawn


def head_epochs(
    versions: list[F16], targets: list[dict[str, Any]], batch: int, seed: int
) -> Callable[[int], HeadBatches]:
    """Return the function epoch -> batches that `models.training.run.Job.train` wants."""
    return lambda epoch: HeadBatches(versions, targets, batch, seed, epoch)
