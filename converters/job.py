"""One function in a child process of its own, with a limit on time and memory, and with walls around it.

TensorFlow's quantiser and converters are known to die of a segmentation fault, and a large model may need more
memory than there is. In a child that is an explained failure, and the next variant goes on. Children are forked from
a server that has imported TensorFlow once, so that one starts in a fraction of a second.

A job opens files that other people made, so it walls itself in first (`converters.sandbox`), and what it answers is
read as data (`converters.handback`).
"""

import contextlib
import functools
import multiprocessing
import multiprocessing.util
import os
import re
import select
import signal
import struct
import sys
import tempfile
import threading
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from tqdm import tqdm

from converters import sandbox
from converters.handback import misbehaved, pack, regular_files, unpack
from converters.load import ConversionError, Origin
from edge.backends.onnx import no_telemetry
from edge.bar import bar
from edge.errors import EdgeError
from edge.redact import printable
from edge.whole import staging, sweep
from models.quiet import hush_tensorflow, quiet

P = ParamSpec("P")
R = TypeVar("R")

SECONDS = 1800.0
"""Longer than any conversion of ours takes by far; what runs on is stuck."""
MEGABYTES = 12_000
"""Resident memory; ResNet50's int8 calibration needs about 3,000."""

_PRELOADED = ["numpy", "cv2", "tensorflow", "keras", "tf2onnx", "onnxruntime.quantization"]
_parent: int | None = None
"""In a child: the pipe that its progress and its answer go into."""
_told, _doing = 0.0, ""

_HEAD = struct.Struct("!8sQ")
"""Before each message: its kind, and how long it is."""
_MOST_MESSAGE_BYTES = 64_000_000
"""Findings, figures and names of a model; its tensors go into files."""
_CHUNK_BYTES = 1 << 20
_MOST_SAID = 80
_LOG, _SCRATCH = "stderr", "scratch"
_LOG_BYTES = 4000

_AFTER_SOCKETS = -200
"""When the end of the command removes the folder of the server's sockets: after multiprocessing did, at -100."""
_SOCKET, _MOST_SOCKET_BYTES = "/pymp-12345678/listener-12345678", 107
"""What multiprocessing adds to the folder, and the longest name of a Unix socket (unix(7): 108 bytes with its end)."""
_WATCH_S = 0.1
_SHOWN = 600
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use.

    Attributes:
        seconds: of wall time.
        megabytes: of resident memory.
        writable: folders that it leaves files in; it may write nowhere else.
        walls: False for a job that needs the network, or writes elsewhere; `walled` decides.
    """

    seconds: float = SECONDS
    megabytes: float = MEGABYTES
    writable: tuple[Path, ...] = ()
    walls: bool = True


DEFAULT_LIMITS = Limits()


def tell(done: int, total: int, doing: str) -> None:
    """Report progress from inside a job to the process that runs it; does nothing elsewhere."""
    global _told, _doing
    now = time.monotonic()
    if _parent is not None and (now - _told > _WATCH_S or doing != _doing):  # a new step is never left untold
        _told, _doing = now, doing
        _send(_parent, "progress", [done, total, doing])


def walled(origin: Origin) -> bool:
    """Tell whether the jobs of a model run inside walls: those of every file do.

    A function that builds a model is the person's own code, named on their command line or in their recipe; it may
    fetch its weights and keep them, so it runs as they themselves would run it.
    """
    return not origin.is_function


def run_limited(function: Callable[P, R], limits: Limits, what: str, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a child process and return what it returns; a bar shows the progress it tells.

    Args:
        function: defined at the top of a module; it and its arguments must pickle. Its return annotation names what
            comes back: plain values, arrays, paths, dataclasses and structs.
        limits: on time, memory and reach.
        what: names the work in messages: "int8-tflite".
        args: for the function.
        kwargs: for the function.

    Raises:
        ConversionError: the child died, or was stopped at a limit; the message says which and what to do.
        EdgeError: whatever the function itself raised.
    """
    context = _context()
    here, there = context.Pipe(duplex=False)
    kinds = typing.get_type_hints(function).get("return", ())
    with staging(Path(tempfile.gettempdir())) as folder:
        (folder / _SCRATCH).mkdir()
        ways = sandbox.WAYS if limits.walls else None
        child = context.Process(
            target=_child, args=(function, args, kwargs, there, folder, limits.writable, ways), daemon=True
        )
        child.start()
        there.close()
        answer = _Answer(here.fileno(), kinds)
        try:
            _await(child, answer, limits, what)
        finally:
            _stop(child)
            here.close()
        if answer.kind is None:
            reason = exit_reason(child.exitcode, answer.megabytes)
            raise ConversionError(f"{what}: {reason}; {log_tail(folder / _LOG)}")
    if limits.walls:
        for place in limits.writable:
            regular_files(place)
    if answer.kind == "raised":
        raise answer.value
    if answer.kind == "crashed":
        raise ConversionError(f"{what}: want an answer from the converter, got an unforeseen {answer.value}")
    result: R = answer.value
    return result


def _context() -> Any:
    """Return the way to start children; the server that forks them runs afterwards, its chatter thrown away."""
    context = multiprocessing.get_context("forkserver")
    _sweep()
    _place_sockets()
    hush_tensorflow()
    no_telemetry()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")  # conversion needs no GPU, and looking for one is slow
    context.set_forkserver_preload(_PRELOADED)
    with quiet():
        forkserver.ensure_running()
    return context


@functools.cache
def _sweep() -> None:
    """Remove, once, the folders of jobs whose command was killed."""
    sweep(Path(tempfile.gettempdir()))


@functools.cache
def _place_sockets() -> None:
    """Have the server's sockets in a folder that `_sweep` finds after a kill; multiprocessing makes one once.

    Where the temporary folder's own name is long, the sockets stay directly in it.
    """
    shared = tempfile.tempdir
    own = contextlib.ExitStack()
    multiprocessing.util.Finalize(None, own.close, exitpriority=_AFTER_SOCKETS)
    folder = str(own.enter_context(staging(Path(tempfile.gettempdir()))))
    if len(os.fsencode(folder)) + len(_SOCKET) > _MOST_SOCKET_BYTES:
        own.close()
        return
    tempfile.tempdir = folder
    try:
        multiprocessing.util.get_temp_dir()
    finally:
        tempfile.tempdir = shared


def _child(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    there: Connection,
    folder: Path,
    writable: tuple[Path, ...],
    ways: tuple[sandbox.Way, ...] | None,
) -> None:
    """Run in the child: wall itself in, call, and send what came of it."""
    global _parent
    _parent = pipe = there.fileno()
    sandbox.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends us
    words = os.open(folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(words, 2)
    os.dup2(words, 1)  # a library that prints must not mix into what the command says
    hush_tensorflow()
    sandbox.on_memory_limit = functools.partial(_send, pipe, "memory")
    try:
        if ways is not None:
            _send(pipe, "walls", sandbox.enter(folder / _SCRATCH, writable, (pipe,), ways).complaint)
        outcome = ("returned", function(*args, **kwargs))
    except EdgeError as error:
        outcome = ("raised", [type(error).__module__, type(error).__qualname__, str(error)])
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must name it
        outcome = ("crashed", _unforeseen(error))
    try:
        _send(pipe, *outcome)
    except TypeError as error:
        _send(pipe, "crashed", _unforeseen(error))
    os._exit(0)  # TensorFlow's own end takes seconds and has nothing left to save


def _unforeseen(error: BaseException) -> str:
    """Leave the traceback in the log, and return the first line of an error."""
    import traceback

    traceback.print_exc()
    sys.stderr.flush()
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}"


def _send(pipe: int, kind: str, value: Any) -> None:
    """Write one message.

    Raises:
        TypeError: the value is of a kind that no job hands back.
    """
    data = pack(value)
    left = memoryview(_HEAD.pack(kind.encode(), len(data)) + data)
    while left:
        left = left[os.write(pipe, left) :]


class _Answer:
    """What a job sends, gathered as it comes: a message that never ends must not hold up the clock.

    Attributes:
        kind: "returned", "raised" or "crashed"; None = not answered.
        value: what came with it.
        progress: done, total and a word, as told last; None = nothing new.
        megabytes: that the job may take at the moment to open a file; 0 = no such limit.
        ended: whether nothing more can come.
    """

    def __init__(self, pipe: int, kinds: Any) -> None:
        self._pipe, self._kinds, self._held = pipe, kinds, bytearray()
        self.kind: str | None = None
        self.value: Any = None
        self.progress: tuple[int, int, str] | None = None
        self.megabytes = 0
        self.ended = False

    def gather(self, seconds: float) -> None:
        """Wait for something to come, so long at most, and take it.

        Raises:
            ConversionError: it is nothing that a job sends.
        """
        if not select.select([self._pipe], [], [], seconds)[0]:
            return
        data = os.read(self._pipe, _CHUNK_BYTES)
        self.ended = not data
        self._held += data
        while len(self._held) >= _HEAD.size and not self.ended:
            name, size = _HEAD.unpack_from(self._held)
            if size > _MOST_MESSAGE_BYTES:
                raise misbehaved(f"at most {_MOST_MESSAGE_BYTES // 1_000_000} MB", f"{size // 1_000_000} MB")
            if len(self._held) < _HEAD.size + size:
                return
            message = bytes(self._held[_HEAD.size : _HEAD.size + size])
            del self._held[: _HEAD.size + size]
            try:
                self._take(name.rstrip(b"\0"), message)
            except (TypeError, ValueError) as error:
                raise misbehaved("a message that it knows", name.decode("latin-1")) from error

    def _take(self, name: bytes, message: bytes) -> None:
        if name == b"returned":
            self._end("returned", unpack(message, self._kinds))
            return
        value = unpack(message, ())
        if name == b"raised":
            module, kind, words = value
            self._end("raised", _error(str(module), str(kind), str(words)))
        elif name == b"crashed":
            self._end("crashed", printable(str(value)))
        elif name == b"progress":
            done, total, doing = value
            self.progress = int(done), int(total), printable(str(doing))[:_MOST_SAID]
        elif name == b"memory":
            self.megabytes = int(value)
        elif name == b"walls":
            _warn(printable(str(value)))
        else:
            raise ValueError(name)

    def _end(self, kind: str, value: Any) -> None:
        self.kind, self.value, self.ended = kind, value, True


def _error(module: str, name: str, words: str) -> EdgeError:
    """Make the error that a job raised; one of no known class becomes a ConversionError."""
    kind = getattr(sys.modules.get(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, EdgeError)):
        kind = ConversionError
    return kind(words)


@functools.cache
def _warn(complaint: str) -> None:
    """Say once in a command that some wall is missing."""
    if complaint:
        print(f"converters: {complaint}", file=sys.stderr, flush=True)


def _await(child: Any, answer: _Answer, limits: Limits, what: str) -> None:
    """Gather what the child sends until it has answered or is gone."""
    until = time.monotonic() + limits.seconds
    with _Bar(what) as shown:
        while not answer.ended:
            answer.gather(_WATCH_S)
            if answer.progress is not None:
                shown.show(*answer.progress)
                answer.progress = None
            if answer.kind is None and time.monotonic() > until:
                raise ConversionError(
                    f"{what}: want an end within {limits.seconds:.0f} s, got none; raise --time-limit"
                )
            if answer.kind is None and _resident_mb(child.pid) > limits.megabytes:
                raise ConversionError(
                    f"{what}: want at most {limits.megabytes:.0f} MB of memory, got more; raise --memory-limit, "
                    "or give fewer calibration inputs"
                )
            shown.tick()
    if answer.kind is None:
        child.join(5)


class _Bar:
    """A progress bar on a terminal, from the second second on."""

    def __init__(self, what: str) -> None:
        tqdm.set_lock(threading.RLock())  # its own is one of multiprocessing, which warns of itself at the end
        self._bar: Any = bar(desc=what, delay=2, bar_format="{desc} {bar:24} {elapsed} {postfix}")

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


def exit_reason(exit_code: int | None, megabytes: int = 0) -> str:
    """Say how a child ended that did not answer.

    Args:
        exit_code: of the process; below 0, the signal that ended it.
        megabytes: that it was allowed to open a file at that moment; 0 = it was not opening one.
    """
    if exit_code in (-signal.SIGSEGV, -signal.SIGABRT) and megabytes:
        return sandbox.memory_complaint(megabytes)
    if exit_code == -signal.SIGSEGV:
        return "the converter died of a segmentation fault, a defect of TensorFlow or the runtime with this model"
    if exit_code == -signal.SIGKILL:
        return "the converter was killed, most likely because the machine ran out of memory"
    if exit_code is not None and exit_code < 0:
        return f"the converter was ended by {signal.Signals(-exit_code).name}"
    return f"the converter ended with code {exit_code} and no answer"


def log_tail(log: Path) -> str:
    """Return the end of what a child and its libraries printed, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_BYTES))
            text = file.read().decode("utf-8", "replace").strip()[-_SHOWN:]
    except OSError:
        text = ""
    text = re.sub(r"(?<![\w.])/(?:[^\s/:'\"]+/)+", "", text)  # names of files, not where they lie on this machine
    return f"its log ends: {printable(' | '.join(text.splitlines()[-3:]))}" if text else "try another variant"
