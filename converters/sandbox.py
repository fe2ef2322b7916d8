"""The second wall around a model file: what a process gives up, for good, before it opens one.

The first wall are the lists of what may stand in a file (`converters.allowlist`). This one is for what they miss: code
that a file smuggles into TensorFlow, Keras or a runtime may compute and read, but not write outside its folder,
connect, start a program, or reach another process. No package is needed beside the standard library.
"""

import ctypes
import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from converters import callfilter, filewalls

Way = Literal["landlock", "namespaces"]
WAYS: tuple[Way, ...] = ("landlock", "namespaces")
"""How files may be walled off; the first that the machine has is taken."""

MOST_FILE_BYTES = 16 << 30
"""Largest file that a walled process may write."""

FREE_BYTES, UNFOLDING = 800_000_000, 12
"""Memory for opening a model: so much, and so many times the file. VGG16 of 59 MB took 0.4 GB; see tests."""
_THREAD_BYTES = 16 << 20
"""Stack and first memory of a thread; TensorFlow starts up to four for each processor at its first operation."""

_NO_NEW_PRIVILEGES, _DEATH_SIGNAL = 38, 1
"""For prctl(2)."""
_CAPABILITIES_VERSION = 0x2008_0522
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root still reads a model that belongs to another."""

_KEPT_OPEN = (0, 1, 2)
_HOMES = ("TMPDIR", "TEMP", "TMP", "HOME", "XDG_CACHE_HOME", "KERAS_HOME", "TFHUB_CACHE_DIR")

on_memory_limit: Callable[[int], None] | None = None
"""In a job: told the megabytes that `memory_for` allows, and 0 when it ends, so that a death can be explained."""


@dataclass(frozen=True, slots=True)
class Walls:
    """What a process can no longer do.

    Attributes:
        files: how it is kept from writing outside its folders; "" = it is not.
        calls: whether it is kept from connecting, starting programs and reaching other processes.
        version: of Landlock, where that keeps it.
    """

    files: Way | Literal[""]
    calls: bool
    version: int = 0

    @property
    def complaint(self) -> str:
        """What to tell a person of walls that could not be had; "" = all stand."""
        lacking = ["the disk"] if not self.files else []
        lacking += ["the network"] if not self.calls else []
        if not lacking:
            return ""
        return (
            f"this machine cannot wall off {' and '.join(lacking)} from what a model file does (want Linux 5.13 with "
            "seccomp and Landlock, or user namespaces); open no model file from someone you do not trust here"
        )


def enter(scratch: Path, writable: Sequence[Path] = (), keep: Sequence[int] = (), ways: Sequence[Way] = WAYS) -> Walls:
    """Wall this process in; there is no way back.

    It keeps reading every file that it may read. It must run one thread, as a process does that was just forked.

    Args:
        scratch: an empty folder for its temporary files, also its home from now on.
        writable: other folders that it may write into.
        keep: open files that stay open beside the first three; all others are closed, as a socket to the server that
            forks jobs would let it start one without walls.
        ways: to wall off files, in order; tests name one.

    Raises:
        RuntimeError: it runs more threads than one: those would stay outside.
    """
    scratch, folders = scratch.resolve(), [folder.resolve() for folder in writable]
    close_all_but((*_KEPT_OPEN, *keep))
    if (threads := len(list(Path("/proc/self/task").glob("*")))) > 1:
        raise RuntimeError(f"walls: want a process of 1 thread, got {threads}")
    for name in _HOMES:
        os.environ[name] = str(scratch)
    tempfile.tempdir = str(scratch)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_FSIZE, MOST_FILE_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVILEGES, *[ctypes.c_ulong(value) for value in (1, 0, 0, 0)])
    version = filewalls.landlock_version() if "landlock" in ways else 0
    files: Way | Literal[""] = ""
    if version and filewalls.landlock([scratch, *folders], version):
        files = "landlock"
    elif "namespaces" in ways and filewalls.namespaces([scratch, *folders]):
        files = "namespaces"
    _drop_capabilities(libc)
    calls = callfilter.install()
    return Walls(files, calls, version if files == "landlock" else 0)


def die_with_parent() -> None:
    """Have the kernel end this process when the one that forked it ends."""
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))


def close_all_but(keep: Sequence[int]) -> None:
    """Close every open file of this process but some."""
    for number in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208, the numbers alone
        if number not in keep:
            with suppress(OSError):  # the list itself was open
                os.close(number)


@contextmanager
def memory_for(stored_bytes: int) -> Iterator[None]:
    """Let what runs inside take memory in proportion to the file that it opens.

    The limit is on memory of the process's own that is written (RLIMIT_DATA), beyond what it has already.

    Args:
        stored_bytes: size of the file, or of all files of a folder.

    Raises:
        ConversionError: more was asked for, and the library said so; where it dies of it instead, `converters.job`
            tells the cause.
    """
    from converters.modelfile import ConversionError  # not above: it loads numpy, and numpy starts threads

    allowed = FREE_BYTES + UNFOLDING * stored_bytes
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + allowed + 4 * (os.cpu_count() or 1) * _THREAD_BYTES
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    _tell_limit(allowed // 1_000_000)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        raise ConversionError(f"model: {memory_complaint(allowed // 1_000_000)}") from error
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        _tell_limit(0)


def memory_complaint(megabytes: int) -> str:
    """Say that a file took more memory than its size explains."""
    return (
        f"want at most {megabytes} MB of memory to open a file of this size, got a model that asks for more; "
        "its layers are larger than what is stored of them, so ask whoever made it"
    )


def _is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory is behind an error, also one that a library raised because of it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or type(seen).__name__ == "ResourceExhaustedError":
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _tell_limit(megabytes: int) -> None:
    if on_memory_limit is not None:
        on_memory_limit(megabytes)


def _data_bytes() -> int:
    """Return what the kernel counts against RLIMIT_DATA; 0 where it does not tell."""
    try:
        words = Path("/proc/self/status").read_text().split()
        return 1024 * int(words[words.index("VmData:") + 1])
    except (OSError, ValueError, IndexError):
        return 0


def _lower(kind: int, limit: int) -> None:
    """Set a limit of the system that can only be lowered again."""
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give up what root may do beyond reading and writing its files; nothing for others."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION, 0)
    held = (ctypes.c_uint32 * 6)()
    if libc.capget(header, held) != 0:
        return
    for place in range(6):
        held[place] &= _KEPT_CAPABILITIES if place < 3 else 0
    libc.capset(header, held)
