"""Makes files of the corpus, has them opened, and says what they did."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hostile.bait import Watch
from tests.hostile.case import Case

ROOT = Path(__file__).parents[2]
_ALWAYS = re.compile(
    r"/home/\.(cache|config)(/|$)|/home/\.keras(/keras\.json)?$|/tmp/(pymp-|edge-job-|__autograph_generated)|/careless"
)
"""What libraries and the forkserver write whatever is opened."""
_ENDED = '{"end": "ended", "type": "", "text": ""}'
HONEST_FILE = "honest"
"""The bait that lies beside files which are not hostile."""
_SHOWN = 250
_ANYWHERE = "anywhere"
"""The bait of whoever fetches from an address that is none of ours: a proxy that answers nothing."""


@dataclass(frozen=True)
class Outcome:
    """What came of opening a file.

    Attributes:
        end: "refused" by a sentence, "opened", "crashed" by another exception, "died", "hung".
        type: class of the exception.
        text: its words, or what was said of the file.
        did: what was done to the bait, and files that are new where none should be.
    """

    end: str
    type: str
    text: str
    did: frozenset[str] = field(default=frozenset())


class Range:
    """A place to shoot in: private folders, bait for each file, and a process that opens files."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.files = folder / "files"
        self._private = [folder / "home", folder / "tmp", folder / "cwd"]
        for made in (self.files, *self._private):
            made.mkdir(parents=True)
        self.watch = Watch(folder / "bait", [*names, HONEST_FILE, _ANYWHERE])
        proxy = f"http://{self.watch.baits[_ANYWHERE].address}"
        home, temporary, working = self._private
        self._installed = home / "edge-run"
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "LD_LIBRARY_PATH")}
        environment = {
            **kept, "HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT), "XDG_DATA_HOME": str(home),
            "http_proxy": proxy, "https_proxy": proxy, "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "ORT_DISABLE_TELEMETRY": "1",
            "KERAS_BACKEND": "tensorflow",
        }  # fmt: skip
        self._log = (folder / "log").open("w")
        self._runner = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.runner"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=working, env=environment,
        )  # fmt: skip

    def make(self, case: Case) -> Path:
        """Write a file of the corpus."""
        folder = self.files / case.name
        folder.mkdir()
        return case.make(folder, self.watch.baits[case.name])

    def open(self, case: Case, path: Path, how: str, seconds: float = 60) -> Outcome:
        """Have a file opened."""
        for name in (case.name, _ANYWHERE):
            self.watch.renew(name)
        shutil.rmtree(self._installed, ignore_errors=True)
        before = self._tree(case)
        task = {"how": how, "kind": case.kind, "proof": case.proof, "path": str(path), "seconds": seconds}
        answer = self._ask(task)
        did = self.watch.seen(case.name) | self.watch.seen(_ANYWHERE) | self._left(before, how, case)
        return Outcome(answer["end"], answer["type"], answer["text"], frozenset(did))

    def open_many(self, files: Sequence[tuple[Case, Path]], seconds: float = 60) -> list[Outcome]:
        """Have files opened one after the other in one child without a fence, where that goes."""
        cases = [case for case, _ in files]
        for name in (*(case.name for case in cases), _ANYWHERE):
            self.watch.renew(name)
        shutil.rmtree(self._installed, ignore_errors=True)
        before = self._tree(*cases)
        asked = {"how": "batch", "files": [[case.kind, str(path)] for case, path in files], "seconds": seconds}
        answer = self._ask(asked)
        if answer["end"] != "opened" or self.watch.seen(_ANYWHERE) or self._left(before, "batch", *cases):
            return [self.open(case, path, "bare", seconds) for case, path in files]  # to know which it was
        answers = [json.loads(line) for line in answer["text"].splitlines()]
        return [
            Outcome(one["end"], one["type"], one["text"], frozenset(self.watch.seen(case.name)))
            for case, one in zip(cases, answers, strict=True)
        ]

    def _ask(self, task: dict[str, Any]) -> dict[str, Any]:
        assert self._runner.stdin is not None
        assert self._runner.stdout is not None
        self._runner.stdin.write(json.dumps(task) + "\n")
        self._runner.stdin.flush()
        answer: dict[str, Any] = json.loads(self._runner.stdout.readline() or _ENDED)
        return answer

    def _left(self, before: set[str], how: str, *cases: Case) -> set[str]:
        """Return what is new where nothing should be."""
        new = self._tree(*cases) - before
        if how != "job":  # without a fence, what lies in TMPDIR is nobody's to remove
            new = {name for name in new if not name.startswith(str(self._private[1]))}
        return {f"left {name}" for name in new if not name.startswith(str(self._installed))}

    def _tree(self, *cases: Case) -> set[str]:
        """List what lies in the private folders and beside the files, without what the libraries always leave."""
        roots = (*self._private, *(self.files / case.name for case in cases))
        found = {path for root in roots for path in root.rglob("*")}
        return {str(path) for path in found if not _ALWAYS.search(str(path))}

    def close(self) -> None:
        """End the process."""
        assert self._runner.stdin is not None
        self._runner.stdin.close()
        self._runner.wait(30)
        self._log.close()
        self.watch.close()


@contextmanager
def shooting_range(folder: Path, names: Sequence[str]) -> Iterator[Range]:
    """Open a `Range`, and close it."""
    made = Range(folder, names)
    try:
        yield made
    finally:
        made.close()


def _print_all() -> None:
    """`python -m tests.hostile.drive HOW FOLDER [PART-OF-A-NAME]...`: open files of the corpus."""
    from tests.hostile.corpus import CASES

    how, folder, *words = sys.argv[1:]
    cases = [case for name, case in CASES.items() if not words or any(word in name for word in words)]
    with shooting_range(Path(folder).absolute(), [case.name for case in cases]) as place:
        for case in cases:
            try:
                path = place.make(case)
            except Exception as error:  # noqa: BLE001 - the others are still wanted
                print(case.name, "NOT MADE", type(error).__name__, str(error)[-_SHOWN:], sep=" | ", flush=True)
                continue
            outcome = place.open(case, path, how)
            text = outcome.text.strip()
            said = text if outcome.end != "opened" else text.splitlines()[-1] if text else ""
            odd = how == "prove" and bool(outcome.did) == bool(case.dud)
            print(case.name, "ODD" if odd else "", outcome.end, outcome.type, sorted(outcome.did), case.dud, sep=" | ")
            print("       ", " ".join(said.split())[-_SHOWN:], flush=True)


if __name__ == "__main__":
    _print_all()
