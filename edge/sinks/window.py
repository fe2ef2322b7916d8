"""A window that shows the annotated frames as they come."""

import os
import subprocess
import sys
from types import TracebackType

import cv2

from edge.errors import ConfigError
from edge.sinks.draw import annotate
from edge.sinks.sink import Output
from edge.types import FrameResult

TITLE = "edge-run"
LARGEST_PX = (1280, 800)
"""A larger picture opens in a window of this size; the user may resize it."""
_QUIT_KEYS = (ord("q"), ord("Q"), 27)
_PROBE = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"
_PROBE_S = 30


class WindowSink:
    """Shows frames; q, Esc or the window's close button set `wants_stop`."""

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Check that a window can be opened. The window itself comes with the first frame.

        Raises:
            ConfigError: no display, or an OpenCV without windows (opencv-python-headless).
        """
        self.wants_stop = False
        del rest
        self._labels, self._draw, self._open = output.labels, output.draw, False
        os.environ.setdefault("QT_LOGGING_RULES", "*.warning=false")  # OpenCV's Qt complains about fonts
        _probe(uri)

    def write(self, result: FrameResult) -> None:
        """Show one frame and look for a key."""
        if self.wants_stop:
            return
        picture = annotate(result, self._labels, self._draw)
        if not self._open:
            height, width = picture.shape[:2]
            shrink = min(1.0, LARGEST_PX[0] / width, LARGEST_PX[1] / height)
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(TITLE, round(width * shrink), round(height * shrink))
            self._open = True
        cv2.imshow(TITLE, picture)
        key = cv2.waitKey(1) & 0xFF
        self.wants_stop = key in _QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1

    def close(self) -> None:
        """Close the window."""
        if self._open:
            cv2.destroyAllWindows()
            self._open = False

    def __enter__(self) -> "WindowSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_display(uri: str) -> None:
    """See that a display is set, which costs nothing; whether it answers is known once a window is opened.

    Raises:
        ConfigError: none is.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ConfigError(f"sink {uri}: want a display, got none; leave out --show or run it on the desktop")


def _probe(uri: str) -> None:
    """Open a window in another process: where there is no display, Qt aborts the process that asks."""
    check_display(uri)
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"sink {uri}: want a window, got no answer from the display; leave out --show") from error
    if probe.returncode:
        windows = b"not implemented" not in probe.stderr
        want, got = ("a display", "one that refuses") if windows else ("an OpenCV with windows", "a headless one")
        todo = "check DISPLAY or leave out --show" if windows else "install opencv-python, not -headless"
        raise ConfigError(f"sink {uri}: want {want}, got {got}; {todo}")
