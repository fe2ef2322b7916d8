"""The short form of `make fuzz`, and proof that it would find what it looks for."""

import time
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.__main__ import Run, cases_of
from tests.fuzz.case import Attempt, Outcome
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutate import dump_message, dump_tree, mutate_message, mutate_tree, parse_message, parse_tree
from tests.fuzz.oracle import faults

SEED = 7
FORKED, KERAS = 120, 16
"""Mutations of four kinds together, and of Keras files, each of which needs a process with TensorFlow in it."""
ATTEMPT = Attempt("x", "edge", ())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(SEED, tmp_path_factory.mktemp("fuzz"), None)
    run.prepare(list(KINDS))
    return run


@pytest.mark.parametrize(("kinds", "mutations"), [([k for k in KINDS if k != "keras"], FORKED), (["keras"], KERAS)])
def test_a_damaged_input_opens_or_is_refused_in_a_sentence(run: Run, kinds: list[str], mutations: int) -> None:
    left = run.run(cases_of(kinds, mutations, SEED, ()), time.monotonic() + 600, 2)
    assert not run.failures, run.report()
    assert not left
    assert sum(run.counts[kind, "run"] for kind in kinds) == mutations
    assert all(run.counts[kind, "answered"] for kind in kinds)


@pytest.mark.parametrize(
    ("outcome", "column"),
    [
        (Outcome(code=1, raised="KeyError: 'x'"), "tracebacks"),
        (Outcome(signal=11), "tracebacks"),
        (Outcome(code=3, err="converters: opening: want an answer, got an unforeseen KeyError: 'x'\n"), "tracebacks"),
        (Outcome(code=0, peak_mb=1200), "memory"),
        (Outcome(code=3, err="edge: want less, got 'Unable to allocate 9 GiB'\n"), "memory"),
        (Outcome(code=0, seconds=20.5), "time"),
        (Outcome(code=1, err="edge: want x\n"), "other"),
        (Outcome(code=3, err="edge: want x\nand more\n"), "other"),
        (Outcome(code=3), "other"),
        (Outcome(code=0, err="edge: want x\n"), "other"),
        (Outcome(code=3, err="edge: want \x1b[2J\n"), "other"),
        (Outcome(code=0, out="\u202ename\n"), "other"),
        (Outcome(code=3, err=f"edge: {'x' * 3000}\n"), "other"),
        (Outcome(code=3, err="edge: want x\n", left=["tmp/edge-job-1/stderr"]), "other"),
        (Outcome(code=0, processes=1), "other"),
    ],
)
def test_what_is_wrong_is_seen(outcome: Outcome, column: str) -> None:
    assert [found for found, _ in faults(ATTEMPT, outcome, 100.0)] == [column]


def test_what_is_right_is_left_alone() -> None:
    table = "stage, ms   count\nmatch      6   0.1\n6 frames in 0.1 s (60/s)\n"
    for outcome in (Outcome(code=0, peak_mb=1100), Outcome(code=3, err="edge: want x, got y; do z\n"),
                    Outcome(code=4, err=f"WARNING: a.png: want x; it is skipped\n{table}edge: lost\n")):  # fmt: skip
        assert faults(ATTEMPT, outcome, 100.0) == []


HURT = """
import os, signal, sys, time
import numpy as np
import tests.fuzz.worker as worker

def hurt(arguments):
    if arguments[0] == "raise":
        return {}["x"]
    if arguments[0] == "memory":
        np.ones(1_600 * 2**17).sum()
    if arguments[0] == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if arguments[0] == "leave":
        open("left", "w").close()
    if arguments[0] == "fork" and not os.fork():
        time.sleep(30)
    print("edge: want x, got y; do z", file=sys.stderr)
    return 3

worker.ENTRIES["hurt"] = hurt
worker.WARM = ()
worker.main()
"""


@pytest.mark.parametrize(
    ("how", "columns"),
    [("nothing", []), ("raise", ["tracebacks"]), ("memory", ["memory"]), ("crash", ["tracebacks"]),
     ("leave", ["other"]), ("fork", ["other"])],
)  # fmt: skip
def test_a_worker_tells_what_happens_in_it(tmp_path: Path, how: str, columns: list[str], hurting: list[str]) -> None:
    from tests.fuzz.watch import Worker

    worker = Worker(tmp_path, forked=True, command=hurting)
    try:
        attempt = Attempt("x", "hurt", (how,))
        found = faults(attempt, worker.run(attempt, 100.0), 100.0)
    finally:
        worker.close()
    assert [column for column, _ in found] == columns


@pytest.fixture
def hurting(tmp_path: Path) -> list[str]:
    import sys

    (tmp_path / "hurt.py").write_text(HURT)
    return [sys.executable, str(tmp_path / "hurt.py")]


def test_a_case_is_the_same_whenever_it_is_made() -> None:
    tree = '{"a": [1, 2.5, "x"], "b": {"c": null}}'
    made = set()
    for _ in range(2):
        trees = [parse_tree(tree) for _ in range(50)]
        said = [mutate_tree(one, Random(number)) for number, one in enumerate(trees)]
        made.add((tuple(map(dump_tree, trees)), tuple(said)))
    assert len(made) == 1
    first = cases_of(["bundles", "films"], 20, 3, ())
    assert cases_of(["bundles", "films"], 200, 3, ["films:7"]) == [case for case in first if case.name == "films:7"]


def test_a_tree_and_a_message_are_written_as_they_were_read() -> None:
    twice = '{"a": 1, "a": [true, null, {}]}'
    assert dump_tree(parse_tree(twice)) == twice
    message = dump_message([(1, 0, 300), (2, 2, dump_message([(5, 2, b"text")])), (3, 5, b"abcd")])
    assert dump_message(parse_message(message) or []) == message
    assert all(mutate_message(message, Random(number))[0] != message for number in (1, 2, 3))
