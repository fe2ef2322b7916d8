"""The capture thread: one slot, newest wins. Camera, stream, Pi camera and paced files all run in it."""

import logging
import math
import threading
import time
from dataclasses import replace
from types import TracebackType

from edge.errors import SourceError
from edge.sources.source import Feed
from edge.types import Frame

FIRST_FRAME_S = 15.0
"""A device that gave no frame after this time does not work. V4L2 itself gives up after 10 s."""
PATIENT_S = 3.0
"""A device that gives no frame for so long is spoken of: cameras give one each 0.2 s at most, in the dark."""
CLOSE_S = 2.0
"""How long `close` waits for the thread. A device that blocks longer is left to the end of the process."""

_log = logging.getLogger(__name__)


class LiveSource:
    """A source whose frames are taken by a thread as they come, whether or not somebody reads them.

    The thread never waits for the reader: an unread frame is replaced by the next one and counted in
    `dropped`. `Frame.index` and `t_source_ns` start at 0 with the first frame that `read` gives; from there on
    a gap in the index is a dropped frame.

    With `pace`, the feed is a file and plays like a camera, from the first `read` on: frame by frame at its own
    speed, `t_capture_ns` being the time it was due (or the time it was decoded, where decoding was too slow).
    """

    live = True

    def __init__(
        self,
        feed: Feed,
        *,
        pace: bool = False,
        stop: threading.Event | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Start the thread and, without `pace`, wait for the first frame.

        Args:
            feed: the open device; this source closes it.
            pace: play a file at its own speed.
            stop: event that is set when the source is closed, for a feed that waits by itself.
            size: width and height of the frames, for a feed that is not read before `read`.

        Raises:
            SourceError: no frame came.
        """
        self.name, self.fps, self.frames = feed.name, feed.fps, feed.frames
        self.size = size
        self.dropped = 0
        self._feed, self._pace = feed, pace
        self._stop = stop or threading.Event()
        self._news = threading.Condition()
        self._slot: Frame | None = None
        self._first: Frame | None = None  # what `read` gave first, as the feed numbered it
        self._ended = False
        self._error: SourceError | None = None
        self._thread = threading.Thread(target=self._capture, name=f"capture {feed.name}", daemon=True)
        if not pace:
            self._await_first_frame()

    def read(self) -> Frame | None:
        """Take the newest frame that was not read yet, waiting for one if need be; None at the end.

        Raises:
            SourceError: the device is lost. The last frame before that is given first.
        """
        if not self._thread.ident and not self._stop.is_set():
            self._thread.start()
        with self._news:
            self._wait(math.inf)
            frame, self._slot = self._slot, None
            if frame is None:
                if self._error is not None and not self._stop.is_set():
                    raise self._error
                return None
            first = self._first = self._first or frame
        return replace(frame, index=frame.index - first.index, t_source_ns=frame.t_source_ns - first.t_source_ns)

    def close(self) -> None:
        """Stop the thread, which closes the device; waits `CLOSE_S` at most."""
        self._stop.set()
        with self._news:
            self._slot = None
            self._news.notify_all()
        if self._thread.ident:
            self._thread.join(CLOSE_S)
        else:
            self._feed.close()

    def __enter__(self) -> "LiveSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_first_frame(self) -> None:
        here = False
        try:
            self._thread.start()
            with self._news:
                self._wait(FIRST_FRAME_S)
                here = self._slot is not None
                if self._slot is not None:
                    height, width = self._slot.image.shape[:2]
                    self.size = (width, height)
        finally:
            if not here:  # also when interrupted by Ctrl-C
                self.close()
        if not here:
            raise self._error or SourceError(
                f"{self.name}: want a first frame within {FIRST_FRAME_S:.0f} s, got none; "
                "check that nothing else uses it and that it gives pictures"
            )

    def _wait(self, longest_s: float) -> None:
        """Wait for a frame or the end, with the lock held; say so where a device keeps us waiting."""
        began_s, said = time.monotonic(), False
        while self._slot is None and not self._ended and not self._stop.is_set():
            waited_s = time.monotonic() - began_s
            if waited_s >= longest_s:
                return
            if waited_s >= PATIENT_S and not said and not self._pace:
                _log.warning("%s: no frame for %.0f s; waiting", self.name, waited_s)
                said = True
            self._news.wait(min(PATIENT_S, longest_s - waited_s))
        if said and self._slot is not None:
            _log.warning("%s: frames again after %.1f s", self.name, time.monotonic() - began_s)

    def _capture(self) -> None:
        """Run in the thread: feed -> slot, until the end, an error or `close`."""
        outcome: SourceError | None = SourceError(
            f"{self.name}: want frames, got an unexpected end of the capture thread; see the traceback above"
        )
        try:
            start_ns = None
            while not self._stop.is_set():
                frame = self._feed.read()
                if frame is None:
                    break
                if self._pace:
                    start_ns = start_ns or time.monotonic_ns() - frame.t_source_ns
                    due_ns = start_ns + frame.t_source_ns
                    if self._stop.wait(max(0, due_ns - time.monotonic_ns()) / 1e9):
                        break
                    frame = replace(frame, t_capture_ns=max(due_ns, frame.t_capture_ns))
                self._publish(frame)
            outcome = None
        except SourceError as error:
            outcome = error
        finally:
            with self._news:
                self._error, self._ended = outcome, True
                self._news.notify_all()
            self._feed.close()

    def _publish(self, frame: Frame) -> None:
        with self._news:
            if self._slot is not None and self._first is not None:
                self.dropped += 1
                if self._slot.lost_ns:  # nobody saw it, and it must be told
                    frame = replace(frame, lost_ns=frame.lost_ns + self._slot.lost_ns)
            self._slot = frame
            self._news.notify()
