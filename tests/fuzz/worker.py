"""A process that runs one case after another: `python -m tests.fuzz.worker`, spoken to in lines of JSON.

It has imported what the commands need. A case whose command does its work in its own process runs in a fork, so that
a crash is that case's alone; a command that starts processes by itself is called here.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import resource
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fuzz import calibrate

WARM = ("cv2", "edge.cli", "edge.commands", "converters.cli", "converters.readers", "onnxruntime",
        "ai_edge_litert.interpreter")  # fmt: skip
ROOT = Path(__file__).parents[2]

_SPACE = 12 * 2**30
"""Bytes of addresses that a case may add: far more than it may use, so that the machine lives and nobody is excused."""
_SUBREAPER = 36


def _edge(arguments: list[str]) -> int:
    from edge.cli import main_edge

    return main_edge(arguments)


def _edge_run(arguments: list[str]) -> int:
    from edge.cli import main_run

    return main_run(arguments)


def _converters(arguments: list[str]) -> int:
    from converters.cli import main

    return main(arguments)


ENTRIES: dict[str, Callable[[list[str]], int]] = {
    "edge": _edge,
    "edge-run": _edge_run,
    "converters": _converters,
    "calibrate": calibrate.main,
}


def main() -> None:
    """Answer requests until the input ends."""
    asked, answers = os.fdopen(os.dup(0), "r"), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    _adopt_orphans()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for name in WARM:
        importlib.import_module(name)
    resource.setrlimit(resource.RLIMIT_AS, (_addresses() + _SPACE, resource.RLIM_INFINITY))
    _say(answers, {"ready": True})
    for line in asked:
        request = json.loads(line)
        if request["forked"]:
            _say(answers, _forked(request))
            _bury_orphans()
        else:
            _say(answers, _called(request))


def _say(answers: Any, answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _adopt_orphans() -> None:
    """Become the parent of processes whose own has died, so that they are found."""
    import ctypes

    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _bury_orphans() -> None:
    """Let processes that ended under this one go."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _addresses() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _forked(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a case in a fork, and say how it ended."""
    said = Path(request["words"])
    child = os.fork()
    if not child:
        code = 70
        try:
            os.setpgid(0, 0)
            _point(request)
            with said.open("w") as file:
                faulthandler.enable(file)
                answer = _call(request)
                if "raised" in answer:
                    file.write(json.dumps(answer))
                    file.flush()
                code = answer["code"]
        finally:
            os._exit(code)
    _, status, used = os.wait4(child, 0)
    answer = {"peak_mb": used.ru_maxrss / 1024}
    text = said.read_text("utf-8", "replace") if said.exists() else ""
    if os.WIFSIGNALED(status):
        where = [line.strip() for line in text.splitlines() if line.strip().startswith("File ")]
        return answer | {"signal": os.WTERMSIG(status), "place": _ours(where)}
    if text.startswith("{"):
        answer |= json.loads(text)
    return answer | {"code": os.WEXITSTATUS(status)}


def _ours(frames: list[str]) -> str:
    """Return the innermost line of faulthandler's that is the project's own."""
    return next(
        (line for line in frames if str(ROOT) in line and "tests/fuzz" not in line), frames[0] if frames else ""
    )


def _called(request: Mapping[str, Any]) -> dict[str, Any]:
    """Run a case here."""
    screen = os.dup(1), os.dup(2)
    _point(request)
    try:
        return _call(request)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, kept in enumerate(screen, start=1):
            os.dup2(kept, number)
            os.close(kept)


def _point(request: Mapping[str, Any]) -> None:
    """Send what the case says to its files."""
    os.chdir(request["home"])
    for number, name in ((1, "out"), (2, "err")):
        target = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
        os.close(target)


def _call(request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        code = ENTRIES[request["entry"]](list(request["arguments"]))
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as end:
        return {"code": end.code if isinstance(end.code, int) else 1}
    except BaseException as error:  # noqa: BLE001 - finding any is what this is for
        words = traceback.format_exception_only(error)[-1].strip().splitlines() or [type(error).__name__]
        return {"code": 1, "raised": words[0][:300], "place": _place(error.__traceback__)}
    return {"code": code}


def _place(trace: TracebackType | None) -> str:
    """Return the innermost line of the project in a traceback."""
    frames = [frame for frame in traceback.extract_tb(trace) if str(ROOT) in frame.filename]
    frames = [frame for frame in frames if "tests/fuzz/worker" not in frame.filename]
    if not frames:
        return ""
    last = frames[-1]
    return f"{Path(last.filename).relative_to(ROOT)}:{last.lineno} {last.name}"


if __name__ == "__main__":
    main()
