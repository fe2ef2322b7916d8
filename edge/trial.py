"""A bundle tried in a process of its own: what a damaged or crafted model does to a runtime costs one sentence.

A runtime may die of a segmentation fault, never end, or take all memory over a file that only looks like a model. The
loop opens what was installed; `edge bundle install` and `edge bundle verify` open it here first.
"""

import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from edge.bar import waiting
from edge.errors import BundleError, EdgeError
from edge.model import open_model
from edge.redact import printable

SECONDS = 300.0
"""Opening takes one at most, but where TensorRT builds its engine: minutes on a Jetson."""
MEMORY_BYTES = 4_000_000_000
"""Of data, beside what is mapped from files; the largest model here takes 0.3 * 10^9."""


def try_bundle(path: Path, seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> str:
    """Open and prove a bundle in a child process, as `edge.model.open_model` does.

    Args:
        path: the bundle's folder.
        seconds: of wall time and of processor time that it may take.
        memory_bytes: of data that it may hold.

    Returns:
        What ran it: runtime, version and what executes the model.

    Raises:
        BundleError: it cannot be read, loaded or trusted, or the process died or had to be stopped.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(path, seconds, memory_bytes, there), daemon=True)
    child.start()
    there.close()
    try:
        with waiting(f"trying {printable(path.name)}"):
            here_in_time = here.poll(seconds)
        if not here_in_time:
            raise BundleError(f"bundle {path}: {_died(f'none within {seconds:.0f} s')}")
        answer, error = here.recv()
    except (EOFError, OSError) as ended:
        child.join()
        raise BundleError(f"bundle {path}: {_died(_how(child.exitcode or 0))}") from ended
    finally:
        here.close()
        child.kill()
        child.join()
    if error is not None:
        raise error
    return str(answer)


def _child(path: Path, seconds: float, memory_bytes: int, parent: Connection) -> None:
    """Open and prove; runs in a process of its own, in silence: the last words of a dying runtime help nobody."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    processor = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit_data(memory_bytes)
    try:
        with open_model(path, None, threads=1) as model:
            answer = (model.backend.description, None)
    except EdgeError as error:
        parent.send(("", error))
        return
    parent.send(answer)
    parent.close()


def _limit_data(memory_bytes: int) -> None:
    """Limit what the process may allocate; a limit that is lower already stays."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most == resource.RLIM_INFINITY or most > memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))


def _died(how: str) -> str:
    return f"want an answer of the runtime, got {how}; do not use it here, take another variant or convert it again"


def _how(code: int) -> str:
    """Say how a child ended."""
    if code == -signal.SIGSEGV:
        return "a segmentation fault"
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return "an end by the limit on time or memory"
    if code < 0:
        return f"an end by {signal.Signals(-code).name}"
    return f"an end with code {code}"
