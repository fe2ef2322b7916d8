"""A bundle tried in a process of its own: how the process ends decides what is said, and nothing of it reaches here."""

import os
import signal
from pathlib import Path

import pytest

from edge import trial
from edge.bundle import Bundle
from edge.errors import BundleError
from edge.trial import try_bundle
from tests.conftest import fake_bundle, seal


def test_a_whole_bundle_is_run(detector: Bundle) -> None:
    assert try_bundle(detector.path) == "fake, blobs"


def test_an_error_of_the_child_is_told_as_it_is(detector: Bundle) -> None:
    detector.model_path.write_text('{"program": "none"}')
    seal(detector.path)
    with pytest.raises(BundleError, match="want a program of"):
        try_bundle(detector.path)


def test_a_model_without_end_is_stopped(tmp_path: Path) -> None:
    slow = fake_bundle(tmp_path, "embed")
    slow.model_path.write_text('{"program": "mean_colors", "busy_ms": 60000}')
    seal(slow.path)
    with pytest.raises(BundleError, match=r"none within 3 s|limit on time"):
        try_bundle(slow.path, seconds=3)


def test_a_model_that_takes_all_memory_is_stopped(detector: Bundle) -> None:
    with pytest.raises(BundleError, match=r"bundle that can be opened, got|an end") as caught:
        try_bundle(detector.path, memory_bytes=40_000_000)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (-signal.SIGSEGV, "a segmentation fault"),
        (-signal.SIGKILL, "limit on time or memory"),
        (-signal.SIGABRT, "SIGABRT"),
        (7, "code 7"),
    ],
)
def test_how_a_process_ended(code: int, says: str) -> None:
    assert says in trial._how(code)


def _crash(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_segmentation_fault_is_one_sentence(detector: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_child", _crash)
    with pytest.raises(BundleError, match=f"bundle {detector.path}: want an answer of the runtime, got a segmentation"):
        try_bundle(detector.path)


class _WhenUnpickled:
    def __reduce__(self) -> tuple[object, ...]:
        return Path("unpickled").touch, ()


def _send_a_pickle(*arguments: object) -> None:
    arguments[-1].send(_WhenUnpickled())  # type: ignore[attr-defined]


def test_what_a_child_that_was_taken_over_sends_is_data(
    detector: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trial, "_child", _send_a_pickle)
    with pytest.raises(BundleError, match="got something else"):
        try_bundle(detector.path)
    assert not (tmp_path / "unpickled").exists()
