"""All box arithmetic. Boxes are float32 (N, 4) xyxy: x0, y0, x1, y1 in pixels, x to the right, y down."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.types import F32, I32


def area(boxes: F32) -> F32:
    """Return the areas (N,), square pixels; a box turned inside out has area 0."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    product: F32 = sides[:, 0] * sides[:, 1]
    return product


def iou(a: F32, b: F32) -> F32:
    """Return the intersection over union of every box of `a` (N, 4) with every one of `b` (M, 4), as (N, M).

    Two boxes without area have IoU 0.
    """
    sides = np.minimum(a[:, None, 2:], b[:, 2:])
    sides -= np.maximum(a[:, None, :2], b[:, :2])
    np.maximum(sides, 0, out=sides)
    inside = sides[..., 0] * sides[..., 1]
    union = area(a)[:, None] + area(b) - inside
    result: F32 = inside / np.maximum(union, np.float32(1e-9))
    return result


def clip(boxes: F32, width: float, height: float) -> F32:
    """Cut boxes (N, 4) off at the edges of a picture of this size; returns new boxes."""
    limits = np.array([width, height, width, height], np.float32)
    result: F32 = np.minimum(np.maximum(boxes, np.float32(0)), limits)
    return result


def scale(boxes: F32, scale_x: float, scale_y: float) -> F32:
    """Multiply x by `scale_x` and y by `scale_y`; returns new boxes."""
    result: F32 = boxes * np.array([scale_x, scale_y, scale_x, scale_y], np.float32)
    return result


def nms(boxes: F32, scores: F32, classes: I32, iou_limit: float) -> I32:
    """Choose the best box of every cluster, class by class (greedy non-maximum suppression).

    Args:
        boxes: float32 (N, 4) xyxy.
        scores: float32 (N,).
        classes: int32 (N,); boxes of different classes never suppress each other.
        iou_limit: a box that overlaps a better one of its class by more than this is left out.

    Returns:
        int32 (K,) rows to keep, best score first.
    """
    if len(scores) == 0:
        return np.zeros(0, np.int32)
    # Boxes of different classes are moved apart so that one call serves all classes.
    apart = boxes + (classes * np.float32(2 * np.abs(boxes).max() + 1))[:, None]
    apart[:, 2:] -= apart[:, :2]
    # Lists, not arrays: OpenCV 5 reads an array element by element, 2 to 3 times slower.
    kept = cv2.dnn.NMSBoxes(apart.tolist(), scores.tolist(), 0.0, iou_limit)
    return np.asarray(kept, np.int32).reshape(-1)


def xyxy_to_cxcywh(boxes: F32) -> F32:
    """Return the same boxes (N, 4) as centre x, centre y, width, height."""
    result = boxes.copy()
    result[:, 2:] -= boxes[:, :2]
    result[:, :2] += result[:, 2:] / 2
    return result


def cxcywh_to_xyxy(places: F32) -> F32:
    """Return boxes (N, 4) given as centre x, centre y, width, height, as xyxy."""
    result = places.copy()
    result[:, :2] -= places[:, 2:] / 2
    result[:, 2:] += result[:, :2]
    return result


def touches(boxes: F32, width: float, height: float) -> NDArray[np.bool_]:
    """Tell which boxes (N, 4) have a part inside a picture of this size."""
    x0, y0, x1, y1 = boxes.T
    result: NDArray[np.bool_] = (x0 < width) & (y0 < height) & (x1 > 0) & (y1 > 0)
    return result
