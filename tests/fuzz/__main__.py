"""`python -m tests.fuzz`: run the mutations of a seed, print the table, and end with 1 if anything is wrong."""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

from tqdm import tqdm

from tests.fuzz import originals
from tests.fuzz.case import Attempt, Case, Outcome
from tests.fuzz.kinds import KINDS
from tests.fuzz.oracle import COLUMNS, SECONDS, faults, is_refusal
from tests.fuzz.watch import Worker
from tests.fuzz.worker import ROOT

_WORKERS = 2


class Run:
    """All cases of one seed.

    Attributes:
        counts: (kind, what) -> how many; what is `run`, `answered`, `opened` or a column of the oracle.
        failures: case, what was changed, and what is wrong.
    """

    def __init__(self, seed: int, folder: Path, keep: Path | None) -> None:
        """Begin with no case.

        Args:
            seed: decides all mutations.
            folder: empty, for originals and workers.
            keep: where inputs that fail are kept; None = nowhere.
        """
        self.counts: Counter[tuple[str, str]] = Counter()
        self.failures: list[tuple[Case, Attempt, list[tuple[str, str]]]] = []
        self._seed, self._folder, self._keep = seed, folder, keep
        self._originals = folder / "originals"
        self._usual_mb: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()
        self._slow: list[Case] = []

    def prepare(self, kinds: Sequence[str]) -> None:
        """Make the whole inputs."""
        originals.make_light(self._originals)
        if {"bundles", "models", "keras"} & set(kinds):
            words = [sys.executable, "-m", "tests.fuzz.originals", str(self._originals)]
            done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
            if done.returncode:
                raise RuntimeError(f"originals: {done.stderr[-2000:]}")

    def run(self, cases: Sequence[Case], until: float, workers: int) -> int:
        """Run cases, the slow ones a second time alone; returns how many were left when the time was up."""
        waiting = iter(cases)
        with tqdm(total=len(cases), unit=" cases", disable=None) as bar, ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(self._work, n, waiting, until, bar) for n in range(workers)]:
                done.result()
        again = iter(sorted(self._slow, key=lambda case: case.name))
        self._slow = []
        self._work(workers, again, float("inf"), None)
        return sum(1 for _ in waiting)

    def _work(self, number: int, waiting: Iterator[Case], until: float, bar: "tqdm[None] | None") -> None:
        """Take cases one after another; runs in a thread."""
        workers: dict[bool, Worker] = {}
        try:
            while time.monotonic() < until:
                with self._lock:
                    case = next(waiting, None)
                if case is None:
                    break
                forked = KINDS[case.kind].FORKED
                if forked not in workers:
                    workers[forked] = Worker(self._folder / f"worker-{number}-{forked}", forked)
                self._one(case, workers[forked], alone=bar is None)
                if bar is not None:
                    bar.update()
        finally:
            for worker in workers.values():
                worker.close()

    def _one(self, case: Case, worker: Worker, alone: bool) -> None:
        usual_mb = self._usual(case, worker)
        attempt, outcome = self._try(case, worker, usual_mb)
        found = faults(attempt, outcome, usual_mb)
        with self._lock:
            if not alone and found and all(column == "time" for column, _ in found):
                self._slow.append(case)
                return
            self.counts[case.kind, "run"] += 1
            self.counts[case.kind, "answered" if is_refusal(outcome) else "opened"] += not found
            for column in {column for column, _ in found}:
                self.counts[case.kind, column] += 1
            if found:
                self.failures.append((case, attempt, found))
        if found and self._keep is not None:
            target = self._keep / case.name.replace(":", "-")
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(worker.case, target)
            (target / "command.txt").write_text(f"{attempt.entry} {' '.join(attempt.arguments)}\n{outcome}\n")

    def _try(self, case: Case, worker: Worker, usual_mb: float | None) -> tuple[Attempt, Outcome]:
        kind = KINDS[case.kind]
        worker.clear()
        if case.number < 0:
            attempt = kind.whole(case.form, self._originals, worker.case)
        else:
            random = Random(f"{self._seed}:{case.name}")
            attempt = kind.mutated(case.form, self._originals, worker.case, random)
        return attempt, worker.run(attempt, usual_mb)

    def _usual(self, case: Case, worker: Worker) -> float:
        """Return the peak of the form's whole input, which must open."""
        key = case.kind, case.form
        if key not in self._usual_mb:
            whole = Case(case.kind, -1, case.form)
            for _ in range(2):  # the first one of a worker starts what the next ones find running
                attempt, outcome = self._try(whole, worker, None)
            found = faults(attempt, outcome, outcome.peak_mb)
            if found or is_refusal(outcome):
                raise RuntimeError(f"{whole.name}: want a whole input to open, got {found}: {outcome}")
            self._usual_mb[key] = outcome.peak_mb
        return self._usual_mb[key]

    def table(self) -> str:
        """Return kind x what was seen."""
        names = ("run", "answered", "opened", *COLUMNS)
        lines = [f"{'kind':<10}" + "".join(f"{name:>12}" for name in names)]
        kinds = [kind for kind in KINDS if self.counts[kind, "run"]]
        lines += [f"{kind:<10}" + "".join(f"{self.counts[kind, name]:>12}" for name in names) for kind in kinds]
        totals = [sum(self.counts[kind, name] for kind in kinds) for name in names]
        lines.append(f"{'all':<10}" + "".join(f"{total:>12}" for total in totals))
        return "\n".join(lines)

    def report(self) -> str:
        """Return one line a failure, by kind and number."""
        lines = []
        for case, attempt, found in sorted(self.failures, key=lambda failure: (failure[0].kind, failure[0].number)):
            faulty = "; ".join(f"{column}: {words}" for column, words in found)
            lines.append(f"{case.name} (seed {self._seed}, {attempt.form}; {attempt.change}): {faulty}")
        return "\n".join(ascii(line)[1:-1] if not line.isprintable() else line for line in lines)


def cases_of(kinds: Sequence[str], mutations: int, seed: int, only: Sequence[str]) -> list[Case]:
    """List the cases, kinds in turn, so that time that runs out is taken from all of them alike."""
    numbers = range(max([int(name.partition(":")[2]) + 1 for name in only] or [-(-mutations // len(kinds))]))
    cases = [Case(kind, number, _form(kind, number, seed)) for number in numbers for kind in kinds]
    return [case for case in cases if not only or case.name in only][: mutations or None]


def _form(kind: str, number: int, seed: int) -> str:
    forms = KINDS[kind].FORMS
    return Random(f"{seed}:{kind}:{number}:form").choices(list(forms), list(forms.values()))[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, default=1, metavar="N", help="decides all mutations (default: %(default)s)")
    add("--mutations", type=int, default=2000, metavar="N", help="of all kinds together (default: %(default)s)")
    add("--minutes", type=float, default=10, metavar="X", help="after which no new case begins (default: %(default)s)")
    add("--kind", default=",".join(KINDS), metavar="A,B", help="(default: %(default)s)")
    add("--only", default="", metavar="KIND:N,...", help="these cases alone")
    add("--keep", type=Path, metavar="DIR", help="keep what fails")
    add("--workers", type=int, default=_WORKERS, metavar="N", help="at the same time (default: %(default)s)")
    flags = parser.parse_args(arguments)
    only = [name for name in flags.only.split(",") if name]
    kinds = [kind for kind in KINDS if kind in ({name.partition(":")[0] for name in only} or flags.kind.split(","))]
    if not kinds:
        parser.error(f"--kind: want some of {','.join(KINDS)}, got '{flags.kind}'")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-fuzz-", ignore_cleanup_errors=True) as folder:
        run = Run(flags.seed, Path(folder), flags.keep)
        run.prepare(kinds)
        cases = cases_of(kinds, flags.mutations, flags.seed, only)
        left = run.run(cases, begin + 60 * flags.minutes, flags.workers)
    if run.failures:
        print(run.report())
    print(run.table())
    late = f"; {left} not begun, the time was up" if left else ""
    print(f"seed {flags.seed}, {time.monotonic() - begin:.0f} s{late}; over {SECONDS:.0f} s counts when alone, too")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
