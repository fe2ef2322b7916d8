"""Pictures in one folder for each class: what can be read, and by name what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.bar import bar
from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError, SourceError
from edge.preprocess import Preprocessor
from edge.sources.pictures import PICTURE_SUFFIXES, read_picture
from edge.sources.source import quiet_opencv
from edge.types import U8
from models.quiet import quiet

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
        others: files that are no pictures by their name; they were not opened.
    """

    fitted: Fitted
    truth: NDArray[np.int64]
    labels: tuple[str, ...]
    others: tuple[Path, ...] = ()

    @property
    def words(self) -> str:
        """Say what was found in one sentence."""
        return "; ".join([f"{len(self.truth)} pictures of {len(self.labels)} classes", *self.left_out])

    @property
    def left_out(self) -> list[str]:
        """Name what was left out, a phrase for each reason."""
        said = [self.fitted.left_out] if self.fitted.unreadable else []
        if self.others:
            names = ", ".join(path.name for path in self.others[:_NAMED])
            many = len(self.others) > 1
            what = "files that are no pictures by their name" if many else "file that is no picture by its name"
            said.append(f"{len(self.others)} {what}: {names}{', ...' * (len(self.others) > _NAMED)}")
        return said


def read_class_folders(folder: Path, size: int, color: Literal["gray", "rgb"], labels: Sequence[str] = ()) -> Found:
    """Read all pictures below `folder`, one folder for each class; what is hidden is not read.

    Args:
        folder: holds the classes.
        size: height and width of the pictures that come out.
        color: one channel or three.
        labels: classes that there must be and no others; empty = those that are there.

    Raises:
        ConfigError: no such folder, fewer than two classes, a class without a readable picture, or classes that
            differ from `labels`.
    """
    classes = _classes(folder)
    names = tuple(path.name for path in classes)
    if len(names) < 2:
        raise ConfigError(f"{folder}: want a folder for each of two or more classes, got {len(names)}; add some")
    if labels and set(labels) != set(names):
        missing, more = sorted(set(labels) - set(names)), sorted(set(names) - set(labels))
        got = [f"no folder {', '.join(missing)}"] * bool(missing) + [f"{', '.join(more)} too many"] * bool(more)
        raise ConfigError(
            f"{folder}: want the classes {', '.join(sorted(labels))}, got {' and '.join(got)}; "
            "correct the folders or labels"
        )
    found = [(path, place) for place, inside in enumerate(classes) for path in _files(inside)]
    files = [(path, place) for path, place in found if path.suffix.lower() in PICTURE_SUFFIXES]
    others = tuple(path for path, _ in found if path.suffix.lower() not in PICTURE_SUFFIXES)
    fitted = fit_pictures([path for path, _ in files], size, color, folder.name)
    truth = np.array([place for _, place in files], np.int64)[fitted.rows]
    empty = [name for place, name in enumerate(names) if place not in truth]
    if empty:
        raise ConfigError(
            f"{folder}: want pictures of every class, got none in {', '.join(empty)}; fill or remove that folder"
        )
    return Found(fitted, truth, names, others)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes in a folder, in the order of the model's answers.

    Raises:
        ConfigError: no such folder.
    """
    return tuple(path.name for path in _classes(folder))


def _classes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: want a folder with a folder of pictures for each class, got no such folder; check the path"
        )
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _files(inside: Path) -> list[Path]:
    """Return all files below a class, but those that are hidden or in hidden folders."""
    return sorted(
        path
        for path in inside.rglob("*")
        if not path.is_dir() and not any(part.startswith(".") for part in path.relative_to(inside).parts)
    )


def fit_pictures(files: Sequence[Path], size: int, color: Literal["gray", "rgb"], name: str) -> Fitted:
    """Read pictures and letterbox them as the device does.

    Args:
        files: to be read.
        size: height and width that come out.
        color: one channel or three.
        name: for the progress bar.
    """
    quiet_opencv()
    spec = TensorSpec(name="image", dtype="uint8", shape=(1, size, size, 1 if color == "gray" else 3))
    fit = Preprocessor(spec, Preprocess(fit="letterbox", color=color))
    images, rows, unreadable, sizes = [], [], [], set()
    for row, path in enumerate(bar(files, desc=name, unit="picture")):
        try:
            with quiet():  # libpng writes past OpenCV
                picture = read_picture(path)
        except SourceError:
            unreadable.append(path)
            continue
        sizes.add(picture.shape[:2])
        images.append(fit.fit(picture)[0][0].copy())
        rows.append(row)
    stacked = np.array(images, np.uint8).reshape(-1, *spec.shape[1:])
    return Fitted(stacked, np.array(rows, np.int64), tuple(unreadable), len(sizes))
