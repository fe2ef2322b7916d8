"""The profile of a run as a file: rewritten whole every minute, so that a killed run keeps one."""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import msgspec

from edge.errors import ConfigError, OutputError
from edge.settings import given_path
from edge.sinks.place import Claim, check_mount, claim, mount_of, real_path
from edge.types import FrameResult
from edge.whole import staging, sweep, write_file

EVERY_S = 60.0
"""Between two profiles: a file system may take a tenth of a second to put one on the disk."""


def profile_path(text: str) -> Path:
    """Return the path of a profile; nothing is made yet.

    Raises:
        ConfigError: no possible path, no such folder, or a folder of that name.
    """
    path = given_path(text, "profile")
    try:
        if path.is_dir():
            raise ConfigError(f"profile {path}: want a file, got a folder; add a file name")
        if path.is_socket():
            raise ConfigError(f"profile {path}: want a file, got a socket; name another")
        if not path.parent.is_dir():
            raise ConfigError(f"profile {path}: want an existing folder, got no {path.parent}; make it first")
    except OSError as error:
        raise ConfigError(f"profile {path}: want a writable file, got '{error.strerror}'; check the path") from error
    return path


def is_plain(path: Path) -> bool:
    """Tell whether a path is that of a file, there or not; False for a pipe, a device, and standard output or error.

    Raises:
        OSError: links that lead to themselves.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return True
    for number in (1, 2):  # `> all.txt` with `--profile /dev/stdout`: what else is printed there stays
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(number)):
                return False
    return stat.S_ISREG(found.st_mode)


class ProfileSink:
    """Writes the figures of all frames so far: after the first frame, and in a thread while the run goes on."""

    def __init__(self, path: Path, summary: Callable[[], dict[str, object]]) -> None:
        """Remove what killed runs left, and see that the place can be written.

        Args:
            path: as `profile_path` returns it.
            summary: returns the figures.

        Raises:
            ConfigError: a link that leads to itself, or a file that another sink or process writes.
            OutputError: it cannot be written.
        """
        self.wants_stop = False
        self._summary = summary
        try:
            self._plain = is_plain(path)  # anything else is written once, at the end
            self._path = real_path(path) if self._plain else path  # the name behind /dev/stdout cannot be opened
        except OSError as error:
            raise ConfigError(f"profile {path}: want a path, got '{error.strerror}'; name another") from error
        self._mount = mount_of(self._path)
        self._due_s = 0.0
        self._first = True
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._claim: Claim | None = None
        self._closed = False
        if self._plain:
            sweep(self._path.parent)
            try:
                if not self._path.parent.is_dir():  # a folder that vanished is not made again
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
                with staging(self._path.parent):
                    pass
            except OSError as error:
                raise self._refused(error) from error
            self._claim = claim(self._path, f"profile:{path}")

    def write(self, result: FrameResult) -> None:
        """Write the file if it is time for that.

        Raises:
            OutputError: the disk was full or gone at the last time; an older file stays.
        """
        del result
        if self._error is not None:
            raise self._refused(self._error) from self._error
        if not self._plain or time.monotonic() < self._due_s or (self._thread is not None and self._thread.is_alive()):
            return
        figures = self._summary()
        if figures.get("frames") == 0:  # an older profile that says something stays
            return
        self._due_s = time.monotonic() + EVERY_S
        if self._first:  # what cannot be written is known at once
            self._put(_text(figures))
            if self._error is not None:
                raise self._refused(self._error) from self._error
            self._first = False
            return
        self._thread = threading.Thread(target=self._put, args=(_text(figures),), name="profile", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the last figures, and let others have the file.

        Raises:
            OutputError: the disk is full or gone; an older file stays.
        """
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._thread.join()
        self._error = None
        self._put(_text(self._summary()))
        if self._claim is not None:
            self._claim.close()
        if self._error is not None:
            raise self._refused(self._error) from self._error

    def __enter__(self) -> "ProfileSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, text: bytes) -> None:
        """Write the file whole, and remember why if it could not be."""
        try:
            check_mount(self._mount)
            if self._plain:
                write_file(self._path, text)
            else:
                _write_on(self._path, text)
        except OSError as error:
            self._error = error

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(
            f"profile {self._path}: want a writable file, got '{error.strerror}'; free the disk or name another"
        )


def _write_on(path: Path, text: bytes) -> None:
    """Write behind what a pipe or device got before; a pipe without a reader is an error, not a long wait.

    Raises:
        OSError: as the system says.
    """
    place = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        os.set_blocking(place, True)
        while text:
            text = text[os.write(place, text) :]
    finally:
        os.close(place)


def _text(figures: dict[str, object]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n"
