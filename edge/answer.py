"""The short loop: read, ask one model, write, for every frame of a classifier or a localizer."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from edge.profiler import ANSWER_STAGES, Histogram, StageClock
from edge.sinks import Sink
from edge.sources import Source
from edge.stages.classify import Answer
from edge.types import Frame, FrameResult, Tracks


class Tally:
    """What was answered, and how fast.

    Attributes:
        classes: class index -> frames that show it.
        model: time inside the model.
    """

    def __init__(self) -> None:
        self.classes: Counter[int] = Counter()
        self.model = Histogram()

    @property
    def frames(self) -> int:
        """Frames answered so far."""
        return self.model.count


def answer(
    source: Source,
    ask: Callable[[Frame, StageClock], Answer],
    sinks: Sequence[Sink],
    tally: Tally,
    stop: threading.Event,
    frames: int | None = None,
) -> None:
    """Process frames until the source ends, `stop` is set, a sink wants no more, or so many are done.

    Raises:
        SourceError: the source was lost, or no picture of it could be decoded; all frames before have been written.
        OutputError: a sink that nothing guards can take no more; `Outputs` guards those that a run is given.
    """
    while not stop.is_set() and tally.frames != frames and not any(sink.wants_stop for sink in sinks):
        clock = StageClock(ANSWER_STAGES)
        frame = source.read()
        if frame is None:
            break
        clock.received(frame)
        found, scores = ask(frame, clock)
        age_ns = time.monotonic_ns() - frame.t_capture_ns
        result = FrameResult(frame, found, Tracks.none(), clock.stage_ns, age_ns=age_ns, scores=scores)
        for sink in sinks:
            sink.write(result)
        tally.classes[int(scores.argmax())] += 1
        tally.model.add(clock.stage_ns["model"])
