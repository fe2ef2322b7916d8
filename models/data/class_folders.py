"""Pictures in one folder for each class: what can be read, and by name what cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError
from edge.preprocess import Preprocessor
from edge.types import U8

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_NAMED = 5


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        images: uint8 (N, size, size, 1 or 3), RGB; a picture of another shape is fitted with black borders.
        truth: int64 (N,).
        labels: name of each class, sorted, which are the names of the folders.
        unreadable: files that are no pictures; left out.
    """

    images: U8
    truth: NDArray[np.int64]
    labels: tuple[str, ...]
    unreadable: tuple[Path, ...]

    @property
    def words(self) -> str:
        """Say what was found in one sentence."""
        said = f"{len(self.truth)} pictures of {len(self.labels)} classes"
        if not self.unreadable:
            return said
        names = ", ".join(str(path) for path in self.unreadable[:_NAMED])
        more = len(self.unreadable) - _NAMED
        return f"{said}; {len(self.unreadable)} unreadable and left out: {names}{f' and {more} more' * (more > 0)}"


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
        if path.suffix.lower() in SUFFIXES
    ]
    channels = 1 if color == "gray" else 3
    spec = TensorSpec(name="image", dtype="uint8", shape=(1, size, size, channels))
    fit = Preprocessor(spec, Preprocess(fit="letterbox", color=color))
    images, truth, unreadable = [], [], []
    for path, place in tqdm(files, desc=folder.name, unit="picture", disable=None, leave=False):
        picture = _read(path, fit)
        if picture is None:
            unreadable.append(path)
        else:
            images.append(picture)
            truth.append(place)
    empty = [names[place] for place in range(len(names)) if place not in set(truth)]
    if empty:
        raise ConfigError(
            f"{folder}: want pictures of every class, got none in {', '.join(empty)}; fill or remove that folder"
        )
    return Found(np.stack(images), np.array(truth, np.int64), names, tuple(unreadable))


def _read(path: Path, fit: Preprocessor) -> U8 | None:
    """Return one picture, fitted as the device fits it; None where it cannot be read."""
    try:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError:
        return None
    picture = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB) if raw.size else None
    return None if picture is None else np.array(fit.fit(np.asarray(picture, np.uint8))[0][0])
