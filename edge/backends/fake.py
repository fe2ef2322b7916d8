"""A runtime without models, for tests and for trying out a camera: its "models" are the functions below.

The model file of such a bundle is the JSON of a `Program`.
"""

import time
from collections.abc import Callable, Sequence
from typing import Annotated

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.backends import Tensor
from edge.bundle import Bundle
from edge.errors import BundleError


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model file holds.

    Attributes:
        program: key of `PROGRAMS`.
        busy_ms: time that a run takes at least, spent computing nothing: stands in for a slow model.
    """

    program: str
    busy_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0.0


def blobs(image: NDArray[np.uint8]) -> list[Tensor]:
    """Find bright blobs on a dark ground, for the decoder `boxes`.

    Args:
        image: uint8 (1, H, W, 3).

    Returns:
        `boxes` float32 (1, 64, 4) xyxy pixels of the input and `scores` float32 (1, 64, 2): the share of its box
        that a blob fills, in column 1 if it is tall (height over 1.5 times the width), else in column 0.
    """
    boxes, scores = np.zeros((1, 64, 4), np.float32), np.zeros((1, 64, 2), np.float32)
    bright = (image[0].max(axis=2) > 96).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
    for row, (x, y, width, height, pixels) in enumerate(stats[1:65].tolist()):
        boxes[0, row] = x, y, x + width, y + height
        scores[0, row, int(height > 1.5 * width)] = pixels / (width * height)
    return [boxes, scores]


def mean_colors(image: NDArray[np.uint8]) -> list[Tensor]:
    """Embed a crop as the mean colours of its 4 x 4 tiles: float32 (1, 48), 0..1."""
    tiles = cv2.resize(image[0], (4, 4), interpolation=cv2.INTER_AREA)
    return [tiles.reshape(1, 48).astype(np.float32) / 255]


def closeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> list[Tensor]:
    """Give pairs of vectors, (1, 1, P, D) each, the probability exp(-Manhattan distance) to be the same: (1, P)."""
    same: NDArray[np.float32] = np.exp(-np.abs(a - b).sum(axis=3))
    return [same.reshape(1, -1)]


def colors(image: NDArray[np.uint8]) -> list[Tensor]:
    """Classify a picture as red, green or blue: float32 (1, 3), the share of each in its brightness."""
    sums = image[0].reshape(-1, 3).sum(axis=0, dtype=np.float32) + np.float32(1e-3)
    return [(sums / sums.sum())[None]]


def bright_spot(image: NDArray[np.uint8]) -> list[Tensor]:
    """Box what is brighter than 96 and say of which colour it is: float32 (1, 4), parts of the input, and (1, 3)."""
    bright = image[0].max(axis=2) > 96
    rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
    box = np.zeros((1, 4), np.float32)
    if len(rows):
        height, width = bright.shape
        box[0] = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
    return [box, *colors(image * bright[None, ..., None])]


PROGRAMS: dict[str, Callable[..., list[Tensor]]] = {
    "blobs": blobs,
    "mean_colors": mean_colors,
    "colors": colors,
    "bright_spot": bright_spot,
    "closeness": closeness,
}


def installed() -> bool:
    """Tell that it is always here."""
    return True


def open(bundle: Bundle, threads: int) -> "FakeBackend":  # the module is the namespace: fake.open
    """Load the bundle's program.

    Raises:
        BundleError: the model file is no program of this runtime.
    """
    return FakeBackend(bundle, threads)


class FakeBackend:
    """One program, as `edge.backends.Backend` describes it."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        del threads  # its programs use one
        try:
            program = msgspec.json.decode(bundle.model_path.read_bytes(), type=Program)
            self._run = PROGRAMS[program.program]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError) as error:
            raise BundleError(
                f"bundle {bundle.path}: want a program of {sorted(PROGRAMS)}, got '{error}'; make the bundle again"
            ) from error
        self._busy_ns = int(program.busy_ms * 1e6)
        self.description = f"fake, {program.program}"

    def invoke(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run the program once."""
        until = time.monotonic_ns() + self._busy_ns
        outputs = self._run(*inputs)
        while time.monotonic_ns() < until:
            pass
        return outputs

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
