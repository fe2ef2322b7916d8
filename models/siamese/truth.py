"""Who is who in a recording, by a MOTChallenge ground truth. For judging alone: nothing here is trained on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from edge.boxes import iou
from edge.errors import ConfigError
from edge.limits import read_table
from edge.sinks.crops import Crop
from edge.types import I64
from models.siamese.crops import Bools

NOBODY = -1
_IOU = 0.5
"""Overlap from which a crop shows an individual of the ground truth, as in MOTChallenge."""


def identify(crops: list[Crop], path: Path) -> I64:
    """Give each crop the identity of the ground truth, one crop to one identity in a frame.

    Args:
        crops: of a recording; frames count from 0, in the ground truth from 1.
        path: gt.txt; rows with confidence 0 are nobody.

    Returns:
        int64 (N,), -1 where nobody is.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        rows = np.loadtxt(read_table(path), delimiter=",", ndmin=2)[:, :7]
        if rows.shape[1] < 7:
            raise ValueError(f"{rows.shape[1]} columns")
    except (OSError, ValueError, IndexError) as error:
        raise ConfigError(f"truth {path}: want rows of a MOTChallenge gt.txt, got '{error}'; check the path") from error
    frames = np.array([crop.frame for crop in crops])
    boxes = np.array([crop.box for crop in crops], np.float32)
    who = np.full(len(crops), NOBODY, np.int64)
    for frame in np.unique(frames):
        here, mine = rows[rows[:, 0] == frame + 1], np.flatnonzero(frames == frame)
        right = np.concatenate([here[:, 2:4], here[:, 2:4] + here[:, 4:6]], axis=1).astype(np.float32)
        overlap = iou(right, boxes[mine])
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] >= _IOU and here[row, 6]:
                who[mine[column]] = int(here[row, 1])
    return who


def met(crops: list[Crop], who: I64) -> Bools:
    """Tell which identities were once in one frame: bool (K, K), K the largest identity + 1.

    A ground truth of tracks gives a new identity to somebody who comes back. Two that were in one frame are two.
    """
    frames: NDArray[np.int64] = np.array([crop.frame for crop in crops])
    together = np.zeros((who.max() + 1,) * 2, bool)
    for frame in np.unique(frames):
        here = np.unique(who[(frames == frame) & (who != NOBODY)])
        together[np.ix_(here, here)] = True
    return together
