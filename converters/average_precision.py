"""Average precision of detections at IoU 0.5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.boxes import iou
from edge.types import F32

IOU_LIMIT = 0.5
IGNORED = -1
"""Class of a box that is neither wanted nor wrong."""


@dataclass(frozen=True, slots=True)
class Boxes:
    """What is to be found in one picture.

    Attributes:
        boxes: float32 (N, 4) xyxy pixels.
        classes: int64 (N,); `IGNORED` = neither wanted nor wrong.
    """

    boxes: F32
    classes: NDArray[np.int64]


def average_precision(found: Sequence[tuple[NDArray[Any], ...]], wanted: Sequence[Boxes]) -> float:
    """Return AP50, the mean over the classes that are wanted: the area under the precision-recall curve.

    Precision is made monotone, every point counts (PASCAL VOC from 2010 on, devkit section 3.4.1).

    Args:
        found: for each picture boxes (K, 4), scores (K,), classes (K,), best first.
        wanted: for each picture.

    Returns:
        1 where nothing is wanted and nothing of it is found.
    """
    classes = sorted({int(c) for right in wanted for c in right.classes if c != IGNORED})
    if not classes:
        return float(not any(len(answer[0]) for answer in found))
    return float(np.mean([_of_class(found, wanted, number) for number in classes]))


def _of_class(found: Sequence[tuple[NDArray[Any], ...]], wanted: Sequence[Boxes], number: int) -> float:
    scores: list[float] = []
    hits: list[bool] = []
    total = 0
    for (boxes, confidence, classes), right in zip(found, wanted, strict=True):
        mine = classes == number
        here = (right.classes == number) | (right.classes == IGNORED)
        counted = right.classes[here] == number
        total += int(counted.sum())
        overlap = iou(boxes[mine], right.boxes[here])
        free = np.ones(len(counted), bool)
        for row, score in enumerate(confidence[mine].tolist()):
            fits = (overlap[row] >= IOU_LIMIT) & free
            best = np.where(fits & counted, overlap[row], -1.0)
            hit = bool(best.size and best.max() >= IOU_LIMIT)
            if hit:
                free[best.argmax()] = False
            elif (fits & ~counted).any():
                continue
            hits.append(hit)
            scores.append(score)
    order = np.argsort(-np.array(scores), kind="stable")
    right_so_far = np.array(hits, bool)[order].cumsum()
    precision = right_so_far / np.arange(1, len(right_so_far) + 1)
    recall = np.concatenate([[0.0], right_so_far / max(total, 1)])
    monotone = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * monotone).sum())


def matched_iou(found: Sequence[tuple[NDArray[Any], ...]], wanted: Sequence[Boxes]) -> float:
    """Return the mean IoU of each wanted box with the best found one of its class; 0 for a box that was missed."""
    best: list[float] = []
    for (boxes, _, classes), right in zip(found, wanted, strict=True):
        overlap = np.where(right.classes[:, None] == classes[None], iou(right.boxes, boxes), 0)
        best += overlap.max(axis=1, initial=0).tolist()
    return float(np.mean(best)) if best else 1.0
