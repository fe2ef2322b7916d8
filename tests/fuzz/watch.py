"""Start workers, give them cases, and measure each from outside."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.fuzz.case import Attempt, Outcome
from tests.fuzz.oracle import KILL_SECONDS, MEMORY_MB
from tests.fuzz.worker import ROOT

COMMAND = (sys.executable, "-m", "tests.fuzz.worker")

_LOOK_S = 0.02
_START_S = 120.0
_GRACE_S = 3.0
"""Multiprocessing's own servers end when they find their pipes closed."""
_LINE_BYTES = 1_000_000
"""Most that is read of what a case said."""


class Worker:
    """One worker process, its home, its place for temporary files, and the folder of the case in hand."""

    def __init__(self, place: Path, forked: bool, command: Sequence[str] = COMMAND) -> None:
        """Make its folders; it is started by its first case.

        Args:
            place: a folder of its own.
            forked: see `tests.fuzz.case.Kind`.
            command: that runs a worker.
        """
        self.forked = forked
        self._command = command
        self.case = place / "case"
        self._place = place
        self._home, self._temporary = place / "home", place / "tmp"
        for folder in (self.case, self._home, self._temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[str] | None = None

    def run(self, attempt: Attempt, usual_mb: float | None) -> Outcome:
        """Run a case whose input lies in `case`.

        Args:
            attempt: the case.
            usual_mb: peak of the whole input of its form; None = this is it.
        """
        process = self._started()
        _forget_peaks(process.pid)
        standing = set(_family(process.pid))
        before = self._files()
        request = {
            "entry": attempt.entry,
            "arguments": attempt.arguments,
            "forked": self.forked,
            "home": str(self._home),
            **{name: str(self._place / name) for name in ("out", "err", "words")},
        }
        with contextlib.suppress(OSError):
            (self._place / "words").unlink()
        outcome = Outcome()
        begin = time.monotonic()
        assert process.stdin is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        limit_mb = 3000.0 if usual_mb is None else usual_mb + 2 * MEMORY_MB
        seconds = _START_S if usual_mb is None else KILL_SECONDS  # the first case may start a server of its own
        answer = self._watch(process, outcome, begin + seconds, limit_mb)
        outcome.seconds = time.monotonic() - begin
        outcome.out, outcome.err = (_text(self._place / name) for name in ("out", "err"))
        if answer is not None:
            outcome.learn(answer)
            outcome.processes = self._stragglers(process.pid, standing)
        elif not outcome.stopped:
            outcome.signal = -(process.wait(10) or 0)
        if answer is None or outcome.processes:
            self.close()
        outcome.left = _differences(before, self._files())
        return outcome

    def clear(self) -> None:
        """Empty the folders before the next case."""
        for folder in (self.case, self._home, *([] if self._process else [self._temporary])):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """End the worker and all that it started."""
        if self._process is None:
            return
        for pid in _family(self._process.pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir()

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is not None:
            return self._process
        environment = os.environ | {
            "HOME": str(self._home),
            "TMPDIR": str(self._temporary),
            "XDG_DATA_HOME": str(self._home / "data"),
            "KERAS_HOME": str(self._place / "keras"),
            # Caches that libraries fill once for all, Matplotlib's of fonts for one: not of a case.
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache"),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        log = (self._place / "log").open("w")
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            cwd=ROOT, env=environment, text=True, start_new_session=True,
        )  # fmt: skip
        log.close()
        if not _readable(self._process, _START_S) or not self._process.stdout.readline():  # type: ignore[union-attr]
            raise RuntimeError(f"worker: want an answer, got none: {(self._place / 'log').read_text()[-2000:]}")
        return self._process

    def _watch(self, process: Any, outcome: Outcome, until: float, limit_mb: float) -> dict[str, Any] | None:
        """Wait for the worker's answer; None = it was ended, or died."""
        while not _readable(process, _LOOK_S):
            for pid in _family(process.pid):
                outcome.peak_mb = max(outcome.peak_mb, _peak_mb(pid))
            if outcome.peak_mb > limit_mb:
                outcome.stopped = f"ended by the watcher at {outcome.peak_mb:.0f} MB"
            elif time.monotonic() > until:
                outcome.stopped = "ended by the watcher"
            if outcome.stopped:
                self.close()
                return None
        line = process.stdout.readline()
        return json.loads(line) if line else None

    def _stragglers(self, pid: int, standing: set[int]) -> int:
        """Count processes that began with the case and do not end soon after it; those of a forkserver stay."""
        if not self.forked:
            return 0
        until = time.monotonic() + _GRACE_S
        while (here := set(_family(pid)) - standing) and time.monotonic() < until:
            time.sleep(_LOOK_S)
        return len(here)

    def _files(self) -> dict[str, tuple[int, int, int]]:
        """List what lies in home, the temporary place and the case's folder."""
        found = {}
        for folder in (self._home, self._temporary, self.case):
            for path in _walk(folder):
                stat = path.lstat()
                found[str(path.relative_to(self._place))] = (stat.st_mode, stat.st_size, stat.st_mtime_ns)
        return found


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if not (path.is_dir() and not path.is_symlink()):
                yield path


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    changed = [name for name, what in after.items() if before.get(name) != what]
    gone = [f"{name} (gone)" for name in before if name not in after and not name.startswith("tmp/")]
    return sorted(changed) + sorted(gone)


def _readable(process: Any, seconds: float) -> bool:
    return bool(select.select([process.stdout], [], [], seconds)[0])


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LINE_BYTES).decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def _family(pid: int) -> list[int]:
    """Return a process and all below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = (folder / "stat").read_text()
                _, state, parent, *_ = stat[stat.rindex(")") :].split()
                if state != "Z":
                    children.setdefault(int(parent), []).append(int(folder.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def _peak_mb(pid: int) -> float:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _forget_peaks(pid: int) -> None:
    """Let the peaks of processes that live on begin anew."""
    for one in _family(pid):
        with contextlib.suppress(OSError):
            Path(f"/proc/{one}/clear_refs").write_text("5")
