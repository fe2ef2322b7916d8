"""A V4L2 or USB camera through OpenCV."""

import os
import sys
import time
from pathlib import Path

import cv2

from edge.errors import SourceError
from edge.settings import given_path
from edge.sources.source import fps_option, quiet_opencv, retrieve_rgb, size_option, split_options
from edge.types import Frame

MAX_BAD = 30
"""Pictures in a row that may be undecodable (a JPEG damaged on the USB wire) before the camera counts as lost."""
MOST_DIGITS = 3
"""Of a camera's number: Linux counts up to 255."""
PLAUSIBLE_NS = 2_000_000_000
"""The driver's time stamp is believed if it lies at most this far from now on the monotonic clock."""


class Camera:
    """A camera, read frame by frame; blocks until the next picture. Meant for the capture thread.

    Motion JPEG is asked for where a size above 640x480 or a rate above 30 is wanted: uncompressed pictures
    of that size do not fit through USB 2. The camera may give another size than asked for; frames say which.
    """

    def __init__(self, uri: str) -> None:
        """Open `N` or `/dev/videoN`, with options `?size=1280x720&fps=30`.

        Raises:
            SourceError: no such camera, no right to use it, or it is in use.
            ConfigError: an unknown option.
        """
        device, options = split_options(uri, {"size": size_option, "fps": fps_option})
        self.name = f"camera {device}"
        if device.isdecimal() and len(device) > MOST_DIGITS:
            raise SourceError(f"camera {device[:8]}...: want a camera's number, got {len(device)} digits; correct it")
        _check_device(device, self.name)
        quiet_opencv()
        backend = cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY
        self._capture = cv2.VideoCapture(int(device) if device.isdecimal() else device, backend)
        if not self._capture.isOpened():
            raise SourceError(
                f"{self.name}: want a camera that can be opened, got a refusal; "
                "close other programs that use it, or try another number: many cameras own two"
            )
        _configure(self._capture, options)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = fps if 0 < fps < 1000 else None
        self.frames: int | None = None
        self._index = -1
        self._first_ns: int | None = None
        self._last_ns = 0

    def read(self) -> Frame:
        """Wait for the next picture.

        Raises:
            SourceError: the camera gives no more pictures.
        """
        for _ in range(MAX_BAD):
            if not self._capture.grab():
                raise SourceError(f"{self.name}: want more frames, got an end of them; check its cable and power")
            t_capture_ns = time.monotonic_ns()
            self._index += 1
            image = retrieve_rgb(self._capture)
            if image is None:
                continue
            decode_ns = time.monotonic_ns() - t_capture_ns
            return Frame(self._index, t_capture_ns, image, self._source_ns(t_capture_ns), decode_ns)
        raise SourceError(f"{self.name}: want pictures, got {MAX_BAD} damaged ones in a row; check its cable")

    def close(self) -> None:
        """Let the camera go."""
        self._capture.release()

    def _source_ns(self, t_capture_ns: int) -> int:
        """Return the driver's time stamp since the first frame, or our own where it gives none. Never falls.

        V4L2 stamps a picture with the monotonic clock when its exposure or transfer started, so the steps are
        free of the jitter of our thread. OpenCV gives that stamp as "position".
        """
        stamp_ns = int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if abs(t_capture_ns - stamp_ns) > PLAUSIBLE_NS:
            stamp_ns = t_capture_ns
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._last_ns = max(self._last_ns, stamp_ns - self._first_ns)
        return self._last_ns


def _check_device(device: str, name: str) -> None:
    """Say what is wrong with a Linux device in words; elsewhere the open itself must tell."""
    if sys.platform != "linux":
        return
    path = given_path(f"/dev/video{int(device)}" if device.isdecimal() else device, name)
    if not path.exists():
        here = ", ".join(sorted(p.name for p in Path("/dev").glob("video*"))) or "no camera"
        raise SourceError(f"{name}: want {path}, got {here} here; plug it in or give another number")
    if not path.is_char_device():
        raise SourceError(f"{name}: want a camera device, got something else at {path}; give a camera's number")
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(
            f"{name}: want the right to use {path}, got a refusal; run 'sudo usermod -aG video $USER' and log in again"
        )


def _configure(capture: cv2.VideoCapture, options: dict[str, object]) -> None:
    size, fps = options.get("size"), options.get("fps")
    width, height = size if isinstance(size, tuple) else (640, 480)
    rate = fps if isinstance(fps, float) else 30.0
    if width * height > 640 * 480 or rate > 30:
        fourcc = cv2.VideoWriter.fourcc(*"MJPG")  # set before the size: it decides which sizes are on offer
        capture.set(cv2.CAP_PROP_FOURCC, fourcc)
    if size is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if fps is not None:
        capture.set(cv2.CAP_PROP_FPS, rate)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
