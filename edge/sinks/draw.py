"""Draw what is known of a frame: for the sinks that people look at."""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sinks.sink import class_name
from edge.types import F32, U8, FrameResult

Color = tuple[int, int, int]

GREY: Color = (150, 150, 150)
FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_PX = 22  # height of a capital in this font at scale 1
_GOLDEN = 0.618034  # steps of the golden ratio keep neighbouring ids far apart on the colour circle
_FIRST_HUE = 0.33
_READABLE_PX = 240
"""Shorter side below which a picture is enlarged before a label is drawn on it."""


def annotate(result: FrameResult, labels: Sequence[str]) -> U8:
    """Draw tracks and detections on a copy of the frame.

    A track has a box and a label "#id class score" in the colour of its id; a dashed box means that it coasts: it
    was not seen in this frame. A thin grey box is a detection that no track took. Lines and letters grow with
    the picture, from 240 lines to 4K. What a classifier or localizer says is drawn by `_answer`.

    Returns:
        uint8 (H, W, 3) **BGR**, as OpenCV's writers and windows want it; owned by the caller.
    """
    if result.scores is not None:
        return _answer(result, result.scores, labels)
    picture = cv2.cvtColor(result.frame.image, cv2.COLOR_RGB2BGR)
    height, width = picture.shape[:2]
    short = min(height, width)
    line = max(1, round(short / 300))
    tracks, detections = result.tracks, result.detections
    taken = set(tracks.detection.tolist())
    for row, (x0, y0, x1, y1) in enumerate(_corners(detections.boxes, width, height)):
        if row not in taken:
            cv2.rectangle(picture, (x0, y0), (x1, y1), GREY, max(1, line // 2))
    corners = _corners(tracks.boxes, width, height)
    ids, coasting = tracks.ids.tolist(), (tracks.detection < 0).tolist()
    for number, box, coasts in zip(ids, corners, coasting, strict=True):
        if coasts:
            _dash(picture, box, color_of(number), line, dash=max(4, short // 60))
        else:
            x0, y0, x1, y1 = box
            cv2.rectangle(picture, (x0, y0), (x1, y1), color_of(number), line)
    rows = zip(ids, corners, tracks.classes.tolist(), tracks.scores.tolist(), strict=True)
    for number, (x0, y0, _, _), index, score in rows:  # after all boxes: no line crosses a label
        text = f"#{number} {class_name(labels, index)} {score:.2f}"
        _label(picture, text, x0, y0, color_of(number), capital_px=max(7.0, short / 55), line=line)
    return np.asarray(picture, np.uint8)


def _answer(result: FrameResult, scores: F32, labels: Sequence[str]) -> U8:
    """Draw the class and its score, at the box of a localizer or in the corner of a classifier's picture.

    A small picture is enlarged by a whole number first, so that letters fit.
    """
    picture = cv2.cvtColor(result.frame.image, cv2.COLOR_RGB2BGR)
    height, width = picture.shape[:2]
    times = -(-_READABLE_PX // min(height, width))
    if times > 1:
        height, width = height * times, width * times
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST)
    short = min(height, width)
    line = max(1, round(short / 150))
    best = int(scores.argmax())
    color = color_of(best + 1)
    x0 = y0 = 0
    for x0, y0, x1, y1 in _corners(result.detections.boxes * times, width, height):
        cv2.rectangle(picture, (x0, y0), (x1, y1), color, line)
    text = f"{class_name(labels, best)} {scores[best]:.2f}"
    _label(picture, text, x0, y0, color, capital_px=max(7.0, short / 35), line=line)
    return np.asarray(picture, np.uint8)


def color_of(track_id: int) -> Color:
    """Return the BGR colour of a track: the same in every run, and far from those of the ids around it."""
    hue = (_FIRST_HUE + track_id * _GOLDEN) % 1.0
    saturation = (0.85, 0.6)[track_id // 8 % 2]  # after 8 ids the hues come close again
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 0.95)
    return round(blue * 255), round(green * 255), round(red * 255)


def _corners(boxes: F32, width: int, height: int) -> list[list[int]]:
    """Round boxes to pixels; a wild box is brought near the picture, where OpenCV's integers can hold it."""
    limit = np.array([width, height, width, height], np.float32)
    tame = np.nan_to_num(boxes, nan=0.0, posinf=1e9, neginf=-1e9)
    rounded: NDArray[np.int32] = np.clip(tame, -limit, 2 * limit).round().astype(np.int32)
    return rounded.tolist()  # type: ignore[no-any-return]


def _dash(picture: cv2.typing.MatLike, box: list[int], color: Color, line: int, dash: int) -> None:
    """Draw a dashed rectangle with one call."""
    x0, y0, x1, y1 = box
    strokes = []
    for x in range(x0, x1, 2 * dash):
        end = min(x + dash, x1)
        strokes += [[[x, y0], [end, y0]], [[x, y1], [end, y1]]]
    for y in range(y0, y1, 2 * dash):
        end = min(y + dash, y1)
        strokes += [[[x0, y], [x0, end]], [[x1, y], [x1, end]]]
    if strokes:
        cv2.polylines(picture, list(np.array(strokes, np.int32)), False, color, line)


def _label(picture: cv2.typing.MatLike, text: str, x: int, y: int, color: Color, capital_px: float, line: int) -> None:
    """Write text on a filled ground that sits on the box's upper edge, or under it at the top of the picture."""
    scale = capital_px / _FONT_PX
    stroke = max(1, round(capital_px / 9))
    text_width, text_height = cv2.getTextSize(text, FONT, scale, stroke)[0]
    pad = max(2, round(capital_px / 3))
    height = text_height + 2 * pad
    left = max(0, min(x - line // 2, picture.shape[1] - text_width - 2 * pad))
    top = y - height if y >= height else max(0, y)
    cv2.rectangle(picture, (left, top), (left + text_width + 2 * pad, top + height), color, cv2.FILLED)
    blue, green, red = color
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 110 else (255, 255, 255)  # luma of ITU-R BT.601
    cv2.putText(picture, text, (left + pad, top + pad + text_height), FONT, scale, ink, stroke, cv2.LINE_AA)
