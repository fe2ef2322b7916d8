"""What this frame may still afford.

A frame's deadline is its capture plus the budget, so time spent waiting counts. First version: detection always
runs, and what is left buys embeddings, the new and ambiguous objects first.
"""

import time

from edge.profiler import StageClock
from edge.types import Frame

SHED_SETTLED = "embed_settled"
"""Some objects that motion alone follows safely were not embedded."""
SHED_UNSETTLED = "embed_unsettled"
"""Some new or ambiguous objects were not embedded either."""

PROBE_EVERY = 30
"""When nothing can be afforded, one object is embedded every so many frames all the same, so that the estimate of
its cost follows the machine when it recovers."""

_SMOOTHING = 0.1
_SPREAD = 2.0


class Cost:
    """A running estimate of what something costs: mean plus two mean deviations, as TCP estimates its round trips.

    The source is V. Jacobson, "Congestion avoidance and control", SIGCOMM 1988, with a gain of 1/10 for both.
    """

    def __init__(self, first_ns: float) -> None:
        self._mean = first_ns
        self._deviation = 0.0

    def learn(self, ns: float) -> None:
        """Take one measurement in."""
        error = ns - self._mean
        self._mean += _SMOOTHING * error
        self._deviation += _SMOOTHING * (abs(error) - self._deviation)

    @property
    def ns(self) -> float:
        """What to reckon with, in nanoseconds."""
        return self._mean + _SPREAD * self._deviation


class Budget:
    """Decides how many objects of a frame are embedded; learns from every frame what that costs."""

    def __init__(self, budget_ns: int, crop_ns: int) -> None:
        """Start with a first guess.

        Args:
            budget_ns: largest age of a result.
            crop_ns: what one embedding cost when the model was checked at start.
        """
        self.budget_ns = budget_ns
        self._crop = Cost(crop_ns)
        self._rest = Cost(0)
        self._since_probe = 0

    def admit(self, frame: Frame, wanted: int, urgent: int) -> tuple[int, tuple[str, ...]]:
        """Decide how many of `wanted` objects can be embedded in the time this frame has left.

        Args:
            frame: the frame in hand.
            wanted: how many objects would be embedded with time to spare, the most urgent first.
            urgent: how many of them are new or ambiguous.

        Returns:
            How many to embed, and what that sheds.
        """
        left = frame.t_capture_ns + self.budget_ns - time.monotonic_ns() - self._rest.ns
        count = max(0, min(wanted, int(left // max(self._crop.ns, 1.0))))
        if count == 0 and wanted:
            self._since_probe += 1
            count = int(self._since_probe >= PROBE_EVERY)
        if count:
            self._since_probe = 0
        shed = [SHED_SETTLED] if count < wanted and wanted > urgent else []
        shed += [SHED_UNSETTLED] if count < urgent else []
        return count, tuple(shed)

    def learn(self, clock: StageClock, embedded: int) -> None:
        """Take in what a frame's embeddings and the matching after them cost."""
        if embedded:
            self._crop.learn(clock.stage_ns["embed"] / embedded)
        self._rest.learn(clock.stage_ns["match"])
