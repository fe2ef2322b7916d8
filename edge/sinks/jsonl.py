"""One line of JSON for each frame, to a file that is never lost and never too large, or to standard output.

`edge.sinks.lines` has the lines, `edge.sinks.closed` what becomes of a part that is closed.
"""

import errno
import logging
import os
import select
import stat
import sys
import time
from contextlib import suppress
from datetime import date
from types import TracebackType

import msgspec

from edge.errors import ConfigError, OutputError
from edge.sinks.closed import ClosedParts, mend
from edge.sinks.lines import to_gap, to_line, to_run
from edge.sinks.options import number, split_options, whole_number
from edge.sinks.place import Claim, claim, real_path
from edge.sinks.sink import Output, named_path, unwritable
from edge.types import FrameResult, Gap

ROTATE_MB = 64.0
"""A part of this size holds an hour or two of a busy camera, and opens in any editor."""
KEEP = 14
"""Closed parts: two weeks of quiet days, or about 100 MB of busy ones."""
OPTIONS = {
    "rotate_mb": number(0.001, 1e6), "daily": whole_number(0, 1), "keep": whole_number(1, 100_000),
    "compress": whole_number(0, 1),
}  # fmt: skip
LOOK_S = 1.0
"""Seconds between two looks at whether the file is still in its place."""
DAY_S = 3600.0
"""Least seconds between two closings for a new day, so that a clock that steps to and fro does not use up the parts."""
PATIENCE_S = 2.0
"""How long a reader of a fifo may keep the loop waiting."""

_log = logging.getLogger(__name__)


class JsonlSink:
    """Writes lines. One system call a frame and no buffer: what was written is whole, whatever kills the process.

    A reader of standard output that goes away (`edge-run ... | head`) ends the run as the end of a video does:
    `wants_stop` becomes True and later lines are dropped. A file is written behind what is there, and closed as a part
    at a size or with the local day.
    """

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Open "jsonl:PATH?rotate_mb=64&daily=1&keep=14&compress=1"; "-" is standard output.

        Raises:
            ConfigError: no possible path, an unknown option, a file of something else, or one that another run writes.
            OutputError: the place cannot be written.
        """
        self.wants_stop = False
        self._uri, self._output = uri, output
        self._encoder, self._buffer = msgspec.json.Encoder(), bytearray()
        self._gaps: list[tuple[Gap, float | None]] = []
        self._opened = False  # True once this run's line stands in this part
        self._to_stdout = rest == "-"
        self._fd, self._size = -1, None if self._to_stdout else 0
        self._empties = False  # True until what older runs wrote is removed
        self._claim: Claim | None = None
        self._parts: ClosedParts | None = None
        self._day: date | None = None  # of the part; None until the clock is set
        self._day_s = -DAY_S  # monotonic: when a part was last closed for a new day
        self._look_s = 0.0
        try:
            if self._to_stdout:
                self._fd = _duplicate_stdout(uri)
            else:
                self._open(rest)
        except OSError as error:
            self.close()
            raise unwritable(uri, error) from error
        except (ConfigError, OutputError):
            self.close()
            raise

    def write(self, result: FrameResult) -> None:
        """Write the lines of one frame: that of the run or of a gap before it, if there is one, and its own.

        Raises:
            OutputError: the disk is full, or the file is gone; the lines before are whole.
        """
        if self._fd < 0 or self.wants_stop:
            return
        try:
            if self._size is not None:
                self._stay_in_place()
            if self._empties:
                self._empty()
            self._put(self._lines(result))
            if self._size is not None and self._is_due(result.wall_s, len(self._buffer)):
                self._rotate()
                self._put(self._lines(result))
            self._write()
        except BrokenPipeError as error:
            if not self._to_stdout:
                raise unwritable(self._uri, error) from error
            self._hang_up()
        except OSError as error:
            raise unwritable(self._uri, error) from error
        self._opened = True
        self._gaps.clear()

    def note(self, gap: Gap, wall_s: float | None) -> None:
        """Write a line of this gap before the next frame's."""
        self._gaps.append((gap, wall_s))

    def close(self) -> None:
        """Close the file; standard output stays open for others."""
        if self._fd >= 0:
            if self._gaps and self._opened and not self.wants_stop:
                self._put([to_gap(gap, wall_s, self._output.run) for gap, wall_s in self._gaps])
                with suppress(OSError):
                    self._write()
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        if self._parts is not None:
            self._parts.close()
        if self._claim is not None:
            self._claim.close()

    def __enter__(self) -> "JsonlSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, rest: str) -> None:
        """Open a file, fifo or device; of a file, mend the end and take up the closed parts.

        Raises:
            ConfigError: see `__init__`.
            OSError: as the system says.
        """
        place, given = split_options(self._uri, rest, OPTIONS)
        options = {"rotate_mb": ROTATE_MB, "daily": 1, "keep": KEEP, "compress": 1, **given}
        path = named_path(self._uri, place)
        if path.exists() and not path.is_file():  # looked at as named: a shell's pipe has no other name
            self._size = None
            # a fifo without a reader is an error, not a long wait
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            return
        self._path = path = real_path(path)
        self._most, self._daily = int(float(options["rotate_mb"]) * 1e6), bool(options["daily"])
        self._claim = claim(path, self._uri)
        self._begin()
        self._parts = ClosedParts(path, self._uri, int(options["keep"]), bool(options["compress"]))
        self._empties = self._output.overwrite
        before = os.fstat(self._fd)
        if before.st_size and not self._empties and os.pread(self._fd, 1, 0) not in b"{\0":
            raise ConfigError(
                f"sink {self._uri}: want a file of JSON lines or none, got one of something else; give another path"
            )
        cut = 0 if self._empties else mend(self._fd)
        if cut:
            _log.warning("sink %s: cut off a last line of %d bytes that was not whole", self._uri, cut)
        self._size = before.st_size - cut
        with suppress(ValueError, OverflowError, OSError):  # a damaged file system tells any time
            self._day = date.fromtimestamp(before.st_mtime) if self._size else None

    def _empty(self) -> None:
        """Remove what older runs wrote: with the first frame, when nothing about this run can be wrong any more.

        Raises:
            OSError: as the system says.
        """
        assert self._parts is not None, "only a file is emptied"
        self._parts.remove_all()
        os.ftruncate(self._fd, 0)
        self._size, self._day, self._empties = 0, None, False

    def _begin(self) -> None:
        """Open the file in its place.

        Raises:
            OSError: as the system says.
        """
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)

    def _lines(self, result: FrameResult) -> list[msgspec.Struct]:
        run = self._output.run
        opening: list[msgspec.Struct] = [] if self._opened else [to_run(result, run)]
        gaps = [to_gap(gap, wall_s, run) for gap, wall_s in self._gaps]
        return [*opening, *gaps, to_line(result, self._output.labels, run)]

    def _put(self, lines: list[msgspec.Struct]) -> None:
        """Fill the buffer with these lines."""
        self._buffer.clear()
        for line in lines:
            self._buffer += self._encoder.encode(line)
            self._buffer += b"\n"

    def _write(self) -> None:
        """Write the buffer, all of it or, to a file, nothing.

        Raises:
            OSError: as the system says.
        """
        written = 0
        start = self._size if self._size is not None else _offset_of(self._fd)
        try:
            while written < len(self._buffer):  # a pipe or a disk that is nearly full takes a part
                try:
                    written += os.write(self._fd, memoryview(self._buffer)[written:])
                except BlockingIOError:
                    if not select.select([], [self._fd], [], None if self._to_stdout else PATIENCE_S)[1]:
                        raise OSError(errno.ETIMEDOUT, "a reader that does not read") from None
        except OSError:
            if start is not None:
                with suppress(OSError):
                    os.ftruncate(self._fd, start)  # half a line is no JSON
                    os.lseek(self._fd, start, os.SEEK_SET)
            raise
        if self._size is not None:
            self._size += written

    def _is_due(self, wall_s: float | None, more: int) -> bool:
        """Tell whether the part ends before this frame: too large, or of another local day than its beginning."""
        if self._size and self._size + more > self._most:
            return True
        if wall_s is None or not self._daily:
            return False
        today, day = date.fromtimestamp(wall_s), self._day
        if day is None or (day - today).days > 1 or not self._size:
            self._day = today  # the clock was wrong when the part began
            return False
        now_s = time.monotonic()
        if today <= day or now_s - self._day_s < DAY_S:
            return False
        self._day_s = now_s
        return True

    def _rotate(self) -> None:
        """Close the part and begin the next one; where that fails, go on in the old one and try again at its double.

        Raises:
            OSError: the new part cannot be opened.
        """
        assert self._parts is not None, "only a file has parts"
        self._day = None
        try:
            self._parts.add()
        except OSError as error:
            _log.warning("sink %s: the part could not be closed, it grows on: %s", self._uri, error.strerror)
            self._most *= 2
            return
        os.close(self._fd)
        self._fd = -1
        self._begin()
        self._size, self._opened = 0, False

    def _stay_in_place(self) -> None:
        """Look now and then whether the file is where it was made: not removed, and its disk still there.

        Raises:
            OSError: it is not.
        """
        now_s = time.monotonic()
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_S
        if not os.path.samestat(os.fstat(self._fd), self._path.lstat()):
            raise FileNotFoundError(errno.ENOENT, "another file in its place")

    def _hang_up(self) -> None:
        """Ask for the end, and keep Python from complaining about the broken pipe when it flushes at exit."""
        self.wants_stop = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _duplicate_stdout(uri: str) -> int:
    """Return a descriptor of standard output, behind what Python has in its buffer.

    Raises:
        ConfigError: the process has none.
        OSError: as the system says.
    """
    if sys.stdout is None:
        raise ConfigError(f"sink {uri}: want a standard output, got a closed one; open it, or name a file")
    sys.stdout.flush()
    return os.dup(sys.stdout.fileno())


def _offset_of(fd: int) -> int | None:
    """Return where the next byte goes in a regular file; None for a terminal, pipe or device."""
    return os.lseek(fd, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(fd).st_mode) else None
