"""One command run in this process, and what is wrong with its answer."""

import contextlib
import io
import logging
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from edge.errors import OutputError

SECONDS = 10
"""A mistake is answered in less; so long also counts where the machine is busy."""
CODES = (2, 3, 4, 5)

_SENTENCE = re.compile(r"(edge|converters|error): \S.*")
_LOST = re.compile(r"WARNING: sink .+")
"""What a run says of an output that failed while others went on; it then ends with the code of outputs."""
_BESIDE = re.compile(
    r"WARNING: .+|source: .+|models: .+|budget: .+|results: .+|running; .+|connecting to .+|not usable: .+|"
    r"sha256 of the bundle: .+|stage, ms .+|\d+ frames in .+|\d+ frames: .+|"
    r"(capture_wait|decode|preprocess|detect|  model of \w+|embed|match|sinks|frame|age of result) +\d.*"
)
"""Lines that belong to a run."""


@dataclass
class Case:
    """A command with a mistake in it.

    Attributes:
        name: what was done wrong.
        run: the command; returns its exit code.
        arguments: its words.
        harmless: True where the mistake may turn out to be none, so that the command may succeed.
        around: entered around the command: cuts a file while it is read, for one.
    """

    name: str
    run: Callable[[Sequence[str]], int]
    arguments: list[str]
    harmless: bool = False
    around: Callable[[], contextlib.AbstractContextManager[None]] = field(default=contextlib.nullcontext)


class _TooLongError(BaseException):
    """Raised by the alarm; no command catches it."""


def judged(case: Case, folder: Path) -> str:
    """Run a case in a folder; returns what is wrong with its answer, "" = nothing."""
    raised, code = "", -1
    with _captured(folder) as said:
        try:
            with case.around():
                code = case.run(case.arguments)
        except _TooLongError:
            raised = f"no answer within {SECONDS} s"
        except BaseException as error:  # noqa: BLE001 - whatever comes out of a command is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            raised = f"{type(error).__name__}: {error} [{place.filename.rsplit('/', 2)[-1]}:{place.lineno}]"
    return raised or _wrong(case, code, said.getvalue())


def _wrong(case: Case, code: int, said: str) -> str:
    if "Traceback (most recent call last)" in said:
        return f"a traceback: {said.strip().splitlines()[-1]}"
    lines = [line for line in said.split("\n") if line]
    sentences = [line for line in lines if _SENTENCE.fullmatch(line)]
    strangers = [line for line in lines if line not in sentences and not _BESIDE.fullmatch(line)]
    if strangers:
        return f"said beside the sentence: {strangers[0][:300]!a}"
    if code == 0 and case.harmless and not sentences:
        return ""
    if code == OutputError.exit_code and case.harmless and not sentences:
        return "" if any(map(_LOST.fullmatch, lines)) else f"exit code {code} without a word why: {said[-300:]!a}"
    if code not in CODES:
        return f"exit code {code}: {said[-300:]!a}"
    if len(sentences) != 1:
        return f"{len(sentences)} sentences: {said[-600:]!a}"
    if not sentences[0].isprintable() or len(sentences[0]) > 1500:
        return f"no sentence for a terminal: {sentences[0][:300]!a}"
    return ""


@contextlib.contextmanager
def _captured(folder: Path) -> Iterator[io.StringIO]:
    """Run in a folder with both outputs led to files; the text of standard error is there afterwards."""
    text = io.StringIO()
    before = Path.cwd()
    kept = os.dup(1), os.dup(2)
    streams, handlers = (sys.stdout, sys.stderr), logging.root.handlers[:]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        logging.root.handlers.clear()
        sys.stdout, sys.stderr = (os.fdopen(os.dup(n), "w", errors="backslashreplace") for n in (1, 2))
        old = signal.signal(signal.SIGALRM, _ring)
        signal.alarm(SECONDS)
        try:
            os.chdir(folder)
            yield text
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, old)
            for stream in (sys.stdout, sys.stderr):
                stream.close()
            sys.stdout, sys.stderr = streams
            logging.root.handlers[:] = handlers
            for number, descriptor in enumerate(kept, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.chdir(before)
            err.seek(0)
            text.write(err.read().decode("utf-8", "backslashreplace"))


def _ring(_: int, __: FrameType | None) -> None:
    raise _TooLongError
