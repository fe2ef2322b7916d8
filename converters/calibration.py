"""Pictures -> image tensors, to calibrate a quantiser and to judge what it made; by the device's own preprocessing.

A source is a folder of pictures, one picture, or a video. Which ones are taken is a matter of the seed alone:
names are sorted first, so the same files give the same tensors everywhere.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.recipe import Pictures
from edge.bundle import Preprocess, Task, TensorSpec
from edge.errors import ConfigError
from edge.preprocess import Preprocessor
from edge.types import U8

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
VIDEO_SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v"})

_CROP_SIDES = (0.3, 0.9)
"""Height of a random crop, in parts of the picture's: from a person far away to one close by."""
_CROP_SHAPES = (0.35, 1.2)
"""Width over height of a random crop: from a standing person to a horse's head."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a source.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        name: file, or file and frame.
        sha256: of the pixels, so that no picture is used twice.
    """

    image: U8
    name: str
    sha256: str


def take_all(places: Sequence[tuple[Path, Pictures]], without: Collection[str] = ()) -> list[list[Picture]]:
    """Read the pictures of several places, none of them twice; see `take_pictures`."""
    taken: list[list[Picture]] = []
    seen = set(without)
    for path, wanted in places:
        taken.append(take_pictures(path, wanted, seen))
        seen.update(picture.sha256 for picture in taken[-1])
    return taken


def take_pictures(path: Path, wanted: Pictures, without: Collection[str] = ()) -> list[Picture]:
    """Read `wanted.count` different pictures, chosen by `wanted.seed`.

    Args:
        path: folder, picture or video.
        wanted: pattern, count and seed.
        without: sha256 of pictures that must not be taken.

    Raises:
        ConfigError: nothing there, too few pictures, or one that cannot be read.
    """
    taken: list[Picture] = []
    seen = set(without)
    for picture in _shuffled(path, wanted):
        if len(taken) == wanted.count:
            break
        if picture.sha256 not in seen:
            seen.add(picture.sha256)
            taken.append(picture)
    if len(taken) < wanted.count:
        raise ConfigError(
            f"pictures {path}: want {wanted.count} different ones like '{wanted.pattern}' that are not used for "
            f"calibration, got {len(taken)}; add pictures or lower the count"
        )
    return taken


def to_tensors(
    pictures: Sequence[Picture], spec: TensorSpec, how: Preprocess, task: Task, wanted: Pictures
) -> list[NDArray[Any]]:
    """Make the image tensors of pictures, as the device would.

    Args:
        pictures: what to take.
        spec: the model's image input.
        how: the recipe's preprocessing.
        task: a detector sees whole pictures, an embedder `wanted.crops` random parts of each.
        wanted: where the pictures came from.
    """
    preprocessor = Preprocessor(spec, how)
    random = np.random.default_rng(wanted.seed)
    if task == "detect":
        return [preprocessor.fit(picture.image)[0].copy() for picture in pictures]
    return [
        preprocessor.crop(picture.image, _random_box(picture.image, random)).copy()
        for picture in pictures
        for _ in range(wanted.crops)
    ]


def describe(taken: Sequence[Sequence[Picture]], places: Sequence[Pictures]) -> str:
    """Say in words what calibrated a model, with a hash over all pixels: no path, no machine."""
    whole = hashlib.sha256("".join(picture.sha256 for part in taken for picture in part).encode()).hexdigest()
    words = [f"{len(part)} of {Path(place.source).name}" for part, place in zip(taken, places, strict=True)]
    return f"pictures: {', '.join(words)}; sha256 of their pixels {whole[:16]}"


def source_files(path: Path, pattern: str) -> list[Path]:
    """List the files of a source, by name.

    Raises:
        ConfigError: no such place, or no picture in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"pictures {path}: want a folder, picture or video, got no such file; check the path")
    files = sorted(
        file
        for file in path.glob(pattern)
        if file.is_file() and file.suffix.lower() in PICTURE_SUFFIXES | VIDEO_SUFFIXES
    )
    if not files:
        raise ConfigError(f"pictures {path}: want at least one picture like '{pattern}', got none; add some")
    return files


def _shuffled(path: Path, wanted: Pictures) -> Iterator[Picture]:
    """Yield the pictures in the order of the seed; a file is read when its turn comes."""
    readers: list[Callable[[], Picture]] = []
    for file in source_files(path, wanted.pattern):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            readers += _frame_readers(file, wanted)
        else:
            readers.append(lambda file=file: _read_picture(file))  # type: ignore[misc]
    for number in np.random.default_rng(wanted.seed).permutation(len(readers)):
        yield readers[number]()


def _read_picture(file: Path) -> Picture:
    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR) if file.stat().st_size else None
    if pixels is None:
        raise ConfigError(f"picture {file}: want an image that OpenCV can read, got another thing; remove the file")
    return _picture(pixels, file.name)


def _frame_readers(file: Path, wanted: Pictures) -> list[Callable[[], Picture]]:
    """Decode evenly spread frames of a video: two for each that is wanted, so that the seed has a choice."""
    video = cv2.VideoCapture(str(file))
    try:
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        chosen = set(np.linspace(0, total - 1, min(max(total, 0), 2 * wanted.count)).astype(int).tolist())
        frames = []
        for index in range(max(chosen, default=-1) + 1):
            if not video.grab():
                break
            if index in chosen:
                found, pixels = video.retrieve()
                if found:
                    frames.append(_picture(pixels, f"{file.name}, frame {index}"))
    finally:
        video.release()
    if not frames:
        raise ConfigError(f"video {file}: want one that OpenCV can read, got no frame; remove or replace the file")
    return [lambda frame=frame: frame for frame in frames]  # type: ignore[misc]


def _picture(bgr: NDArray[Any], name: str) -> Picture:
    image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    return Picture(image, name, hashlib.sha256(str(image.shape).encode() + image.tobytes()).hexdigest())


def _random_box(image: U8, random: np.random.Generator) -> NDArray[np.float32]:
    """Choose a part of the picture as a detector might."""
    rows, columns = image.shape[:2]
    height = random.uniform(*_CROP_SIDES) * rows
    width = min(height * random.uniform(*_CROP_SHAPES), columns)
    left, top = random.uniform(0, columns - width), random.uniform(0, rows - height)
    return np.array([left, top, left + width, top + height], np.float32)
