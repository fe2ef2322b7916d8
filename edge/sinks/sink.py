"""What every sink is, and the checks of an output path that they share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

from edge.errors import ConfigError, EdgeError, refusal
from edge.redact import hide_password
from edge.settings import given_path
from edge.types import FrameResult, Gap, Run

Opened = TypeVar("Opened", bound="Sink")

MOST_NAME_BYTES = 220
"""Of an output's name: file systems take 255, and a lock, a part's number and `.gz` are added to it."""


@dataclass(frozen=True, slots=True)
class Output:
    """What every sink is opened with.

    Attributes:
        labels: class index -> name, from the bundle.
        fps: frames a second of the source, or the nominal rate where it tells none; a video is written with it.
        run: what is written, and by which models.
        overwrite: True to empty what an older run wrote, False to keep it and write behind it or beside it.
        draw: what is drawn on pictures besides boxes.
    """

    labels: Sequence[str]
    fps: float
    run: Run
    overwrite: bool = False
    draw: tuple[str, ...] = ()


class Sink(Protocol):
    """Somewhere that results go. Made by `open_sink`."""

    @property
    def wants_stop(self) -> bool:
        """True once nobody looks any more: the window was closed, or the reader of standard output has gone.

        The loop then ends as it does at the end of a video. A sink that wants to stop may still be written to.
        """

    def write(self, result: FrameResult) -> None:
        """Take one frame's result. Does not write to the arrays in it.

        Raises:
            OutputError: the place can take no more (disk full, gone). What was written before stays readable.
        """

    def close(self) -> None:
        """Finish the output so that other programs can read it. May be called twice.

        Raises:
            OutputError: the output could not be finished.
        """

    def __enter__(self: Opened) -> Opened:
        """Return the sink itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sink."""


@runtime_checkable
class TakesGaps(Protocol):
    """A sink that also tells its readers of what is missing."""

    def note(self, gap: Gap, wall_s: float | None) -> None:
        """Remember a gap; it is told before the next result.

        Args:
            gap: what was lost.
            wall_s: when it was noticed, seconds since 1970; None if the clock was not set.
        """


@runtime_checkable
class NamesPlace(Protocol):
    """A sink that keeps older results and so writes to another place than the one it was given.

    Attributes:
        place: that place, "KIND:PATH", for messages.
    """

    place: str


def named_path(uri: str, rest: str) -> Path:
    """Return the path of "KIND:PATH", which names a file, there or not, in a folder that is there.

    Raises:
        ConfigError: no path, no such folder, a folder of that name, or a name that is too long.
        OutputError: the system does not let us look.
    """
    if not rest:
        kind = uri.partition(":")[0]
        raise ConfigError(f"sink {uri}: want a path, got none; write {kind}:PATH")
    path = given_path(rest, f"sink {uri}")
    if len(os.fsencode(path.name)) > MOST_NAME_BYTES:
        raise ConfigError(f"sink {uri}: want a name of at most {MOST_NAME_BYTES} bytes, got a longer one; shorten it")
    try:
        if path.is_dir():
            raise ConfigError(f"sink {uri}: want a file, got a folder; add a file name")
        if not path.parent.is_dir():
            folder = path.parent if hide_password(rest) == rest else "such folder"
            raise ConfigError(f"sink {uri}: want an existing folder, got no {folder}; make it first")
    except OSError as error:
        raise unwritable(uri, error) from error
    return path


def named_folder(uri: str, rest: str) -> Path:
    """Return the path of "KIND:DIR", which names a folder, there or not, in a folder that is there.

    Raises:
        ConfigError: no path, no such folder to make it in, a file of that name, or a name that is too long.
        OutputError: the system does not let us look.
    """
    if not rest:
        kind = uri.partition(":")[0]
        raise ConfigError(f"sink {uri}: want a path, got none; write {kind}:DIR")
    path = given_path(rest, f"sink {uri}")
    try:
        if path.is_dir():
            return path
        if path.exists():
            raise ConfigError(f"sink {uri}: want a folder, got a file; name another")
        if path.is_symlink():
            raise ConfigError(f"sink {uri}: want a folder, got a link that leads to none; name another")
    except OSError as error:
        raise unwritable(uri, error) from error
    return named_path(uri, rest)


def named_file(uri: str, rest: str) -> Path:
    """Return the path of "KIND:PATH" as `named_path` does, if a file can be there.

    Raises:
        ConfigError: as `named_path`, or a fifo, socket or device.
        OutputError: the system does not let us look.
    """
    path = named_path(uri, rest)
    if path.exists() and not path.is_file():  # a fifo would be waited for
        raise ConfigError(f"sink {uri}: want a file, got a fifo, socket or device; name another")
    return path


def writable_path(uri: str, rest: str) -> Path:
    """Return the path of "KIND:PATH" once it is sure that a file can be made there; nothing is left or changed.

    Raises:
        ConfigError: as `named_file`.
        OutputError: no right to write, or a full or read-only disk.
    """
    path = named_file(uri, rest)
    try:
        there = path.exists()
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))  # only trying tells, on every file system
        if not there:
            path.unlink()
    except OSError as error:
        raise unwritable(uri, error) from error
    return path


def unwritable(uri: str, error: OSError) -> EdgeError:
    """Make the error for a place that refuses to be written.

    Returns:
        A `ConfigError` where the name is wrong, an `OutputError` where the system refuses: disk full, read-only, gone,
        no right to write.
    """
    return refusal(error, f"sink {uri}: want a place that can be written, got '{error.strerror}'; give another place")


def class_name(labels: Sequence[str], index: int) -> str:
    """Return the label of a class, or its number where the bundle names none."""
    return labels[index] if 0 <= index < len(labels) else str(index)
