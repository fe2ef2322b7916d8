"""Annotated frames as a video file."""

import math
import shutil
from types import TracebackType

import cv2
import numpy as np

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.sinks.draw import annotate
from edge.sinks.sink import Output, unwritable, writable_path
from edge.types import U8, FrameResult

CODECS = {".mp4": "mp4v", ".avi": "XVID", ".mkv": "mp4v"}
"""Suffix -> codec: MPEG-4 part 2 in all three. Every build of OpenCV has it; browsers do not play it."""
RESERVE_BYTES = 16 << 20
"""A video is finished while this much disk is free: OpenCV does not report a full disk, and an mp4 without
room for its index cannot be played at all."""
MAX_FILL_S = 10.0
"""A gap in the source up to this length is filled by repeating the frame; a longer one is cut to it."""


class VideoSink:
    """Writes the annotated frames at a fixed rate that keeps the source's own time.

    Where frames were dropped the next one is repeated, so the video runs as fast as life. Frames whose size changes
    are fitted into the first one's. An .mp4 has its index at the end and plays only after `close`; .mkv and .avi
    play up to the last moment even if the process is killed.
    """

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Check that "video:PATH" can be written; the file is made with the first frame, which knows the size.

        Raises:
            ConfigError: the place cannot be written, an unknown suffix, or no possible rate.
        """
        self.wants_stop = False
        fps = output.fps
        self._uri, self._labels, self._fps = uri, output.labels, fps
        self._path = writable_path(uri, rest)
        suffix = self._path.suffix.lower()
        if suffix not in CODECS:
            name = hide_password(self._path.name)
            raise ConfigError(f"sink {uri}: want a name that ends in {', '.join(CODECS)}, got '{name}'; mend it")
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise ConfigError(f"sink {uri}: want a rate above 0 frames a second, got {fps}; mend it")
        self._fourcc = cv2.VideoWriter.fourcc(*CODECS[suffix])
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self._origin_ns = 0  # source time of the first frame
        self._written = 0
        self._closed = False

    def write(self, result: FrameResult) -> None:
        """Draw and encode one frame.

        Raises:
            ConfigError: the disk is nearly full, or OpenCV cannot encode. The video so far is finished and plays.
        """
        if self._closed:
            return
        picture = annotate(result, self._labels)
        writer = self._writer or self._open(picture)
        self._check_disk()
        picture = _fitted(picture, self._size)
        for _ in range(self._copies(result.frame.t_source_ns)):
            writer.write(picture)
            self._written += 1

    def close(self) -> None:
        """Write the index and close the file.

        Raises:
            ConfigError: frames were written and yet there is no video.
        """
        self._closed = True
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        try:
            size = self._path.stat().st_size
        except OSError as error:
            raise unwritable(self._uri, error) from error
        if not size:
            raise ConfigError(f"sink {self._uri}: want a video, got an empty file; is the disk full?")

    def __enter__(self) -> "VideoSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, picture: U8) -> cv2.VideoWriter:
        height, width = picture.shape[:2]
        self._size = (width - width % 2, height - height % 2)  # codecs with 4:2:0 colour want even sides
        self._writer = cv2.VideoWriter(str(self._path), self._fourcc, self._fps, self._size)
        if not self._writer.isOpened():
            self.close()
            raise ConfigError(f"sink {self._uri}: want a video that OpenCV can encode, got a refusal; try .avi")
        return self._writer

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if free < RESERVE_BYTES:
            self.close()
            raise ConfigError(
                f"sink {self._uri}: want {RESERVE_BYTES >> 20} MB free on the disk, got {free >> 20}; "
                f"free some (the first {self._written} frames are saved)"
            )

    def _copies(self, t_source_ns: int) -> int:
        """Return how often this frame is written so that the video catches up with the source's time: 1 or more."""
        due = round((t_source_ns - self._origin_ns) * 1e-9 * self._fps) + 1 if self._written else 1
        if not self._written:
            self._origin_ns = t_source_ns
        longest = round(MAX_FILL_S * self._fps)
        if due - self._written > longest:
            self._origin_ns = t_source_ns - round((self._written + longest - 1) * 1e9 / self._fps)
        return max(1, min(due - self._written, longest))


def _fitted(picture: U8, size: tuple[int, int]) -> U8:
    """Return the picture in this (width, height): as it is, less an odd last line, or scaled with black borders."""
    width, height = size
    have_height, have_width = picture.shape[:2]
    if (have_width - have_width % 2, have_height - have_height % 2) == size:
        return picture if (have_width, have_height) == size else np.ascontiguousarray(picture[:height, :width])
    scale = min(width / have_width, height / have_height)
    inner = max(1, round(have_width * scale)), max(1, round(have_height * scale))
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[: inner[1], : inner[0]] = cv2.resize(picture, inner)
    return fitted
