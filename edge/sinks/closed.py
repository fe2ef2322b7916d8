"""Closed parts of a file that grows: `yard.jsonl` -> `yard.part-000001.jsonl` -> the same as `.gz`; the oldest go.

Parts carry a number that grows, since clocks may step, behind a word that no date or version has. A thread compresses,
so that the loop does not wait for it; a part that was closed and not compressed yet is compressed at the next start.
"""

import gzip
import logging
import os
import re
import threading
from contextlib import suppress
from pathlib import Path

PART = "part-"
"""Before the number in the name of a closed part."""
LEVEL = 3
"""Of gzip. 64 MB of lines take 1.05 s of one core and come to 23 % of their size; 6 would take 2.3 s for 20 %, 1 would
take 0.7 s for 26 %."""
CHUNK_BYTES = 1 << 20
"""Read and compressed at once: bounds memory, and how long `close` waits for the thread to hear of it."""
CLOSE_S = 2.0
"""How long `close` lets the thread finish a part."""
_LOWEST = 19
"""Niceness of the thread: the loop comes first."""

_log = logging.getLogger(__name__)


class ClosedParts:
    """The closed parts of one file. The caller holds the `claim` of that file."""

    def __init__(self, path: Path, uri: str, keep: int, compress: bool) -> None:
        """Remove what a killed run left half-way, and finish what it had closed.

        Args:
            path: the file that grows.
            uri: of the sink, for messages.
            keep: closed parts that are kept.
            compress: True to gzip them.
        """
        self._path, self._uri, self._keep, self._compress = path, uri, keep, compress
        self._name = re.compile(rf"{re.escape(path.stem)}\.{PART}([0-9]{{6,12}}){re.escape(path.suffix)}(\.gz)?")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        with suppress(OSError):
            for left in path.parent.glob(f".{glob_free(path.stem)}.{PART}*.gz.part"):
                left.unlink()
        with suppress(OSError):
            self._tidy()

    def files(self) -> list[Path]:
        """Return the parts, oldest first.

        Raises:
            OSError: the folder cannot be read.
        """
        numbered = [(int(match[1]), entry) for entry in self._path.parent.iterdir()
                    if (match := self._name.fullmatch(entry.name))]  # fmt: skip
        return [entry for _, entry in sorted(numbered)]

    def add(self) -> None:
        """Close the file: give it the next number and have it compressed. Then a new one can be begun.

        Raises:
            OSError: it cannot be renamed; it is as it was.
        """
        parts = self.files()
        last = int(self._number(parts[-1])) if parts else 0
        self._path.rename(self._path.with_name(f"{self._path.stem}.{PART}{last + 1:06}{self._path.suffix}"))
        with suppress(OSError):
            self._tidy()

    def remove_all(self) -> None:
        """Remove every part.

        Raises:
            OSError: one cannot be removed.
        """
        self.close()
        for part in self.files():
            part.unlink()

    def close(self) -> None:
        """Let the thread finish, but not for long: what it does not finish is done at the next start."""
        if self._thread is not None:
            self._thread.join(CLOSE_S)
            self._stop.set()
            self._thread.join()
            self._thread = None

    def _number(self, part: Path) -> str:
        match = self._name.fullmatch(part.name)
        assert match is not None, "files() returns no others"
        return match[1]

    def _tidy(self) -> None:
        """Remove the oldest parts beyond those that are kept, and start the thread if there is something to compress.

        Raises:
            OSError: the folder cannot be read or written.
        """
        parts = self.files()
        numbers = sorted({self._number(part) for part in parts}, key=int)
        gone = set(numbers[: max(0, len(numbers) - self._keep)])
        for part in parts:
            if self._number(part) in gone:
                part.unlink(missing_ok=True)
        idle = self._thread is None or not self._thread.is_alive()
        if self._compress and idle and any(part.suffix != ".gz" for part in self.files()):
            self._thread = threading.Thread(target=self._compress_all, name=f"compress {self._path.name}", daemon=True)
            self._thread.start()

    def _compress_all(self) -> None:
        """Run in the thread: compress plain parts, the oldest first, until there is none."""
        with suppress(OSError):  # of this thread alone, as Linux has it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        try:
            while plain := [part for part in self.files() if part.suffix != ".gz"]:
                if self._stop.is_set() or not self._compressed(plain[0]):
                    return
        except OSError as error:  # the plain part stays, and is as good
            _log.warning("sink %s: a closed part could not be compressed: %s", self._uri, error.strerror)

    def _compressed(self, part: Path) -> bool:
        """Write PART.gz whole, then remove PART; False if `close` was called meanwhile.

        Raises:
            OSError: the disk is full or gone; the part is as it was.
        """
        target = part.with_name(f"{part.name}.gz")
        unfinished = part.with_name(f".{target.name}.part")
        if target.exists():  # a kill came between the two last steps
            part.unlink(missing_ok=True)
            return True
        try:
            with part.open("rb") as plain, unfinished.open("wb") as file:
                with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=LEVEL, filename=part.name) as packed:
                    while chunk := plain.read(CHUNK_BYTES):
                        if self._stop.is_set():
                            return False
                        packed.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
            part.unlink(missing_ok=True)
        except FileNotFoundError:
            return not self._stop.is_set()  # the part was removed as the oldest one
        finally:
            unfinished.unlink(missing_ok=True)
        return True


def glob_free(text: str) -> str:
    """Return text in which no character is special in a glob pattern."""
    return re.sub(r"([\[\]*?])", r"[\1]", text)


def mend(fd: int) -> int:
    """Cut off a last line that is not whole, as a kill or a power cut leaves it.

    Args:
        fd: a regular file, open for reading and writing.

    Returns:
        Bytes that were cut off.

    Raises:
        OSError: it cannot be read or cut.
    """
    size = os.fstat(fd).st_size
    end = size
    while end:
        begin = max(0, end - CHUNK_BYTES)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            end = begin + found + 1
            break
        end = begin
    if end < size:
        os.ftruncate(fd, end)
    return size - end
