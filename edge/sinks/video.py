"""Annotated frames as a video that browsers play, at any moment of its making."""

import math
from types import TracebackType

import cv2
import numpy as np

from edge.errors import ConfigError, OutputError
from edge.redact import hide_password
from edge.sinks.draw import annotate
from edge.sinks.place import claim, claim_part
from edge.sinks.sink import Output, unwritable, writable_path
from edge.sinks.vp8 import LARGEST_SIDE, Vp8Encoder, Vp8Error, library
from edge.sinks.webm import WebmFile
from edge.types import U8, FrameResult

SUFFIXES = (".webm", ".mkv")
"""Both hold the same: WebM is a part of Matroska."""
MAX_GAP_S = 10.0
"""A longer gap in the source is cut to this, so that nobody watches a still picture for an hour."""
KEY_S = 4.0
"""Seconds between key frames: where a player can jump to. One takes ten times the bytes of another frame."""


class VideoSink:
    """Writes the annotated frames as VP8, each at the source's own time, however many were dropped.

    Every frame is handed to the system at once: a killed process loses the one in its hands. Frames whose size changes
    are fitted into the first one's. A video that is there is kept: this run's is then `stem-2.webm` and so on.
    """

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Check that "video:PATH" can be written; the file is made with the first frame, which knows the size.

        Raises:
            ConfigError: no possible path, an unknown suffix, no possible rate, another process writes there, or OpenCV
                came without libvpx.
            OutputError: the place cannot be written.
        """
        self.wants_stop = False
        self._uri, self._output = uri, output
        self._path = writable_path(uri, rest)
        if not (math.isfinite(output.fps) and 0 < output.fps <= 1000):
            raise ConfigError(f"sink {uri}: want a rate above 0 frames a second, got {output.fps}; correct it")
        check_library(uri)
        self._frame_ms = max(1, round(1000 / output.fps))
        self._encoder: Vp8Encoder | None = None
        self._file: WebmFile | None = None
        self._size = (0, 0)
        self._origin_ns = 0  # source time that the video's beginning stands for
        self._last_ms = self._key_ms = -1
        self._closed = False
        self._claims = [claim(self._path, uri)]
        try:
            if not output.overwrite:
                self._path, part = claim_part(self._path, uri, self._claims[0])
                self._claims.append(part)
        except (OSError, OutputError) as error:
            self._claims[0].close()
            raise (unwritable(uri, error) if isinstance(error, OSError) else error) from error
        self.place = hide_password(f"video:{self._path}")

    def write(self, result: FrameResult) -> None:
        """Draw, encode and write one frame.

        Raises:
            OutputError: the disk is full or gone, or libvpx refuses. The video so far plays.
        """
        if self._closed:
            return
        picture = annotate(result, self._output.labels, self._output.draw)
        try:
            encoder, file = self._encoder, self._file
            if encoder is None or file is None:
                encoder, file = self._open(picture)
            time_ms = self._time_ms(result.frame.t_source_ns)
            wants_key = self._key_ms < 0 or time_ms - self._key_ms >= KEY_S * 1000
            data, is_key = encoder.encode(_fitted(picture, self._size), time_ms, self._frame_ms, wants_key)
            file.add(data, time_ms, time_ms + self._frame_ms, is_key)
        except OSError as error:
            self.close()
            raise unwritable(self._uri, error) from error
        except Vp8Error as error:
            self.close()
            raise OutputError(f"sink {self._uri}: {error}; another size of the picture may do") from error
        self._last_ms = time_ms
        if is_key:
            self._key_ms = time_ms

    def close(self) -> None:
        """Write the table of contents and close the file.

        Raises:
            OutputError: no room for the table. The video plays without it.
        """
        self._closed = True
        encoder, self._encoder = self._encoder, None
        file, self._file = self._file, None
        if encoder is not None:
            encoder.close()
        try:
            if file is not None:
                file.close()
        except OSError as error:
            raise unwritable(self._uri, error) from error
        finally:
            for taken in self._claims:
                taken.close()

    def __enter__(self) -> "VideoSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, picture: U8) -> tuple[Vp8Encoder, WebmFile]:
        height, width = picture.shape[:2]
        shrink = min(1.0, LARGEST_SIDE / max(width, height))
        width, height = (max(2, int(side * shrink) // 2 * 2) for side in (width, height))  # 4:2:0 colour: even sides
        self._size = width, height
        self._encoder = Vp8Encoder(self._size, self._output.fps)
        self._file = WebmFile(self._path, self._size, fresh=not self._output.overwrite)
        return self._encoder, self._file

    def _time_ms(self, t_source_ns: int) -> int:
        """Return the time of a frame in the video: the source's, less what is too long of its gaps."""
        if self._last_ms < 0:
            self._origin_ns = t_source_ns
            return 0
        time_ms = round((t_source_ns - self._origin_ns) / 1e6)
        if not self._last_ms < time_ms:  # the source began anew
            time_ms = self._last_ms + self._frame_ms
        elif time_ms - self._last_ms > MAX_GAP_S * 1000:
            time_ms = self._last_ms + round(MAX_GAP_S * 1000)
        else:
            return time_ms
        self._origin_ns = t_source_ns - time_ms * 1_000_000
        return time_ms


def check_library(uri: str) -> None:
    """See that films can be coded here.

    Raises:
        ConfigError: there is no libvpx.
    """
    try:
        library()
    except Vp8Error as error:
        raise ConfigError(f"sink {uri}: {error}; install opencv-python or libvpx, or use folder:") from error


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
