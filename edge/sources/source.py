"""What every source is, and what they share: pixels to RGB, options, a quiet OpenCV."""

import os
import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, TypeVar, cast
from urllib.parse import parse_qsl

import cv2

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.types import U8, Frame

Opened = TypeVar("Opened", bound="Source")


class Source(Protocol):
    """Something that gives frames until it ends, is lost, or is closed. Made by `open_source`.

    Attributes:
        name: words for messages and reports; never holds a password.
        live: True where frames come by themselves and the newest one wins; False where `read` gives every frame.
        size: width and height of its frames in pixels, or None where that is not known before the first one.
        fps: frames a second that the source announces, or None.
        frames: how many frames there are in all, or None where that is unknown. An announcement, not a promise.
        dropped: frames that this source had and did not give, counted from the first `read`: overtaken by a
            newer one, or unreadable.
    """

    name: str
    live: bool
    size: tuple[int, int] | None
    fps: float | None
    frames: int | None
    dropped: int

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end. The frame's image belongs to the caller.

        Raises:
            SourceError: the source is lost or damaged. Frames that came before were given first.
        """

    def close(self) -> None:
        """Let the device or file go. May be called twice."""

    def __enter__(self: Opened) -> Opened:
        """Return the source itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the source."""


class Feed(Protocol):
    """What a capture thread reads: a device that blocks until its next frame.

    Attributes:
        name: words for messages.
        fps: frames a second that the device announces, or None.
        frames: how many frames there are in all, or None.
    """

    name: str
    fps: float | None
    frames: int | None

    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end.

        Raises:
            SourceError: the device is lost.
        """

    def close(self) -> None:
        """Let the device go. Called by the thread that reads."""


def retrieve_rgb(capture: cv2.VideoCapture) -> U8 | None:
    """Turn the picture that was grabbed last into a fresh RGB array; None if it cannot be decoded.

    OpenCV gives BGR. `cvtColor` into a new array takes a third of the time of one in place, a tenth of `[..., ::-1]`.
    """
    ok, picture = capture.retrieve()
    if not ok or not picture.size:
        return None
    return cast(U8, cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB if picture.ndim == 2 else cv2.COLOR_BGR2RGB))


def size_option(text: str) -> tuple[int, int]:
    """Read "1280x720" as (width, height).

    Raises:
        ValueError: it is not such a text, or a side is 0.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise ValueError("a size such as 1280x720")
    return int(match[1]), int(match[2])


def fps_option(text: str) -> float:
    """Read frames a second.

    Raises:
        ValueError: it is no number above 0.
    """
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps < 1000:
        raise ValueError("a number of frames a second such as 30")
    return fps


def split_options(uri: str, readers: Mapping[str, Callable[[str], object]]) -> tuple[str, dict[str, object]]:
    """Split "0?size=1280x720&fps=30" into the device and its options.

    Args:
        uri: the device as the user wrote it.
        readers: option name -> function that reads its value and raises ValueError saying what it wants.

    Raises:
        ConfigError: an option that is not in `readers`, or a value that its reader refuses.
    """
    device, _, query = uri.partition("?")
    options: dict[str, object] = {}
    name = f"source {hide_password(uri)}"
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in readers:
            raise ConfigError(f"{name}: want options among {', '.join(readers)}, got '{key}'; remove it")
        try:
            options[key] = readers[key](value)
        except ValueError as error:
            raise ConfigError(f"{name}: want {key} to be {error}, got '{value}'; mend it") from error
    return device, options


def quiet_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr: what fails is said once, in one sentence, by us.

    FFmpeg's level is read by OpenCV when it opens its first video in a process; to see everything, set
    OPENCV_LOG_LEVEL and OPENCV_FFMPEG_LOGLEVEL in the environment, which is respected.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    if "OPENCV_LOG_LEVEL" not in os.environ:
        # OpenCV 4.8 has the first name only, 5 the second only.
        set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
        set_level(0)  # silent
