"""All box arithmetic. Boxes are float32 (N, 4) xyxy: x0, y0, x1, y1 in pixels, x to the right, y down."""

import cv2
import numpy as np

from edge.types import F32, I32

# Arrays, not numbers: to convert a Python number costs numpy as much as to use it on a dozen boxes.
_NOTHING, _SPECK, _HALF = np.array(0, np.float32), np.array(1e-9, np.float32), np.array(0.5, np.float32)


def area(boxes: F32) -> F32:
    """Return the areas (N,), square pixels; a box turned inside out has area 0."""
    return _area(boxes.T)


def iou(a: F32, b: F32) -> F32:
    """Return the intersection over union of every box of `a` (N, 4) with every one of `b` (M, 4), as (N, M).

    Two boxes without area have IoU 0.
    """
    return _iou(a.T[:, :, None], b.T[:, None])


def iou_of_places(a: F32, b: F32) -> F32:
    """Return the intersection over union of each place of `a` (4, N) with that of `b` (4, N), as (N,).

    Both are rows centre x, centre y, width, height. Two places without area have IoU 0.
    """
    sides_a, sides_b = a[2:], b[2:]
    sides: F32 = sides_a + sides_b
    sides *= _HALF
    sides -= np.abs(a[:2] - b[:2])
    np.minimum(sides, np.minimum(sides_a, sides_b), out=sides)  # one may lie inside the other
    np.maximum(sides, _NOTHING, out=sides)
    inside: F32 = sides[0]
    inside *= sides[1]
    union = sides_a[0] * sides_a[1]
    union += sides_b[0] * sides_b[1]
    union -= inside
    inside /= np.maximum(union, _SPECK, out=union)
    return inside


def _iou(a: F32, b: F32) -> F32:
    """Return the IoU of boxes of shapes (4, ...) that broadcast; coordinates first, so that numpy runs over boxes."""
    sides: F32 = np.minimum(a[2:], b[2:])
    sides -= np.maximum(a[:2], b[:2])
    np.maximum(sides, _NOTHING, out=sides)
    inside: F32 = sides[0]
    inside *= sides[1]
    union = _area(a) + _area(b)
    union -= inside
    inside /= np.maximum(union, _SPECK, out=union)
    return inside


def _area(boxes: F32) -> F32:
    """Return the areas (...) of boxes (4, ...)."""
    sides: F32 = boxes[2:] - boxes[:2]
    np.maximum(sides, _NOTHING, out=sides)
    product: F32 = sides[0] * sides[1]
    return product


def covered(boxes: F32) -> F32:
    """Return which share of each box (N, 4) lies inside the one other box that covers most of it, float32 (N,) 0..1."""
    if len(boxes) < 2:
        return np.zeros(len(boxes), np.float32)
    corners = boxes.T
    sides = np.minimum(corners[2:, :, None], corners[2:, None]) - np.maximum(corners[:2, :, None], corners[:2, None])
    shared = np.prod(np.maximum(sides, _NOTHING), axis=0)
    np.fill_diagonal(shared, 0)
    result: F32 = shared.max(axis=1) / np.maximum(_area(corners), _SPECK)
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
    apart = boxes.copy()
    if np.count_nonzero(classes != classes[0]):  # moved apart, so that one call serves all classes
        apart += (classes * np.float32(2 * np.abs(boxes).max() + 1))[:, None]
    apart[:, 2:] -= apart[:, :2]
    # Lists, not arrays: OpenCV 5 reads an array element by element, 2 to 3 times slower.
    kept = cv2.dnn.NMSBoxes(apart.tolist(), scores.tolist(), 0.0, iou_limit)
    return np.asarray(kept, np.int32).reshape(-1)


_TO_CENTRE = np.array([[0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [-1, 0, 1, 0], [0, -1, 0, 1]], np.float32)
_TO_CORNERS = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)


def xyxy_to_cxcywh(boxes: F32) -> F32:
    """Return boxes (N, 4) as places (4, N): rows centre x, centre y, width, height."""
    places: F32 = np.dot(_TO_CENTRE, boxes.T)
    return places


def cxcywh_to_xyxy(places: F32) -> F32:
    """Return places (4, N), rows centre x, centre y, width, height, as boxes (N, 4)."""
    corners: F32 = np.dot(places.T, _TO_CORNERS)
    return corners
