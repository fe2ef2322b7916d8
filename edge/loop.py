"""The loop: read, detect, embed, match, write, for every frame, inside a latency budget."""

import threading
import time
from collections.abc import Sequence

from edge.budget import Budget
from edge.profiler import Profiler, StageClock
from edge.sinks import Sink
from edge.sources import Source
from edge.stages.detect import Detect
from edge.stages.embed import Embed
from edge.stages.match import Match
from edge.types import FrameResult


def run(
    source: Source,
    detect: Detect,
    embed: Embed,
    match: Match,
    sinks: Sequence[Sink],
    budget: Budget,
    profiler: Profiler,
    stop: threading.Event,
    frames: int | None = None,
) -> None:
    """Process frames until the source ends, `stop` is set, a sink wants no more, or so many are done.

    A frame that was begun is always finished and written. Nothing here waits for anything but the source.

    Raises:
        SourceError: the source was lost; all frames before it have been written.
        OutputError: a sink that nothing guards can take no more; `Outputs` guards those that a run is given.
    """
    while not stop.is_set() and profiler.frames != frames and not any(sink.wants_stop for sink in sinks):
        clock = StageClock()
        frame = source.read()
        if frame is None:
            break
        clock.received(frame)
        detections = detect(frame, clock)
        plan = match.plan(detections, frame)
        clock.lap("match")
        count, shed = budget.admit(frame, len(plan.rows), plan.urgent)
        rows = plan.rows[:count]
        embeddings = embed(frame, detections.boxes[rows], clock)
        tracks = match.update(detections, rows, embeddings)
        clock.lap("match")
        age_ns = time.monotonic_ns() - frame.t_capture_ns
        result = FrameResult(frame, detections, tracks, clock.stage_ns, shed, age_ns)
        for sink in sinks:
            sink.write(result)
        clock.lap("sinks")
        budget.learn(clock, embedded=count)
        profiler.record(clock, result)
