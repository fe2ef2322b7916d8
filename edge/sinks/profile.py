"""The profile of a run as a file: rewritten whole every minute, so that a killed run keeps one."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec

from edge.errors import ConfigError, OutputError
from edge.settings import given_path
from edge.sinks.place import check_mount, mount_of
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
        if not path.parent.is_dir():
            raise ConfigError(f"profile {path}: want an existing folder, got no {path.parent}; make it first")
    except OSError as error:
        raise ConfigError(f"profile {path}: want a writable file, got '{error.strerror}'; check the path") from error
    return path


class ProfileSink:
    """Writes the figures of all frames so far: with the first frame, and in a thread while the run goes on."""

    def __init__(self, path: Path, summary: Callable[[], dict[str, object]]) -> None:
        """Remove what killed runs left, and see that the place can be written.

        Args:
            path: as `profile_path` returns it.
            summary: returns the figures.

        Raises:
            OutputError: it cannot be written.
        """
        self.wants_stop = False
        self._path, self._summary = Path(os.path.realpath(path)), summary
        self._plain = not path.exists() or path.is_file()  # a device or pipe is written once, at the end
        self._mount = mount_of(self._path)
        self._due_s = 0.0
        self._first = True
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        if self._plain:
            sweep(self._path.parent)
            try:
                with staging(self._path.parent):
                    pass
            except OSError as error:
                raise self._refused(error) from error

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
        self._due_s = time.monotonic() + EVERY_S
        if self._first:  # what cannot be written is known at once
            self._put(self._text())
            if self._error is not None:
                raise self._refused(self._error) from self._error
            self._first = False
            return
        self._thread = threading.Thread(target=self._put, args=(self._text(),), name="profile", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the last figures.

        Raises:
            OutputError: the disk is full or gone; an older file stays.
        """
        if self._thread is not None:
            self._thread.join()
        self._error = None
        self._put(self._text())
        if self._error is not None:
            raise self._refused(self._error) from self._error

    def __enter__(self) -> "ProfileSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _text(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self._summary()), indent=2) + b"\n"

    def _put(self, text: bytes) -> None:
        """Write the file whole, and remember why if it could not be."""
        try:
            check_mount(self._mount)
            if self._plain:
                write_file(self._path, text)
            else:
                self._path.write_bytes(text)
        except OSError as error:
            self._error = error

    def _refused(self, error: OSError) -> OutputError:
        return OutputError(f"profile {self._path}: want a writable file, got '{error.strerror}'; free the disk")
