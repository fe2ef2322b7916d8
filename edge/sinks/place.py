"""Places that results go to: held by one process at a time, and never written over by a later run."""

import errno
import fcntl
import os
import re
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from edge.errors import ConfigError, EdgeError
from edge.sinks.sink import unwritable
from edge.whole import NO_LOCKS

RUN = "run-"
"""Begins the name of the folder of one run."""
MARK = ".edge-run"
"""File in such a folder that says which kind of sink made it: what has none is nobody's to remove."""
_PROBE_BYTES = 4096
"""One block of most file systems."""
_RUN_NAME = re.compile(rf"{RUN}[0-9]{{4,9}}")


class Claim:
    """A place that this process holds until `close` or its death, however it dies."""

    def __init__(self, lock: int, path: Path | None) -> None:
        """Keep the open and locked file.

        Args:
            lock: file descriptor.
            path: of the lock; `close` removes it. None = the output itself is locked, and stays.
        """
        self._lock, self._path = lock, path

    def close(self) -> None:
        """Let others have the place. May be called twice."""
        if self._lock < 0:
            return
        with suppress(OSError):
            # the folder may have been moved away
            if self._path is not None and os.path.samestat(os.fstat(self._lock), self._path.lstat()):
                self._path.unlink()
        with suppress(OSError):
            os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> "Claim":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def claim(path: Path, uri: str) -> Claim:
    """Take a place for this process: lock `.NAME.lock` beside it.

    The system lets go of the lock when the process dies; the file that a killed one left is taken over here.

    Args:
        path: the output, there or not. Links are followed: two names of one file are one place.
        uri: of the sink, for messages.

    Raises:
        ConfigError: another process, or another sink of this one, writes there.
        OutputError: the lock cannot be made: no right to write, a full or read-only disk.
    """
    try:
        path = real_path(path)
    except OSError as error:
        raise unwritable(uri, error) from error
    lock_path = path.with_name(f".{path.name}.lock")
    while True:
        try:
            lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except PermissionError as error:
            return _claim_itself(path, uri, error)
        except OSError as error:
            raise unwritable(uri, error) from error
        _hold(lock, uri)
        with suppress(OSError):
            if os.path.samestat(os.fstat(lock), lock_path.lstat()):
                return Claim(lock, lock_path)
        os.close(lock)  # who held it before removed it just now


def claim_part(path: Path, uri: str, own: Claim) -> tuple[Path, Claim]:
    """Choose where a run writes that keeps what older ones wrote, and take that place, see `next_part` and `claim`.

    A part that another output is about to make is passed over: two outputs may be named `gate` and `gate-2`.

    Args:
        path: the output as it was named.
        uri: of the sink, for messages.
        own: the claim of that path, which the caller holds.

    Returns:
        The part and the claim of it; `own` where the part is the path itself.

    Raises:
        OSError: the folder cannot be read.
        OutputError: as `claim`.
    """
    part = next_part(path)
    _sweep_locks(path, uri)
    while part != path:
        try:
            return part, claim(part, uri)
        except ConfigError:
            part = _after(path, part)
    return path, own


def claim_runs(folder: Path, uri: str) -> Claim:
    """Take a folder of runs, whatever is written into each run's own folder; see `claim`."""
    return claim(folder / "runs", uri)


def begin_run(folder: Path, kind: str) -> Path:
    """Make the sub-folder of a new run, see `next_run`, prove that it can be written to, and mark it as ours.

    Args:
        folder: of all runs; the caller holds the claim.
        kind: of the sink, which is kept in the mark.

    Raises:
        OSError: it cannot be made or written; nothing is left.
    """
    for older in runs_in(folder):
        drop_empty_run(older)  # a killed run left it
    run = next_run(folder)
    run.mkdir()
    try:
        prove(run)
        (run / MARK).write_text(f"{kind}\n")
    except OSError:
        drop_empty_run(run)
        raise
    return run


def drop_empty_run(run: Path) -> None:
    """Remove the folder of a run that has nothing but its mark in it."""
    with suppress(OSError):
        if [entry.name for entry in run.iterdir()] in ([], [MARK]):
            (run / MARK).unlink(missing_ok=True)
            run.rmdir()


def marked_runs(folder: Path, kind: str) -> list[Path]:
    """Return the sub-folders that runs of one kind of sink made: those with its mark, and no others of such a name.

    Raises:
        OSError: a folder cannot be read.
    """
    found = []
    for run in runs_in(folder):
        with suppress(FileNotFoundError, UnicodeDecodeError, IsADirectoryError):
            if (run / MARK).read_text().strip() == kind:
                found.append(run)
    return found


def _claim_itself(path: Path, uri: str, refusal: OSError) -> Claim:
    """Lock the output itself, where its folder takes no other file.

    Raises:
        ConfigError: as `claim`.
        OutputError: the output cannot be written either.
    """
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        raise unwritable(uri, refusal) from refusal
    _hold(lock, uri)
    return Claim(lock, None)


def _hold(lock: int, uri: str) -> None:
    """Lock an open file for this process, or close it.

    Raises:
        ConfigError, OutputError: as `claim`.
    """
    held = False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = True
    except BlockingIOError:
        raise ConfigError(
            f"sink {uri}: want a place of its own, got one where another edge-run writes there; give another place"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise unwritable(uri, error) from error
        held = True  # a disk that knows no locks: better no protection than no results
    finally:
        if not held:
            os.close(lock)


def real_path(path: Path) -> Path:
    """Return the path with all links followed.

    Raises:
        OSError: links that lead to themselves, or a working folder that is gone.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # as Python before 3.13 has it
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def next_part(path: Path) -> Path:
    """Return where a run writes that keeps what older ones wrote: the path, or `stem-2.suffix`, `stem-3.suffix`, ...

    The number is one more than the largest there, so that parts stay in the order of their runs when one is removed.

    Args:
        path: the output as it was named.

    Raises:
        OSError: its folder cannot be read.
    """
    part = re.compile(rf"{re.escape(path.stem)}-([1-9][0-9]{{0,8}}){re.escape(path.suffix)}")
    numbers = [1] if os.path.lexists(path) else []
    numbers += [int(match[1]) for entry in path.parent.iterdir() if (match := part.fullmatch(entry.name))]
    return path.with_name(f"{path.stem}-{max(numbers) + 1}{path.suffix}") if numbers else path


def _sweep_locks(path: Path, uri: str) -> None:
    """Remove the locks of parts that a killed run left; those of living ones stay."""
    lock = re.compile(rf"\.({re.escape(path.stem)}-[1-9][0-9]{{0,8}}{re.escape(path.suffix)})\.lock")
    for entry in path.parent.iterdir():
        if match := lock.fullmatch(entry.name):
            with suppress(EdgeError):
                claim(path.with_name(match[1]), uri).close()


def _after(path: Path, part: Path) -> Path:
    """Return the part that follows a part of the same path."""
    number = int(part.stem.rpartition("-")[2])
    return path.with_name(f"{path.stem}-{number + 1}{path.suffix}")


def next_run(folder: Path) -> Path:
    """Return the sub-folder for a new run in a folder that keeps what older ones wrote: `run-0001`, `run-0002`, ...

    Raises:
        OSError: the folder cannot be read.
    """
    runs = runs_in(folder)
    last = int(runs[-1].name.removeprefix(RUN)) if runs else 0
    return folder / f"{RUN}{last + 1:04}"


def runs_in(folder: Path) -> list[Path]:
    """Return the sub-folders that `next_run` named, the oldest run first.

    Raises:
        OSError: the folder cannot be read.
    """
    named = [entry for entry in folder.iterdir() if _RUN_NAME.fullmatch(entry.name) and entry.is_dir()]
    return sorted(named, key=lambda entry: int(entry.name.removeprefix(RUN)))


def mount_of(path: Path) -> Path:
    """Return the folder at which the disk that holds a path is mounted."""
    path = path.absolute()
    return next(folder for folder in (path, *path.parents) if folder.parent == folder or os.path.ismount(folder))


def check_mount(mount: Path) -> None:
    """See that a disk is still where it was: what is written under its name would go to another disk.

    Args:
        mount: as `mount_of` returned it.

    Raises:
        FileNotFoundError: nothing is mounted there.
    """
    if not os.path.ismount(mount):
        raise FileNotFoundError(errno.ENOENT, f"no disk at {mount}; connect it again")


def prove(folder: Path) -> None:
    """Write and remove a small file: making a folder or an empty file succeeds on a full disk.

    Raises:
        OSError: the disk is full or read-only, or there is no right to write.
    """
    probe = folder / ".probe.part"
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
