"""What a sink of a test is opened with, and what it is given."""

import numpy as np

from edge.sinks import Output
from edge.types import Detections, Frame, FrameResult, Run, Tracks, UsedBundle

RUN = Run(
    id="0123456789ab",
    version="1.2.3",
    source="rtsp://***@yard/1",
    camera="yard",
    bundles={"detect": UsedBundle("nano", "ab" * 32)},
    settings={"budget_ms": 100.0},
)


def an_output(labels: tuple[str, ...] = ("person",), fps: float = 10.0, **more: object) -> Output:
    """Return an output of the run above."""
    return Output(labels, fps, **{"run": RUN, **more})  # type: ignore[arg-type]


def a_result(
    index: int = 0,
    size: tuple[int, int] = (160, 120),
    *,
    t_ms: float | None = None,
    found: int = 2,
    wall_s: float | None = None,
) -> FrameResult:
    """Two detections; track 7 took the first, track 9 coasts."""
    width, height = size
    boxes = np.array([[10, 30, 50, 100], [70.126, 30, 110, 100]], np.float32)[:found]
    detections = Detections(boxes, np.array([0.912345, 0.5], np.float32)[:found], np.array([0, 1], np.int32)[:found])
    tracks = Tracks(
        ids=np.array([7, 9]),
        boxes=np.array([[10, 30, 50, 100], [115, 40, 150, 110]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        classes=np.array([0, 5], np.int32),
        detection=np.array([0, -1], np.int32),
        identity=np.full(2, -1),
        distance=np.array([0.123456, np.nan], np.float32),
    )
    image = np.full((height, width, 3), (200, 30, 60), np.uint8)
    frame = Frame(index, 0, image, round((index * 100 if t_ms is None else t_ms) * 1e6))
    return FrameResult(
        frame, detections, tracks, {"decode": 1_234_567, "detect": 0}, ("embed",), 12_345_678, wall_s=wall_s
    )
