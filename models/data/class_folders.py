"""Pictures in one folder for each class: what can be read, and by name what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError, SourceError
from edge.preprocess import Preprocessor
from edge.sources.pictures import PICTURE_SUFFIXES, read_picture
from edge.types import U8

_NAMED = 5


@dataclass(frozen=True)
class Fitted:
    """What came of a list of files.

    Attributes:
        images: uint8 (N, size, size, 1 or 3), RGB; a picture of another shape is fitted with borders.
        rows: int64 (N,), places in the list of those that could be read.
        unreadable: files that are no pictures; left out.
        sizes: how many sizes they had.
    """

    images: U8
    rows: NDArray[np.int64]
    unreadable: tuple[Path, ...]
    sizes: int

    @property
    def left_out(self) -> str:
        """Name what was left out in one phrase; "" = nothing."""
        if not self.unreadable:
            return ""
        names = ", ".join(f"{path.parent.name}/{path.name}" for path in self.unreadable[:_NAMED])
        more = len(self.unreadable) - _NAMED
        return f"{len(self.unreadable)} left out, cannot be decoded: {names}{f' and {more} more' * (more > 0)}"


@dataclass(frozen=True)
class Found:
    """What a folder of class folders holds.

    Attributes:
        fitted: its pictures.
        truth: int64 (N,).
        labels: name of each class, sorted, which are the names of the folders.
    """

    fitted: Fitted
    truth: NDArray[np.int64]
    labels: tuple[str, ...]

    @property
    def words(self) -> str:
        """Say what was found in one sentence."""
        said = f"{len(self.truth)} pictures of {len(self.labels)} classes"
        return f"{said}; {self.fitted.left_out}" if self.fitted.unreadable else said


def read_class_folders(folder: Path, size: int, color: Literal["gray", "rgb"], labels: Sequence[str] = ()) -> Found:
    """Read all pictures below `folder`, one folder for each class.

    Args:
        folder: holds the classes.
        size: height and width of the pictures that come out.
        color: one channel or three.
        labels: classes that there must be and no others; empty = those that are there.

    Raises:
        ConfigError: no such folder, fewer than two classes, a class without a readable picture, or classes that
            differ from `labels`.
    """
    classes = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    names = tuple(path.name for path in classes)
    if len(names) < 2:
        raise ConfigError(f"{folder}: want a folder for each of two or more classes, got {len(names)}; add some")
    if labels and set(labels) != set(names):
        odd = sorted(set(labels) ^ set(names))
        raise ConfigError(f"{folder}: want the classes {', '.join(sorted(labels))}, got others: {', '.join(odd)}")
    files = [
        (path, place)
        for place, name in enumerate(classes)
        for path in sorted(name.rglob("*"))
        if path.suffix.lower() in PICTURE_SUFFIXES
    ]
    fitted = fit_pictures([path for path, _ in files], size, color, folder.name)
    truth = np.array([place for _, place in files], np.int64)[fitted.rows]
    empty = [name for place, name in enumerate(names) if place not in truth]
    if empty:
        raise ConfigError(
            f"{folder}: want pictures of every class, got none in {', '.join(empty)}; fill or remove that folder"
        )
    return Found(fitted, truth, names)


def fit_pictures(files: Sequence[Path], size: int, color: Literal["gray", "rgb"], name: str) -> Fitted:
    """Read pictures and letterbox them as the device does.

    Args:
        files: to be read.
        size: height and width that come out.
        color: one channel or three.
        name: for the progress bar.
    """
    spec = TensorSpec(name="image", dtype="uint8", shape=(1, size, size, 1 if color == "gray" else 3))
    fit = Preprocessor(spec, Preprocess(fit="letterbox", color=color))
    images, rows, unreadable, sizes = [], [], [], set()
    for row, path in enumerate(tqdm(files, desc=name, unit="picture", disable=None, leave=False)):
        try:
            picture = read_picture(path)
        except SourceError:
            unreadable.append(path)
            continue
        sizes.add(picture.shape[:2])
        images.append(fit.fit(picture)[0][0].copy())
        rows.append(row)
    stacked = np.array(images, np.uint8).reshape(-1, *spec.shape[1:])
    return Fitted(stacked, np.array(rows, np.int64), tuple(unreadable), len(sizes))
