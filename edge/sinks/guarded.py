"""Sinks fail alone: one that the system refuses is closed, said once, and tried again, while the others go on."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from edge.errors import ConfigError, EdgeError, OutputError
from edge.sinks.place import check_mount, mount_of
from edge.sinks.sink import NamesPlace, Sink, TakesGaps, unwritable
from edge.types import FrameResult, Gap
from edge.wallclock import WallClock

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Pause before each new try: doubled every time. One that worked for the longest pause begins anew with the first."""
LOOK_S = 1.0
"""Seconds between two looks at whether a disk is still mounted."""
MOST_GAPS = 100
"""Gaps that are kept for a sink while it is away: 20 KB of lines; a stream that is lost every minute makes them
in an hour and a half. Of more, the last ones are kept."""

_log = logging.getLogger(__name__)


class Guarded:
    """One sink, or the hole where it was.

    Attributes:
        failed: True once a result was lost.
    """

    def __init__(self, uri: str, path: Path | None, opener: Callable[[bool], Sink]) -> None:
        """Open the sink; where the system refuses, say so and try again later.

        Args:
            uri: for messages, without a password.
            path: what it writes to; None for a screen or standard output.
            opener: opens it, and is told whether results of this run may be there already.

        Raises:
            ConfigError: what was asked for is wrong.
        """
        self.failed = False
        self._uri, self._opener = uri, opener
        self._mount: Path | None = None
        if path is not None:
            with suppress(OSError):  # of a working folder that is gone, which the sink itself says
                self._mount = mount_of(path)
        self._sink: Sink | None = None
        self._began = False
        self._pause_s, self._try_s, self._look_s, self._since_s = FIRST_PAUSE_S, 0.0, 0.0, time.monotonic()
        self._first = self._last = -1
        self._lost = 0
        self._gaps: deque[tuple[Gap, float | None]] = deque(maxlen=MOST_GAPS)  # not yet followed by a written result
        self.error: EdgeError | None = None
        try:
            self._sink = opener(False)
            self._began = True
        except OutputError as error:
            self._fail(error)

    @property
    def wants_stop(self) -> bool:
        """Whether nobody looks any more."""
        return self._sink is not None and self._sink.wants_stop

    @property
    def place(self) -> str:
        """Where results really go, for messages."""
        if self._sink is None:
            return f"{self._uri} (refused, tried again)"
        return self._sink.place if isinstance(self._sink, NamesPlace) else self._uri

    @property
    def outage(self) -> Gap | None:
        """What has been lost since the sink failed; None if nothing."""
        return Gap("sink", self._first, self._last, self._lost, sink=self._uri) if self._lost else None

    def write(self, result: FrameResult) -> Gap | None:
        """Hand on one result, or count it as lost.

        Returns:
            What was lost, once the sink is back; else None.
        """
        try:
            sink = self._sink or self._again(result.wall_s)
            if sink is None:
                self._miss(result.frame.index)
                return None
            self._check_mount()
            sink.write(result)
        except EdgeError as error:  # a ConfigError too: what was opened once was no typo
            self._fail(error)
            self._miss(result.frame.index)
            return None
        return self._worked()

    def note(self, gap: Gap, wall_s: float | None) -> None:
        """Tell the sink of a gap, if it is one that tells others; one that is away is told once it is back.

        A gap is kept until a result was written behind it, so that a failure in between can tell it twice, never not.
        """
        self._gaps.append((gap, wall_s))
        if isinstance(self._sink, TakesGaps):
            self._sink.note(gap, wall_s)

    def close(self) -> None:
        """Close the sink; what could not be finished is said."""
        if self._lost:
            _log.warning("sink %s: %d results were lost until the end of the run", self._uri, self._lost)
        sink, self._sink = self._sink, None
        try:
            if sink is not None:
                sink.close()
        except EdgeError as error:
            self.failed = True
            _log.warning("%s", error)

    def _again(self, wall_s: float | None) -> Sink | None:
        """Try to open the sink again, if it is time for that.

        Raises:
            OutputError: the system still refuses.
        """
        if time.monotonic() < self._try_s:
            return None
        self._check_mount()
        try:
            sink = self._sink = self._opener(self._began)
        except ConfigError as error:  # its folder is gone, or another process took the place: no typo any more
            raise OutputError(str(error)) from error
        self._began = True
        outage = self.outage
        if isinstance(sink, TakesGaps):
            for gap, noticed_s in self._gaps:
                sink.note(gap, noticed_s)
            if outage is not None:
                sink.note(outage, wall_s)
        return sink

    def _check_mount(self) -> None:
        """Look now and then whether the disk is there: what is written under its name would go to another disk.

        Raises:
            OutputError: it is not.
        """
        now_s = time.monotonic()
        if self._mount is None or (self._sink is not None and now_s < self._look_s):
            return
        self._look_s = now_s + LOOK_S
        try:
            check_mount(self._mount)
        except OSError as error:
            raise unwritable(self._uri, error) from error

    def _fail(self, error: EdgeError) -> None:
        """Close what is left of the sink and choose when to try again; say it, unless it was said."""
        if self.error is None:
            _log.warning("%s; the run goes on without it and tries it again", error)
        self.error = error
        sink, self._sink = self._sink, None
        if sink is not None:
            with suppress(EdgeError):
                sink.close()
        self._try_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def _miss(self, index: int) -> None:
        self._first = self._first if self._lost else index
        self._last = index
        self._lost += 1
        self.failed = True

    def _worked(self) -> Gap | None:
        """Say that the sink is back, if it was away."""
        now_s = time.monotonic()
        self._gaps.clear()
        if self.error is None:
            if self._pause_s > FIRST_PAUSE_S and now_s - self._since_s >= LONGEST_PAUSE_S:
                self._pause_s = FIRST_PAUSE_S
            return None
        outage, self.error, self._lost, self._since_s = self.outage, None, 0, now_s
        _log.warning("sink %s: back; %d results were lost", self._uri, outage.results if outage else 0)
        return outage


class Outputs:
    """All sinks of a run as one. Tells them the wall-clock time, and those that tell others what is missing."""

    def __init__(self, openers: Sequence[tuple[str, Path | None, Callable[[bool], Sink]]], wall: WallClock) -> None:
        """Open them all.

        Args:
            openers: URI without a password, path and opener of each, see `Guarded`.
            wall: tells the time.

        Raises:
            ConfigError: what was asked for is wrong.
            OutputError: the system refuses every single one.
        """
        self._wall = wall
        self._guards: list[Guarded] = []
        try:
            for uri, path, opener in openers:
                self._guards.append(Guarded(uri, path, opener))
        except EdgeError:
            self.close()
            raise
        errors = [guard.error for guard in self._guards if guard.error is not None]
        if errors and len(errors) == len(self._guards):
            raise errors[0]

    @property
    def wants_stop(self) -> bool:
        """Whether nobody looks any more at one of them."""
        return any(guard.wants_stop for guard in self._guards)

    @property
    def places(self) -> list[str]:
        """Where results really go, for messages."""
        return [guard.place for guard in self._guards]

    @property
    def failed(self) -> bool:
        """Whether one of them lost a result."""
        return any(guard.failed for guard in self._guards)

    def write(self, result: FrameResult) -> None:
        """Hand one result to every sink."""
        frame = result.frame
        step_s = self._wall.step_s()
        result = replace(result, wall_s=self._wall.at(frame.t_capture_ns))
        if step_s:
            _log.warning("the clock was set %s by %.1f s", "forward" if step_s > 0 else "back", abs(step_s))
            self._note(Gap("clock", frame.index, frame.index, ms=step_s * 1e3), result.wall_s)
        if frame.lost_ns:
            self._note(Gap("source", frame.index, frame.index, ms=frame.lost_ns / 1e6), result.wall_s)
        for guard in self._guards:
            outage = guard.write(result)
            if outage is not None:
                self._note(outage, result.wall_s, but=guard)

    def close(self) -> None:
        """Close every sink, and tell of those that are still away."""
        now_s = self._wall.at(time.monotonic_ns())
        for guard in self._guards:
            if guard.outage is not None:
                self._note(guard.outage, now_s, but=guard)
        for guard in self._guards:
            guard.close()

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _note(self, gap: Gap, wall_s: float | None, but: Guarded | None = None) -> None:
        for guard in self._guards:
            if guard is not but:
                guard.note(gap, wall_s)
