"""Augmentation of pictures on the CPU, drawn anew for every batch of every epoch; and batches that can be repeated.

What a batch holds is a function of seed, epoch and place in the epoch: a run that was killed goes on with the very
pictures it would have seen.
"""

from collections.abc import Callable
from typing import Annotated, Any

import cv2
import keras
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.settings import BelowOne, Share
from edge.types import U8
from models.training.recipe import Part


class Augmentation(Part, frozen=True):
    """How pictures are changed while training; every default changes nothing.

    Attributes:
        flip: True to mirror half of them left to right.
        shift: largest move along each axis, in parts of the side.
        rotation: largest turn in degrees, either way; 180 is every turn.
        zoom: largest change of scale, 0.1 for 0.9 to 1.1; at 1 nothing would be left.
        shear: largest shear in degrees, either way; at 90 a picture is a line.
        noise: largest standard deviation of Gaussian noise, in gray values of 255.
        blur: largest standard deviation of a Gaussian blur, in pixels; above 100 OpenCV takes seconds for a picture.
        cutout: side of a square of the picture's mean put at random, in parts of the side (DeVries and
            Taylor 2017, arXiv:1708.04552).
        share: share of the pictures that are changed at all.
    """

    flip: bool = False
    shift: Share = 0.0
    rotation: Annotated[float, msgspec.Meta(ge=0, le=180)] = 0.0
    zoom: BelowOne = 0.0
    shear: Annotated[float, msgspec.Meta(ge=0, lt=90)] = 0.0
    noise: Annotated[float, msgspec.Meta(ge=0, le=255)] = 0.0
    blur: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    cutout: Share = 0.0
    share: Share = 1.0


NONE = Augmentation()


def augment(pictures: U8, how: Augmentation, random: np.random.Generator) -> U8:
    """Return changed copies of pictures.

    Args:
        pictures: uint8 (N, H, W, C), not written to. What moves in from outside is black.
        how: what may be done.
        random: decides.
    """
    if how == NONE:
        return pictures
    changed = pictures.copy()
    for place in np.flatnonzero(random.random(len(pictures)) < how.share):
        changed[place] = _one(pictures[place], how, random)
    return changed


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """One epoch of training examples, shuffled and augmented by seed and epoch."""

    def __init__(self, pictures: U8, targets: Any, batch: int, seed: int, epoch: int, how: Augmentation = NONE) -> None:
        """Make one epoch.

        Args:
            pictures: uint8 (N, H, W, C).
            targets: array (N, ...), or dict or tuple of such.
            batch: examples in a batch; the last one may have fewer.
            seed: of the run.
            epoch: from 0.
            how: augmentation.
        """
        super().__init__(workers=1, max_queue_size=16)
        self._pictures, self._targets, self._batch, self._how = pictures, targets, batch, how
        self._key = (seed, epoch)
        self._order = np.random.default_rng(self._key).permutation(len(pictures))

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._order) // self._batch)

    def __getitem__(self, index: int) -> tuple[U8, Any]:
        """Return one batch: pictures and targets."""
        chosen = self._order[index * self._batch : (index + 1) * self._batch]
        random = np.random.default_rng((*self._key, index))
        return augment(self._pictures[chosen], self._how, random), _take(self._targets, chosen)


def epochs_of(pictures: U8, targets: Any, batch: int, seed: int, how: Augmentation = NONE) -> Callable[[int], Batches]:
    """Return the function epoch -> batches that `run.Job.train` wants."""
    return lambda epoch: Batches(pictures, targets, batch, seed, epoch, how)


def _take(targets: Any, chosen: NDArray[np.int64]) -> Any:
    if isinstance(targets, dict):
        return {name: _take(part, chosen) for name, part in targets.items()}
    if isinstance(targets, tuple):
        return tuple(_take(part, chosen) for part in targets)
    return targets[chosen]


def _one(picture: U8, how: Augmentation, random: np.random.Generator) -> U8:
    """Change one picture, uint8 (H, W, C)."""
    height, width = picture.shape[:2]
    if how.flip and random.random() < 0.5:
        picture = picture[:, ::-1]
    if how.shift or how.rotation or how.zoom or how.shear:
        matrix = _affine(height, width, how, random)
        picture = _warp(np.ascontiguousarray(picture), matrix)
    if how.blur:
        sigma = random.uniform(0.0, how.blur)
        if sigma > 0.2:  # below, the kernel of 8-bit weights is a single pixel
            picture = cv2.GaussianBlur(np.ascontiguousarray(picture), (0, 0), sigma).reshape(picture.shape)  # type: ignore[assignment]
    if how.noise:
        noise = random.normal(0.0, random.uniform(0.0, how.noise), picture.shape)
        picture = np.clip(picture + noise, 0, 255).astype(np.uint8)
    if how.cutout:
        picture = picture.copy()
        side = max(1, round(how.cutout * height)), max(1, round(how.cutout * width))
        y, x = random.integers(0, height), random.integers(0, width)
        top, left = max(0, y - side[0] // 2), max(0, x - side[1] // 2)
        picture[top : y + (side[0] + 1) // 2, left : x + (side[1] + 1) // 2] = round(float(picture.mean()))
    return picture


def _affine(height: int, width: int, how: Augmentation, random: np.random.Generator) -> NDArray[np.float32]:
    """Draw a 2 x 3 matrix about the centre: shear, then turn and scale, then shift in whole pixels if alone."""
    angle, shear = np.deg2rad(random.uniform(-1, 1, 2) * (how.rotation, how.shear))
    scale = 1.0 + random.uniform(-1, 1) * how.zoom
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[1.0, np.tan(shear)], [0.0, 1.0]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    move = random.uniform(-1, 1, 2) * how.shift * (width, height)
    if not (how.rotation or how.zoom or how.shear):
        move = np.round(move)  # no need to blur what only moves
    return np.column_stack([linear, centre - linear @ centre + move]).astype(np.float32)


def _warp(picture: U8, matrix: NDArray[np.float32]) -> U8:
    height, width = picture.shape[:2]
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR).reshape(picture.shape)  # type: ignore[return-value]
