"""One function in a child process of its own, with a limit on time and memory.

TensorFlow's quantiser and converters are known to die of a segmentation fault, and a large model may need more
memory than there is. In a child that is an explained failure, and the next variant goes on. Children are forked from
a server that has imported TensorFlow once, so that one starts in a fraction of a second.
"""

import multiprocessing
import os
import pickle
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tqdm import tqdm

from converters.load import ConversionError
from edge.errors import EdgeError
from models.quiet import hush_tensorflow, quiet

P = ParamSpec("P")
R = TypeVar("R")

SECONDS = 1800.0
"""Longer than any conversion of ours takes by far; what runs on is stuck."""
MEGABYTES = 12_000
"""Resident memory; ResNet50's int8 calibration needs about 3,000."""

_PRELOADED = ["numpy", "cv2", "tensorflow", "keras", "tf2onnx", "onnxruntime.quantization"]
_parent: Connection | None = None
"""In a child: where its progress and its answer go."""
_told = 0.0

_WATCH_S = 0.1
_SHOWN = 600
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use.

    Attributes:
        seconds: of wall time.
        megabytes: of resident memory.
    """

    seconds: float = SECONDS
    megabytes: float = MEGABYTES


DEFAULT_LIMITS = Limits()


def tell(done: int, total: int, doing: str) -> None:
    """Report progress from inside a job to the process that runs it; does nothing elsewhere."""
    global _told
    now = time.monotonic()
    if _parent is not None and now - _told > _WATCH_S:
        _told = now
        _parent.send_bytes(pickle.dumps(("progress", (done, total, doing))))


def run_limited(function: Callable[P, R], limits: Limits, what: str, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a child process and return what it returns; a bar shows the progress it tells.

    Args:
        function: defined at the top of a module; it, its arguments and its result must pickle.
        limits: on time and memory.
        what: names the work in messages: "int8-tflite".
        args: for the function.
        kwargs: for the function.

    Raises:
        ConversionError: the child died, or was stopped at a limit; the message says which and what to do.
        EdgeError: whatever the function itself raised.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="edge-job-") as folder:
        chatter = Path(folder) / "stderr"
        child = context.Process(target=_child, args=(function, args, kwargs, there, str(chatter)), daemon=True)
        child.start()
        there.close()
        try:
            outcome = _await(child, here, limits, what)
        finally:
            _stop(child)
            here.close()
        if outcome is None:
            raise ConversionError(f"{what}: {_epitaph(child.exitcode)}; {_last_words(chatter)}")
    kind, value = outcome
    if kind == "raised":
        raise value
    if kind == "crashed":
        raise ConversionError(f"{what}: want an answer from the converter, got an unforeseen {value}")
    result: R = value
    return result


def _context() -> Any:
    """Return the way to start children; the server that forks them runs afterwards, its chatter thrown away."""
    context = multiprocessing.get_context("forkserver")
    hush_tensorflow()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # conversion needs no GPU, and looking for one is slow
    context.set_forkserver_preload(_PRELOADED)
    with quiet():
        forkserver.ensure_running()
    return context


def _child(function: Callable[..., Any], args: Any, kwargs: Any, there: Connection, chatter: str) -> None:
    """Run in the child: call, and send what came of it."""
    global _parent
    _parent = there
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends us
    words = os.open(chatter, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, 2)
    os.dup2(words, 1)  # a library that prints must not mix into what the command says
    hush_tensorflow()
    try:
        outcome = ("returned", function(*args, **kwargs))
    except EdgeError as error:
        outcome = ("raised", error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must name it
        import traceback

        traceback.print_exc()
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        outcome = ("crashed", f"{type(error).__name__}: {first[:300]}")
    sys.stderr.flush()
    there.send_bytes(pickle.dumps(outcome))
    there.close()
    os._exit(0)  # TensorFlow's own end takes seconds and has nothing left to save


def _await(child: Any, here: Connection, limits: Limits, what: str) -> tuple[str, Any] | None:
    """Wait for the child's answer; None = it died without one."""
    until = time.monotonic() + limits.seconds
    with _Bar(what) as bar:
        while True:
            if here.poll(_WATCH_S):
                try:
                    kind, value = pickle.loads(here.recv_bytes())
                except EOFError:
                    child.join(5)
                    return None
                if kind != "progress":
                    return kind, value
                bar.show(*value)
            if time.monotonic() > until:
                raise ConversionError(
                    f"{what}: want an end within {limits.seconds:.0f} s, got none; raise --time-limit"
                )
            if _resident_mb(child.pid) > limits.megabytes:
                raise ConversionError(
                    f"{what}: want at most {limits.megabytes:.0f} MB of memory, got more; raise --memory-limit, "
                    "or give fewer calibration inputs"
                )
            bar.tick()


class _Bar:
    """A progress bar on a terminal, from the second second on."""

    def __init__(self, what: str) -> None:
        tqdm.set_lock(threading.RLock())  # its own is one of multiprocessing, which warns of itself at the end
        self._bar: Any = tqdm(
            desc=what, leave=False, delay=2, disable=None, bar_format="{desc} {bar:24} {elapsed} {postfix}"
        )

    def show(self, done: int, total: int, doing: str) -> None:
        """Say what is being done, and how much of it is."""
        self._bar.total, self._bar.n = total, done
        self._bar.set_postfix_str(f"{doing} {done}/{total}", refresh=False)

    def tick(self) -> None:
        """Draw the time that has passed."""
        self._bar.refresh()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()


def _resident_mb(pid: int | None) -> float:
    """Return the resident memory of a process; 0 where the system does not tell, or the process is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE / 1e6
    except (OSError, IndexError, ValueError):
        return 0.0


def _stop(child: Any) -> None:
    child.join(1)
    if child.is_alive():
        child.kill()
        child.join()


def _epitaph(exit_code: int | None) -> str:
    """Say how a child died."""
    if exit_code == -signal.SIGSEGV:
        return "the converter died of a segmentation fault, a defect of TensorFlow or the runtime with this model"
    if exit_code == -signal.SIGKILL:
        return "the converter was killed, most likely because the machine ran out of memory"
    if exit_code is not None and exit_code < 0:
        return f"the converter was ended by {signal.Signals(-exit_code).name}"
    return f"the converter ended with code {exit_code} and no answer"


def _last_words(chatter: Path) -> str:
    text = chatter.read_text("utf-8", "replace").strip()[-_SHOWN:] if chatter.exists() else ""
    text = re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", "", text)  # names of files, not where they lie on this machine
    return f"its last words: {' | '.join(text.splitlines()[-3:])}" if text else "try another variant"
