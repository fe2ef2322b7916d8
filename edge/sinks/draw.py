"""Draw what is known of a frame: for the sinks that people look at."""

import colorsys
import time
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.sinks.labels import Color, Labels, drawable
from edge.sinks.sink import class_name
from edge.types import F32, U8, FrameResult

GREY: Color = (150, 150, 150)
NO_CLOCK = "--:--:--"
_GOLDEN = 0.618034  # steps of the golden ratio keep neighbouring ids far apart on the colour circle
_FIRST_HUE = 0.33
_READABLE_PX = 240
"""Shorter side below which a picture is enlarged before a label is drawn on it."""


def annotate(result: FrameResult, labels: Sequence[str], draw: Sequence[str] = ()) -> U8:
    """Draw tracks and detections on a copy of the frame.

    A track has a box and a label "#id class score" in the colour of its id; a dashed box means that it coasts: it
    was not seen in this frame. A thin grey box is a detection that no track took. Lines and letters grow with
    the picture, from 240 lines to 4K. No label covers another: in a crowd they become shorter, and the youngest track
    may have none. What a classifier or localizer says is drawn by `_answer`.

    Args:
        result: what is drawn.
        labels: class index -> name.
        draw: more that is wished: "clock", the local time of the frame, and "count", how many of each class are in
            sight.

    Returns:
        uint8 (H, W, 3) **BGR**, as OpenCV's writers and windows want it; owned by the caller.
    """
    if result.scores is not None:
        return _answer(result, result.scores, labels, draw)
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
    written = Labels(picture, capital_px=max(7.0, short / 55), line=line)  # after all boxes: no line crosses a label
    _wishes(written, result, labels, draw)
    rows = zip(coasting, ids, corners, tracks.classes.tolist(), tracks.scores.tolist(), strict=True)
    for _, number, box, index, score in sorted(rows):  # those in sight first, of these the oldest
        named = f"#{number} {drawable(class_name(labels, index), index)}"
        written.put((f"{named} {score:.2f}", named, f"#{number}"), box, color_of(number))
    return np.asarray(picture, np.uint8)


def _answer(result: FrameResult, scores: F32, labels: Sequence[str], draw: Sequence[str]) -> U8:
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
    box = [0, 0, 0, 0]
    for box in _corners(result.detections.boxes * times, width, height):
        x0, y0, x1, y1 = box
        cv2.rectangle(picture, (x0, y0), (x1, y1), color, line)
    written = Labels(picture, capital_px=max(7.0, short / 35), line=line)
    _wishes(written, result, labels, draw)
    name = drawable(class_name(labels, best), best)
    written.put((f"{name} {scores[best]:.2f}", written.cut(name)), box, color)
    return np.asarray(picture, np.uint8)


def _wishes(written: Labels, result: FrameResult, labels: Sequence[str], draw: Sequence[str]) -> None:
    """Write the count into the upper left corner and the clock into the upper right one."""
    if "count" in draw:
        seen = Counter(result.tracks.classes[result.tracks.detection >= 0].tolist())
        most_first = sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))
        counts = [f"{number} {drawable(class_name(labels, index), index)}" for index, number in most_first]
        written.put_corner(", ".join(counts) or "nothing", right=False)
    if "clock" in draw:
        now = NO_CLOCK
        if result.wall_s is not None:
            now = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(result.wall_s))
            if written.cut(now) != now:  # a narrow picture
                now = now.partition(" ")[2]
        written.put_corner(now, right=True)


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
