"""A network stream (RTSP, MJPEG over HTTP) through OpenCV's FFmpeg, opened again when it is lost."""

import logging
import threading
import time

import cv2

from edge.errors import SourceError
from edge.redact import hide_password, printable
from edge.sources.capture import open_stream
from edge.sources.source import quiet_opencv, retrieve_rgb
from edge.types import Frame

OPEN_TIMEOUT_MS, READ_TIMEOUT_MS = 5000, 5000
"""FFmpeg's own limits. A server that hangs is noticed after up to three read timeouts."""
PATIENCE_S = 30.0
"""A lost stream is opened again and again for this long before the run ends with an error."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0
"""Pause before each attempt: doubled every time, so that a camera that reboots is not flooded."""
DECODER_THREADS = 1
"""Each further decoder thread of FFmpeg holds back one frame. Measured over RTSP at 25 fps, from encoder to `read`:
124 ms with 1 thread, 166 with 2, 248 with 4, 409 with 8 (OpenCV takes as many as there are cores). A stream that is
too heavy for one core falls behind: use the camera's smaller sub-stream."""

_log = logging.getLogger(__name__)


class Stream:
    """A stream, read frame by frame; blocks until the next one. Meant for the capture thread.

    The thread must drain it: FFmpeg and the network keep every frame, oldest first. `Frame.index` does not count
    what was missed while the stream was lost, `t_source_ns` does.
    """

    def __init__(self, url: str, stop: threading.Event, *, patience_s: float = PATIENCE_S) -> None:
        """Connect and decode the first picture.

        Args:
            url: `rtsp://`, `rtsps://`, `http://` or `https://`, with user and password if the camera wants them.
            stop: set by whoever closes the stream; ends the waiting between attempts.
            patience_s: how long a lost stream is opened again before `read` raises.

        Raises:
            SourceError: no picture came.
        """
        self.name = f"stream {printable(hide_password(url))}"
        self._url, self._stop, self._patience_s = url, stop, patience_s
        quiet_opencv()
        capture = self._connect()
        if capture is None:
            raise SourceError(
                f"{self.name}: want a stream, got no picture from it; "
                "check the address, user and password, and that the camera is on"
            )
        self._capture = capture
        self._grabbed = True
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = fps if 0 < fps < 1000 else None
        self.frames: int | None = None
        self._index = -1
        self._first_ns: int | None = None
        self._lost_ns = 0  # since the last frame that was given

    def read(self) -> Frame | None:
        """Wait for the next frame, connecting again if the stream is lost; None if stopped meanwhile.

        Raises:
            SourceError: the stream stayed away for `patience_s`.
        """
        while self._grabbed or self._capture.grab() or self._reconnect():
            self._grabbed = False
            t_capture_ns = time.monotonic_ns()
            self._index += 1
            image = retrieve_rgb(self._capture)
            if image is None:
                continue
            self._first_ns = t_capture_ns if self._first_ns is None else self._first_ns
            decode_ns = time.monotonic_ns() - t_capture_ns
            lost_ns, self._lost_ns = self._lost_ns, 0
            since_first_ns = t_capture_ns - self._first_ns
            return Frame(self._index, t_capture_ns, image, since_first_ns, decode_ns, lost_ns=lost_ns)
        return None

    def close(self) -> None:
        """Hang up."""
        self._capture.release()

    def _connect(self) -> cv2.VideoCapture | None:
        """Open the stream and grab its first picture: a capture can be open and dead.

        Raises:
            SourceError: its frames are too large.
        """
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        limits += [cv2.CAP_PROP_N_THREADS, DECODER_THREADS]
        capture = open_stream(self._url, limits, self.name)
        if capture.isOpened() and capture.grab() and capture.retrieve()[0]:
            return capture
        capture.release()
        return None

    def _reconnect(self) -> bool:
        """Open the lost stream again; False if stopped meanwhile.

        Raises:
            SourceError: it did not come back in time.
        """
        _log.warning("%s: lost; connecting again for up to %.0f s", self.name, self._patience_s)
        self._capture.release()
        lost_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while time.monotonic() - lost_s < self._patience_s:
            if self._stop.wait(pause_s):
                return False
            capture = self._connect()
            if capture is not None:
                _log.warning("%s: back after %.1f s", self.name, time.monotonic() - lost_s)
                self._capture = capture
                self._lost_ns += round((time.monotonic() - lost_s) * 1e9)
                return True
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        raise SourceError(
            f"{self.name}: want frames, got none for {self._patience_s:.0f} s; check the camera and the network"
        )
