"""What a case is, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

Entry = str
"""Which command: a key of `worker.ENTRIES`."""


@dataclass(frozen=True)
class Attempt:
    """A command and its input.

    Attributes:
        form: kind of input and command; what is measured with the whole input of a form is the measure of its cases.
        entry: which command.
        arguments: its words.
        change: what was done to the input; "" = it is whole.
        writes: regular expression of the files, from the worker's place, that the command leaves when it succeeds.
    """

    form: str
    entry: Entry
    arguments: tuple[str, ...]
    change: str = ""
    writes: str = ""


class Kind(Protocol):
    """One kind of input, a module of `tests.fuzz.kinds`.

    Attributes:
        FORMS: form -> how many of its cases there are among 100.
        FORKED: True where each case runs in a fork of the worker; False where the command starts a process itself.
    """

    FORMS: Mapping[str, int]
    FORKED: bool

    def whole(self, form: str, originals: Path, folder: Path) -> Attempt:
        """Put a whole input into an empty folder."""
        ...

    def mutated(self, form: str, originals: Path, folder: Path, random: Random) -> Attempt:
        """Put a changed input into an empty folder."""
        ...


@dataclass(frozen=True)
class Case:
    """One case of a run.

    Attributes:
        kind: name of its kind.
        number: from 0; -1 for a whole input.
        form: see `Attempt`.
    """

    kind: str
    number: int
    form: str

    @property
    def name(self) -> str:
        """What `--only` takes."""
        return f"{self.kind}:{self.number}" if self.number >= 0 else f"{self.kind}:{self.form}, whole"


@dataclass
class Outcome:
    """What was seen of a case.

    Attributes:
        code: exit code; None where there is none.
        signal: that ended the process; 0 = none.
        raised: last line of a traceback; "" = none.
        place: file, line and function of it.
        seconds: of wall time.
        peak_mb: most resident memory of one process of the case.
        out: standard output.
        err: standard error.
        left: files that were not there before, or are no longer what they were.
        processes: that outlived the case.
        stopped: why the watcher ended it; "" = it ended by itself.
    """

    code: int | None = None
    signal: int = 0
    raised: str = ""
    place: str = ""
    seconds: float = 0.0
    peak_mb: float = 0.0
    out: str = ""
    err: str = ""
    left: list[str] = field(default_factory=list)
    processes: int = 0
    stopped: str = ""

    def learn(self, answer: Mapping[str, Any]) -> None:
        """Take over what the worker says."""
        for name in ("code", "signal", "raised", "place"):
            if name in answer:
                setattr(self, name, answer[name])
        self.peak_mb = max(self.peak_mb, answer.get("peak_mb", 0.0))
