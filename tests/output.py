"""What a sink of a test is opened with."""

from edge.sinks import Output
from edge.types import Run, UsedBundle

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
