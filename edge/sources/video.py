"""A video file, read frame by frame: every frame, in order, as fast as the loop takes them."""

import math
import struct
import time
from pathlib import Path
from types import TracebackType

import cv2

from edge.errors import SourceError
from edge.sources.capture import film_name, open_film, unreadable
from edge.sources.source import retrieve_rgb
from edge.types import Frame

MARGIN_FRAMES, MARGIN_SHARE = 5, 0.02
"""A video is called cut short if it lacks more than 5 frames and more than 2 % of what its header announces:
headers round durations, and the last frames of a healthy file may be undecodable."""
DEFAULT_FPS = 25.0
"""Used for a file that tells neither its rate nor the times of its frames."""
_MAX_COUNT = 1e9  # OpenCV gives absurd counts, such as -2**63, where a container has none

MOST_BOXES = 100_000
"""Parts of an mp4 that are looked at to tell a file that was cut; a fragmented film has one for each second or so."""
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip", b"styp")


class VideoFile:
    """A video file. `t_capture_ns` is the time at which decoding finished, so nothing ages in a queue."""

    live = False

    def __init__(self, path: Path) -> None:
        """Open the file and decode far enough to know that there is a picture in it.

        Raises:
            SourceError: as `open_film`, or no frame that this OpenCV can decode.
        """
        self.name = film_name(path)
        self.dropped = 0
        begin_ns = time.monotonic_ns()
        self._path = path
        self._capture = open_film(path)
        self._grabbed = self._capture.grab()
        self._grab_ns = time.monotonic_ns() - begin_ns
        if not self._grabbed:
            self._capture.release()
            raise unreadable(self.name)
        width, height = (self._capture.get(side) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.size: tuple[int, int] | None = (int(width), int(height)) if width >= 1 and height >= 1 else None
        fps, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps: float | None = fps if 0 < fps <= 1000 else None
        self.frames: int | None = int(count) if 0 < count < _MAX_COUNT else None
        self._index = -1
        self._given = 0
        self._first_ms: float | None = None
        self._position_ns = 0
        self._closed = False

    def read(self) -> Frame | None:
        """Decode the next frame; None at the end.

        Raises:
            SourceError: the file ends before its header says, after what is there was given.
        """
        while not self._closed:
            begin_ns = time.monotonic_ns()
            if not self._grabbed:
                if not self._capture.grab():
                    self._check_end()
                    return None
                self._grab_ns = 0
            self._grabbed = False
            self._index += 1
            position_ns = self._next_position_ns()
            image = retrieve_rgb(self._capture)
            if image is None:
                self.dropped += 1
                continue
            now_ns = time.monotonic_ns()
            self._given += 1
            return Frame(self._index, now_ns, image, position_ns, now_ns - begin_ns + self._grab_ns)
        return None

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._capture.release()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next_position_ns(self) -> int:
        """Return the time of the frame just grabbed, since the first one; always more than the one before."""
        step_ns = round(1e9 / (self.fps or DEFAULT_FPS))
        position_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if self._index == 0:
            self._first_ms = position_ms if math.isfinite(position_ms) and abs(position_ms) < _MAX_COUNT else None
            return 0
        position_ns = -1
        if self._first_ms is not None and math.isfinite(position_ms):
            position_ns = round((position_ms - self._first_ms) * 1e6)
        if position_ns <= self._position_ns:  # a container without times, or with wrong ones
            position_ns = self._position_ns + step_ns
        self._position_ns = position_ns
        return position_ns

    def _check_end(self) -> None:
        """Tell the end of a whole file from the end of a part of one.

        A count alone would accuse healthy files: Matroska announces duration x mean rate, which is wrong where the
        rate varies, and an mp4 cut without re-encoding counts frames that it hides. So frames *and* time must
        be missing, and an mp4 must really end inside one of its boxes.
        """
        if self.frames is None or self._closed:
            return
        margin = max(MARGIN_FRAMES, math.ceil(self.frames * MARGIN_SHARE))
        seen_s = self._position_ns / 1e9 + 1 / (self.fps or DEFAULT_FPS)
        missing_s = self.frames / (self.fps or DEFAULT_FPS) - seen_s
        short = self.frames - self._given > margin and missing_s > margin / (self.fps or DEFAULT_FPS)
        if short and _may_be_cut(self._path):
            raise SourceError(
                f"{self.name}: want {self.frames} frames, got {self._given}; "
                "the file is cut short or damaged, copy it again"
            )


def _may_be_cut(path: Path) -> bool:
    """Say whether a file may end too early: for the mp4 family look at its boxes, of others nothing is known."""
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        for _ in range(MOST_BOXES):
            if offset + 8 > size:
                break
            file.seek(offset)
            length, kind = struct.unpack(">I4s", file.read(8))
            if offset == 0 and kind not in _BOXES:
                return True
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:  # 0 = the rest of the file
                return False
            offset += length
    return offset > size
