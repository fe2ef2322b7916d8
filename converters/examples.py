"""Examples that calibrate a quantiser or judge what it made, as the tensors that the device itself would make.

An example knows where its pixels are, not what they are: it is read when asked for, so that 10,000 of them can be
handed to another process.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundle import Preprocess, TensorSpec
from edge.errors import ConfigError, LimitError, SourceError
from edge.limits import read_npz
from edge.preprocess import Preprocessor, is_picture
from edge.sources.capture import open_film
from edge.sources.pictures import read_picture
from edge.types import F32, U8

Tensor = NDArray[Any]

VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v"})

_OPEN_VIDEOS = 2
_MOST_FRAMES = 10_000_000
"""Four days at 25 frames a second; OpenCV gives absurd counts where a container has none."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What a person says of each example.

    Attributes:
        classes: for tasks `classify`, `embed` (who it is) and `pair` (1 = the same): int64 (N,); for `localize` too.
        boxes: for `detect` and `localize`, float32 (K, 4) xyxy pixels of the picture, for each example.
        box_classes: for `detect`, int64 (K,) for each example; -1 = neither wanted nor wrong.
        names: of the classes; empty where classes are numbers of the model's own outputs.
    """

    classes: NDArray[np.int64] | None = None
    boxes: tuple[F32, ...] = ()
    box_classes: tuple[NDArray[np.int64], ...] = ()
    names: tuple[str, ...] = ()

    def part(self, rows: Sequence[int]) -> "Truth":
        """Return the truth of some examples."""
        return Truth(
            None if self.classes is None else self.classes[list(rows)],
            tuple(self.boxes[row] for row in rows) if self.boxes else (),
            tuple(self.box_classes[row] for row in rows) if self.box_classes else (),
            self.names,
        )


class Examples(Protocol):
    """Some inputs of a model, in order.

    Attributes:
        words: where they came from, for a person; no path.
        truth: what is right, None where nobody said.
    """

    words: str
    truth: Truth | None

    def __len__(self) -> int: ...

    def inputs(self, number: int) -> list[Tensor]:
        """Return one tensor for each input of the model, of its dtype and shape; the caller's own."""
        ...

    def picture(self, number: int) -> U8 | None:
        """Return uint8 (H, W, 3) RGB behind the first input that is a picture; None where there is none."""
        ...

    def name(self, number: int) -> str:
        """Return what a person would call the example: a file, or a file and a frame."""
        ...

    def sha256(self, number: int) -> str:
        """Return a hash of what the example shows."""
        ...

    def part(self, rows: Sequence[int], words: str) -> "Examples":
        """Return some of the examples."""
        ...


def sha256_all(examples: Examples) -> str:
    """Return one hash over all examples, in order."""
    return hashlib.sha256("".join(examples.sha256(number) for number in range(len(examples))).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Sight:
    """Where a picture is.

    Attributes:
        path: picture or video.
        frame: of a video, from 0; -1 for a picture.
        box: xyxy pixels, the part that is meant; None = all of it.
        sha256: of the pixels, box included; "" = not read yet.
        whole: sha256 of all pixels of the picture it was cut from; "" = it is the whole.
    """

    path: Path
    frame: int = -1
    box: tuple[float, float, float, float] | None = None
    sha256: str = ""
    whole: str = ""

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self.path.name if self.frame < 0 else f"{self.path.name}, frame {self.frame}"


@dataclass(slots=True)
class PictureExamples:
    """Pictures, one for each input of the model that takes one.

    Attributes:
        specs: the model's inputs, all of them pictures.
        how: the device's preprocessing.
        sights: for each example, as many as the model has inputs.
    """

    specs: tuple[TensorSpec, ...]
    how: Preprocess
    sights: list[tuple[Sight, ...]]
    words: str
    truth: Truth | None = None
    _preprocessors: list[Preprocessor] = field(default_factory=list, repr=False)

    def __len__(self) -> int:
        return len(self.sights)

    def inputs(self, number: int) -> list[Tensor]:
        """Read the pictures and make their tensors."""
        if not self._preprocessors:
            self._preprocessors = [Preprocessor(spec, self.how) for spec in self.specs]
        tensors = []
        for sight, preprocessor in zip(self.sights[number], self._preprocessors, strict=True):
            image = read_sight(sight)
            if sight.box is None:
                tensors.append(preprocessor.fit(image)[0].copy())
            else:
                tensors.append(preprocessor.crop(image, np.array(sight.box, np.float32)).copy())
        return tensors

    def picture(self, number: int) -> U8 | None:
        """Return the first picture, or the part of it that is meant."""
        return cut(self.sights[number][0])

    def name(self, number: int) -> str:
        """Return the names of the files."""
        return " and ".join(sight.name for sight in self.sights[number])

    def sha256(self, number: int) -> str:
        """Return a hash of the pixels."""
        hashes = [sight.sha256 or pixel_hash(sight) for sight in self.sights[number]]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def part(self, rows: Sequence[int], words: str) -> "PictureExamples":
        """Return some of the examples."""
        truth = self.truth.part(rows) if self.truth is not None else None
        return replace(self, sights=[self.sights[row] for row in rows], words=words, truth=truth, _preprocessors=[])

    def __getstate__(self) -> dict[str, Any]:
        return {
            "specs": self.specs, "how": self.how, "sights": self.sights, "words": self.words, "truth": self.truth,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._preprocessors = []


@dataclass(slots=True)
class ArrayExamples:
    """Tensors out of an .npz file.

    Attributes:
        specs: the model's inputs.
        path: of the file.
        keys: array of the file for each input.
        rows: of the arrays.
    """

    specs: tuple[TensorSpec, ...]
    path: Path
    keys: tuple[str, ...]
    rows: tuple[int, ...]
    words: str
    truth: Truth | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def inputs(self, number: int) -> list[Tensor]:
        """Take one row of each array, as the model's type."""
        arrays, row = read_arrays(self.path), self.rows[number]
        return [
            np.ascontiguousarray(arrays[key][row].reshape(spec.shape), dtype=spec.dtype)
            for key, spec in zip(self.keys, self.specs, strict=True)
        ]

    def picture(self, number: int) -> U8 | None:
        """Show the first input that has the shape of a picture and pixels of 0..255."""
        values = read_arrays(self.path)[self.keys[0]][self.rows[number]]
        values = values[..., None] if values.ndim == 2 else values
        if values.ndim != 3 or values.shape[2] not in (1, 3) or values.min() < 0 or values.max() > 255:
            return None
        if values.dtype != np.uint8 and values.max() <= 1:
            values = values * 255
        return np.ascontiguousarray(np.broadcast_to(values, (*values.shape[:2], 3)).astype(np.uint8))

    def name(self, number: int) -> str:
        """Return file and row."""
        return f"{self.path.name}, row {self.rows[number]}"

    def sha256(self, number: int) -> str:
        """Return a hash of the row's bytes."""
        arrays, row = read_arrays(self.path), self.rows[number]
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(arrays[key][row]).tobytes() for key in self.keys)
        ).hexdigest()

    def part(self, rows: Sequence[int], words: str) -> "ArrayExamples":
        """Return some of the examples."""
        truth = self.truth.part(rows) if self.truth is not None else None
        return replace(self, rows=tuple(self.rows[row] for row in rows), words=words, truth=truth)


@dataclass(slots=True)
class NoiseExamples:
    """Seeded noise, where a model has no data: it proves the arithmetic and nothing else.

    Attributes:
        specs: the model's inputs.
        how: the device's preprocessing, None for a model without pictures.
        count: how many.
    """

    specs: tuple[TensorSpec, ...]
    how: Preprocess | None
    count: int = 16
    words: str = "seeded noise"
    truth: Truth | None = None
    first: int = 0

    def __len__(self) -> int:
        return self.count

    def inputs(self, number: int) -> list[Tensor]:
        """Draw pixels of 0..255 for a picture, else numbers of mean 0 and deviation 1."""
        random = np.random.default_rng(self.first + number)
        tensors: list[Tensor] = []
        for spec in self.specs:
            if self.how is not None and is_picture(spec, self.how):
                pixels = random.integers(0, 256, (*spec.shape[1:3], 3), np.uint8)
                tensors.append(Preprocessor(spec, self.how).fit(pixels)[0].copy())
            elif spec.dtype.startswith(("int", "uint")):
                tensors.append(random.integers(0, 2, spec.shape).astype(spec.dtype))
            else:
                tensors.append(random.standard_normal(spec.shape).astype(spec.dtype))
        return tensors

    def picture(self, number: int) -> U8 | None:
        """Show nothing."""
        del number
        return None

    def name(self, number: int) -> str:
        """Return the seed."""
        return f"noise {self.first + number}"

    def sha256(self, number: int) -> str:
        """Return a hash of the seed."""
        return hashlib.sha256(f"noise {self.first + number}".encode()).hexdigest()

    def part(self, rows: Sequence[int], words: str) -> "NoiseExamples":
        """Return as many others."""
        return replace(self, count=len(rows), words=words)


def hashes_of(examples: "Examples") -> set[str]:
    """Return the hashes of all examples, and of the whole pictures that they are parts of."""
    hashes = {examples.sha256(number) for number in range(len(examples))}
    if isinstance(examples, PictureExamples):
        hashes |= {sight.whole for sights in examples.sights for sight in sights if sight.whole}
    return hashes


def cut(sight: Sight) -> U8:
    """Return the pixels that are meant: uint8 (H, W, 3) RGB."""
    image = read_sight(sight)
    if sight.box is None:
        return image
    left, top, right, bottom = (round(value) for value in sight.box)
    rows, columns = image.shape[:2]
    left, top = max(0, min(left, columns - 1)), max(0, min(top, rows - 1))
    return image[top : max(top + 1, bottom), left : max(left + 1, right)]


def pixel_hash(sight: Sight) -> str:
    """Return the SHA-256 of a picture's shape and pixels."""
    image = np.ascontiguousarray(cut(sight))
    return hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest()


def read_sight(sight: Sight) -> U8:
    """Read a picture, or a frame of a video: uint8 (H, W, 3) RGB.

    Raises:
        ConfigError: it cannot be read.
    """
    if sight.frame >= 0:
        return _video(sight.path).read(sight.frame)
    try:
        return read_picture(sight.path)
    except SourceError as error:  # a file that was given wrongly, not a camera that was lost
        raise ConfigError(str(error)) from error


def frame_count(path: Path) -> int:
    """Return how many frames a video says to have.

    Raises:
        ConfigError: OpenCV cannot read it.
    """
    return _video(path).count


@lru_cache(maxsize=2)
def read_arrays(path: Path) -> dict[str, Tensor]:
    """Read all arrays of an .npz file.

    Raises:
        ConfigError: it is none.
    """
    try:
        return read_npz(path)
    except (OSError, LimitError) as error:
        raise ConfigError(
            f"data {path}: want an .npz file of arrays, got '{error}'; save it with numpy.savez"
        ) from error


class _Video:
    """An open video that is read forwards; asked for an earlier frame, it starts again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = _open(path)
        self._next = 0
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if 1 <= count < _MOST_FRAMES else 0
        if not self.count:
            raise ConfigError(f"video {path}: want one that OpenCV can read, got no frame; remove or replace the file")

    def read(self, frame: int) -> U8:
        """Return one frame, uint8 (H, W, 3) RGB."""
        if frame < self._next:
            self._capture.release()
            self._capture, self._next = _open(self._path), 0
        while self._next < frame and self._capture.grab():
            self._next += 1
        found, pixels = self._capture.read()
        self._next += 1
        if not found:
            raise ConfigError(f"video {self._path}: want a frame {frame}, got the end of the file; it is cut short")
        return _rgb(pixels)


def _open(path: Path) -> cv2.VideoCapture:
    try:
        return open_film(path)
    except SourceError as error:
        raise ConfigError(str(error)) from error


@lru_cache(maxsize=_OPEN_VIDEOS)
def _video(path: Path) -> _Video:
    return _Video(path)


def _rgb(bgr: NDArray[Any]) -> U8:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
