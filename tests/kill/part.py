"""What the three parts share: processes that can be killed with all their children, and what is left on disk."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil

_WATCH_S = 0.002


class Part(Protocol):
    """Something to kill.

    Attributes:
        name: in the report.
        results: folder of what must never be lost.
    """

    name: str
    results: Path

    def start(self) -> "Process":
        """Begin a run that replaces what is there."""
        ...

    def listing(self) -> set[Path]:
        """Return what belongs in the folders of results and temporary files."""
        ...

    def lost(self) -> list[str]:
        """Say what is not there whole, neither the old version nor the new one."""
        ...


class Process:
    """A forked process in a session of its own, its output in a file."""

    def __init__(self, work: Callable[[], int], output: Path) -> None:
        self._output = output
        self._ended = False
        self.code = 0
        sys.stdout.flush()
        self._pid = os.fork()
        if self._pid == 0:
            self._work(work)

    def _work(self, work: Callable[[], int]) -> None:
        """Do the work in the child, and never come back."""
        os.setsid()
        words = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(words, 1)
        os.dup2(words, 2)
        code = 1
        try:
            code = work()
        except BaseException:  # noqa: BLE001 - the forked child must never go on as the parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def ended_within(self, seconds: float) -> bool:
        """Wait that long; tell whether it ended by itself, and set `code` if so."""
        until = time.monotonic() + seconds
        while not self._ended:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._ended, self.code = True, os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                break
            else:
                time.sleep(min(_WATCH_S, max(0.0, until - time.monotonic())))
        return self._ended

    def kill(self) -> None:
        """Kill it and every process it started, and wait until they are gone."""
        if self._ended:
            return
        children = psutil.Process(self._pid).children(recursive=True)
        os.killpg(self._pid, signal.SIGKILL)
        for child in children:
            if child.is_running():  # psutil looks at the start time too: never a stranger with the same number
                child.kill()
        os.waitpid(self._pid, 0)
        self._ended = True
        psutil.wait_procs(children, timeout=10)

    def words(self) -> str:
        """Return the end of what it said."""
        return " | ".join(self._output.read_text("utf-8", "replace").strip().splitlines()[-3:])


def names_in(*folders: Path) -> set[Path]:
    """Return everything directly inside some folders."""
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}


def left_over(part: Part, known: set[Path]) -> list[Path]:
    """Return what is there and was not after a run that nobody killed."""
    return sorted(part.listing() - known)


def left_bytes(path: Path) -> int:
    """Return the size of a file or of all files in a folder."""
    if path.is_dir() and not path.is_symlink():
        return sum(child.lstat().st_size for child in path.rglob("*") if not child.is_dir())
    return path.lstat().st_size
