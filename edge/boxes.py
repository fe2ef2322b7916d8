"""All box arithmetic. Boxes are float32 (N, 4) xyxy: x0, y0, x1, y1 in pixels, x to the right, y down."""

import cv2
import numpy as np

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
    # Coordinate by coordinate, so that numpy's inner loops run over boxes and not over two numbers at a time.
    inside = _overlap(a[:, 0], a[:, 2], b[:, 0], b[:, 2])
    inside *= _overlap(a[:, 1], a[:, 3], b[:, 1], b[:, 3])
    union = area(a)[:, None] + area(b)
    union -= inside
    inside /= np.maximum(union, np.float32(1e-9), out=union)
    return inside


def _overlap(low_a: F32, high_a: F32, low_b: F32, high_b: F32) -> F32:
    """Return how long each interval of `a` (N,) and each of `b` (M,) run together, (N, M)."""
    length: F32 = np.minimum(high_a[:, None], high_b)
    length -= np.maximum(low_a[:, None], low_b)
    return np.maximum(length, 0, out=length)


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
    """Return boxes (N, 4) as places (4, N): rows centre x, centre y, width, height."""
    places: F32 = boxes.T.copy()
    places[2:] -= places[:2]
    places[:2] += places[2:] * np.float32(0.5)
    return places


def cxcywh_to_xyxy(places: F32) -> F32:
    """Return places (4, N), rows centre x, centre y, width, height, as boxes (N, 4)."""
    result = np.empty((places.shape[1], 4), np.float32)
    half = places[2:] * np.float32(0.5)
    result[:, :2] = (places[:2] - half).T
    result[:, 2:] = (places[:2] + half).T
    return result
