"""The lines of JSON that results are written as; docs/results.md describes each key.

Of the wall-clock time every line has, `time` is that of the frame's capture; it is null until the clock was set.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from edge.sinks.sink import class_name
from edge.types import F32, FrameResult, Gap, Run

SCHEMA = 1
"""Version of what is described in docs/results.md: a key that goes or changes its meaning makes it 2; a new one does
not."""
_NS_TO_MS = 1e-6
_BEST = 5
"""Classes of a classifier that are written."""


class Found(msgspec.Struct):
    """A detection: box xyxy in pixels of the source frame, score 0..1, name of the class."""

    box: list[float]
    score: float
    class_: str = msgspec.field(name="class")


class Followed(msgspec.Struct):
    """A track. `coasting`: not seen in this frame; `distance`: to its own embedding, null if not measured."""

    id: int
    box: list[float]
    class_: str = msgspec.field(name="class")
    score: float
    coasting: bool
    distance: float | None


class Bundled(msgspec.Struct):
    """A bundle: name of its folder, SHA-256 of its SHA256SUMS."""

    name: str
    sha256: str


class RunLine(msgspec.Struct, tag_field="kind", tag="run"):
    """Opens each run and each part of a file: what the following lines come from."""

    schema: int
    run: str
    camera: str
    time: str | None
    version: str
    source: str
    frame_size: tuple[int, int]
    bundles: dict[str, Bundled]
    settings: dict[str, Any]


class GapLine(msgspec.Struct, tag_field="kind", tag="gap", omit_defaults=True):
    """Results were lost, the clock stepped, or the source was away; keys of other reasons are absent."""

    run: str
    camera: str
    time: str | None
    reason: str
    first_frame: int
    last_frame: int | None = None
    results: int | None = None
    sink: str | None = None
    step_ms: float | None = None
    lost_ms: float | None = None


class Line(msgspec.Struct, tag_field="kind", tag="frame"):
    """One frame: run and camera it belongs to, time of its capture, number from 0, the source's time, age of the
    result, time of each stage, what was left out."""

    run: str
    camera: str
    time: str | None
    frame: int
    t_ms: float
    age_ms: float
    stages_ms: dict[str, float]
    shed: tuple[str, ...]
    detections: list[Found]
    tracks: list[Followed]


class Answered(msgspec.Struct, tag_field="kind", tag="frame"):
    """One frame of a classifier or localizer; `file` is null but for pictures, `box` for classifiers.

    `scores` holds the best few classes, best first.
    """

    run: str
    camera: str
    time: str | None
    frame: int
    file: str | None
    t_ms: float
    age_ms: float
    stages_ms: dict[str, float]
    class_: str = msgspec.field(name="class")
    score: float
    box: list[float] | None
    scores: dict[str, float]


def utf8(text: str) -> str:
    r"""Return text that JSON can hold: a byte of a file's name that is no UTF-8 becomes \udcff and so on."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def to_run(result: FrameResult, run: Run) -> RunLine:
    """Return the line that opens a run or a part, as it is known with its first frame."""
    height, width = result.frame.image.shape[:2]
    return RunLine(
        schema=SCHEMA,
        run=run.id,
        camera=utf8(run.camera),
        time=to_time(result.wall_s),
        version=run.version,
        source=utf8(run.source),
        frame_size=(width, height),
        bundles={stage: Bundled(utf8(used.name), used.sha256) for stage, used in run.bundles.items()},
        settings=_utf8_all(run.settings),
    )


def to_gap(gap: Gap, wall_s: float | None, run: Run) -> GapLine:
    """Return the line of a gap that was noticed at a time, seconds since 1970."""
    line = GapLine(run.id, utf8(run.camera), to_time(wall_s), gap.reason, gap.first)
    if gap.reason == "sink":
        line.last_frame, line.results, line.sink = gap.last, gap.results, utf8(gap.sink)
    elif gap.reason == "clock":
        line.step_ms = round(gap.ms, 3)
    else:
        line.lost_ms = round(gap.ms, 3)
    return line


def to_time(wall_s: float | None) -> str | None:
    """Return ISO 8601 in UTC with milliseconds: "2026-11-24T19:40:48.123Z"; None where the time is not known."""
    if wall_s is None:
        return None
    ms = round(wall_s * 1e3)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ms // 1000))}.{ms % 1000:03}Z"


def to_line(result: FrameResult, labels: Sequence[str], run: Run) -> Line | Answered:
    """Turn a result into what is written: boxes to 1/100 pixel, scores and distances to 4 digits, times to 1 us."""
    if result.scores is not None:
        return _to_answered(result, result.scores, labels, run)
    found, tracks = result.detections, result.tracks
    detections = [
        Found(box, score, class_name(labels, index))
        for box, score, index in zip(
            _rounded(found.boxes, 2), _rounded(found.scores, 4), found.classes.tolist(), strict=True
        )
    ]
    followed = [
        Followed(number, box, class_name(labels, index), score, row < 0, distance if distance == distance else None)
        for number, box, index, score, row, distance in zip(
            tracks.ids.tolist(),
            _rounded(tracks.boxes, 2),
            tracks.classes.tolist(),
            _rounded(tracks.scores, 4),
            tracks.detection.tolist(),
            _rounded(tracks.distance, 4),
            strict=True,
        )
    ]
    stages = {name: round(ns * _NS_TO_MS, 3) for name, ns in result.stage_ns.items()}
    frame = result.frame
    t_ms, age_ms = round(frame.t_source_ns * _NS_TO_MS, 3), round(result.age_ns * _NS_TO_MS, 3)
    told = to_time(result.wall_s)
    return Line(run.id, utf8(run.camera), told, frame.index, t_ms, age_ms, stages, result.shed, detections, followed)


def _to_answered(result: FrameResult, scores: F32, labels: Sequence[str], run: Run) -> Answered:
    frame, boxes = result.frame, _rounded(result.detections.boxes, 2)
    order = np.argsort(-scores, kind="stable")[:_BEST].tolist()
    values = _rounded(scores, 4)
    return Answered(
        run=run.id,
        camera=utf8(run.camera),
        time=to_time(result.wall_s),
        frame=frame.index,
        file=utf8(frame.name) or None,
        t_ms=round(frame.t_source_ns * _NS_TO_MS, 3),
        age_ms=round(result.age_ns * _NS_TO_MS, 3),
        stages_ms={name: round(ns * _NS_TO_MS, 3) for name, ns in result.stage_ns.items()},
        class_=class_name(labels, order[0]),
        score=values[order[0]],
        box=boxes[0] if boxes else None,
        scores={class_name(labels, index): values[index] for index in order},
    )


def _utf8_all(values: Any) -> Any:
    """Return plain values with every text in them made fit for JSON."""
    if isinstance(values, Mapping):
        return {utf8(key): _utf8_all(value) for key, value in values.items()}
    if isinstance(values, (list, tuple)):
        return [_utf8_all(value) for value in values]
    return utf8(values) if isinstance(values, str) else values


def _rounded(values: F32, digits: int) -> list[Any]:
    """Return Python floats that print short: rounded as float64, since a rounded float32 prints 17 digits."""
    return values.astype(np.float64).round(digits).tolist()  # type: ignore[no-any-return]
