"""The short form of `make mistakes`, and proof that it would find what it looks for."""

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge.cli import _run_parser
from edge.config import Config, Track
from edge.errors import ConfigError
from tests.mistakes import judge, words
from tests.mistakes.__main__ import KINDS, SINKS
from tests.mistakes.judge import Case, judged
from tests.mistakes.world import make_world, without_privilege

ROOT = Path(__file__).parents[2]
MISTAKES = 240
ODD_SINKS = 315
"""Seven kinds of output, and 35 odd paths behind each; `video:` and `png:` also with the suffix that they want."""


def test_a_mistake_is_answered_in_one_sentence() -> None:
    """In a process of its own: what FFmpeg says depends on what it was told when its first film was opened."""
    words = [
        sys.executable,
        "-m",
        "tests.mistakes",
        "--seed",
        "7",
        "--count",
        str(MISTAKES),
        "--kind",
        ",".join((*KINDS, SINKS)),
    ]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert f"0 of {MISTAKES + ODD_SINKS} answered wrongly" in done.stdout


def said(*lines: str, code: int) -> Callable[[Sequence[str]], int]:
    def run(_: Sequence[str]) -> int:
        for line in lines:
            os.write(2, f"{line}\n".encode())
        return code

    return run


def raises(_: Sequence[str]) -> int:
    raise KeyError("x")


def leaves(_: Sequence[str]) -> int:
    raise SystemExit(2)


def hangs(_: Sequence[str]) -> int:
    time.sleep(5)
    return 2


def warns(_: Sequence[str]) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.warning("picture x: want a whole picture; it is skipped")
    print("edge: want x, got y; do z", file=sys.stderr)
    return 4


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (raises, "KeyError: 'x' [test_mistakes.py"),
        (leaves, "SystemExit: 2"),
        (hangs, "no answer within 1 s"),
        (said("Traceback (most recent call last):", "KeyError: 'x'", code=2), "a traceback: KeyError"),
        (said(code=0), "exit code 0"),
        (said("edge: want x", code=1), "exit code 1"),
        (said("edge: want x", code=6), "exit code 6"),
        (said(code=2), "0 sentences"),
        (said("edge: want x", "edge: want y", code=2), "2 sentences"),
        (said("libpng error: IDAT", "edge: want x", code=2), "said beside the sentence: 'libpng error"),
        (said("usage: edge", "edge: want x", code=2), "said beside the sentence: 'usage: edge'"),
        (said("edge: want \x1b[2J", code=2), "no sentence for a terminal"),
        (said(f"edge: {'x' * 2000}", code=2), "no sentence for a terminal"),
    ],
)
def test_a_wrong_answer_is_seen(
    run: Callable[[Sequence[str]], int], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "SECONDS", 1)
    assert judged(Case("x", run, []), tmp_path).startswith(words)


@pytest.mark.parametrize("run", [warns, *[said("edge: want x, got y; do z", code=code) for code in (2, 3, 4, 5)]])
def test_a_right_answer_is_left_alone(run: Callable[[Sequence[str]], int], tmp_path: Path) -> None:
    assert judged(Case("x", run, []), tmp_path) == ""


def test_a_mistake_that_is_none_may_succeed(tmp_path: Path) -> None:
    assert judged(Case("x", said(code=0), [], harmless=True), tmp_path) == ""


def test_an_output_may_fail_while_others_go_on_but_not_without_a_word(tmp_path: Path) -> None:
    lost = "WARNING: sink jsonl:x: want a place that can be written, got 'Permission denied'"
    assert judged(Case("x", said(lost, code=5), [], harmless=True), tmp_path) == ""
    assert judged(Case("x", said(code=5), [], harmless=True), tmp_path).startswith("exit code 5 without a word why")
    assert judged(Case("x", said(lost, code=5), []), tmp_path).startswith("0 sentences")


def test_every_flag_and_key_is_mistaken() -> None:
    flags = {flag for action in _run_parser()._actions for flag in action.option_strings if flag.startswith("--")}
    assert flags - set(words._RUN_FLAGS) == {"--camera", "--help", "--show", "--version"}
    assert set(words._RUN_FLAGS) < flags
    assert set(words.KEYS) == set(Config.__struct_fields__)
    assert set(words.TRACK) == set(Track.__struct_fields__)


def test_a_case_is_entered_around_its_command(tmp_path: Path) -> None:
    seen = []

    @contextlib.contextmanager
    def around() -> Iterator[None]:
        seen.append(Path.cwd())
        yield

    assert judged(Case("x", said("edge: want x", code=2), [], around=around), tmp_path) == ""
    assert seen == [tmp_path]


def test_rights_bind_root_as_well(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world")
    with without_privilege(), pytest.raises(PermissionError):
        Path(world.odd["secret"]).read_bytes()


def test_rights_are_given_back(tmp_path: Path) -> None:
    with contextlib.suppress(ConfigError), without_privilege():
        raise ConfigError("x")
    (tmp_path / "x").write_text("a")
    (tmp_path / "x").chmod(0)
    if os.geteuid() == 0:
        assert (tmp_path / "x").read_text() == "a"


def test_a_file_is_cut_when_it_is_opened(tmp_path: Path) -> None:
    from edge import limits
    from tests.mistakes.cut import _cutting

    path = tmp_path / "x"
    path.write_bytes(b"a" * 100)
    with _cutting(path, "cut", 0.5, 0):
        assert limits.read_file(path) == b"a" * 50
    with _cutting(path, "gone", 0.5, 0), limits.open_file(path) as file:
        assert not path.exists()
        assert file.read() == b"a" * 50
