"""Ctrl-C and SIGTERM end a loop after the frame in hand, and leave its outputs whole."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from edge.sources import Source


class Stop:
    """A request to stop: the first signal ends the run after the frame in hand, a second one at once."""

    def __init__(self, source: Source) -> None:
        self.event = threading.Event()
        self.signal = 0
        self._source = source

    def request(self, number: int, _: FrameType | None) -> None:
        """Handle a signal."""
        if self.event.is_set():
            raise KeyboardInterrupt
        self.signal = number
        self.event.set()
        if self._source.live:
            self._source.close()  # the loop may be waiting for a frame that never comes


@contextlib.contextmanager
def stop_on_signal(source: Source) -> Iterator[Stop]:
    """Let Ctrl-C and SIGTERM end the loop instead of the process."""
    stop = Stop(source)
    before = {number: signal.signal(number, stop.request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
