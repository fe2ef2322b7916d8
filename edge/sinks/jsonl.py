"""One line of JSON for each frame, to a file or to standard output.

The schema is public; its keys are the fields of `Line`, `Found` and `Followed`, or of `Answered`, below.
"""

import os
import stat
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from edge.sinks.sink import Output, class_name, named_path, unwritable
from edge.types import F32, FrameResult

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


class Line(msgspec.Struct):
    """One frame: number from 0, the source's time, age of the result, time of each stage, what was left out."""

    frame: int
    t_ms: float
    age_ms: float
    stages_ms: dict[str, float]
    shed: tuple[str, ...]
    detections: list[Found]
    tracks: list[Followed]


class Answered(msgspec.Struct):
    """One frame of a classifier or localizer; `file` is null but for pictures, `box` for classifiers.

    `scores` holds the best few classes, best first.
    """

    frame: int
    file: str | None
    t_ms: float
    age_ms: float
    stages_ms: dict[str, float]
    class_: str = msgspec.field(name="class")
    score: float
    box: list[float] | None
    scores: dict[str, float]


class JsonlSink:
    """Writes `Line`s. One system call a line and no buffer: what was written is whole, whatever kills the process.

    A reader of standard output that goes away (`edge-run ... | head`) ends the run as the end of a video does:
    `wants_stop` becomes True and later lines are dropped.
    """

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Open "jsonl:PATH"; a file that is there is replaced. "-" is standard output.

        Raises:
            ConfigError: the place cannot be written.
        """
        self.wants_stop = False
        self._uri, self._labels = uri, output.labels
        self._encoder, self._buffer = msgspec.json.Encoder(), bytearray()
        self._to_stdout = rest == "-"
        try:
            if self._to_stdout:
                sys.stdout.flush()
                self._fd = os.dup(sys.stdout.fileno())
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                flags |= os.O_NONBLOCK  # a fifo without a reader is an error, not a long wait
                self._fd = os.open(named_path(uri, rest), flags, 0o666)
                os.set_blocking(self._fd, True)
        except OSError as error:
            raise unwritable(uri, error) from error
        self._size = 0 if stat.S_ISREG(os.fstat(self._fd).st_mode) and not self._to_stdout else None

    def write(self, result: FrameResult) -> None:
        """Write one line.

        Raises:
            ConfigError: the disk is full; the lines before are whole.
        """
        if self._fd < 0 or self.wants_stop:
            return
        buffer = self._buffer
        self._encoder.encode_into(to_line(result, self._labels), buffer)
        buffer += b"\n"
        try:
            written = os.write(self._fd, buffer)
            while written < len(buffer):  # a pipe or a disk that is nearly full takes a part
                written += os.write(self._fd, buffer[written:])
        except BrokenPipeError:
            self._hang_up()
            return
        except OSError as error:
            if self._size is not None:
                os.ftruncate(self._fd, self._size)  # half a line is no JSON
            raise unwritable(self._uri, error) from error
        if self._size is not None:
            self._size += written

    def close(self) -> None:
        """Close the file; standard output stays open for others."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> "JsonlSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hang_up(self) -> None:
        """Ask for the end, and keep Python from complaining about the broken pipe when it flushes at exit."""
        self.wants_stop = True
        if self._to_stdout:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def to_line(result: FrameResult, labels: Sequence[str]) -> Line | Answered:
    """Turn a result into what is written: boxes to 1/100 pixel, scores and distances to 4 digits, times to 1 us."""
    if result.scores is not None:
        return _to_answered(result, result.scores, labels)
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
    return Line(frame.index, t_ms, age_ms, stages, result.shed, detections, followed)


def _to_answered(result: FrameResult, scores: F32, labels: Sequence[str]) -> Answered:
    frame, boxes = result.frame, _rounded(result.detections.boxes, 2)
    order = np.argsort(-scores, kind="stable")[:_BEST].tolist()
    values = _rounded(scores, 4)
    return Answered(
        frame=frame.index,
        file=frame.name or None,
        t_ms=round(frame.t_source_ns * _NS_TO_MS, 3),
        age_ms=round(result.age_ns * _NS_TO_MS, 3),
        stages_ms={name: round(ns * _NS_TO_MS, 3) for name, ns in result.stage_ns.items()},
        class_=class_name(labels, order[0]),
        score=values[order[0]],
        box=boxes[0] if boxes else None,
        scores={class_name(labels, index): values[index] for index in order},
    )


def _rounded(values: F32, digits: int) -> list[Any]:
    """Return Python floats that print short: rounded as float64, since a rounded float32 prints 17 digits."""
    return values.astype(np.float64).round(digits).tolist()  # type: ignore[no-any-return]
