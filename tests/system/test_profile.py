"""`edge profile`: a real process measures a bundle of the fake runtime, whose time is known."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.bundle import Bundle, read_bundle
from edge.bundle_profile import FRAME_SHAPE, thread_counts
from edge.machine import describe, explain_throttled, heat
from tests.conftest import fake_bundle

ROOT = Path(__file__).parents[2]
CODE = "import sys\nfrom edge.cli import main_edge\nif __name__ == '__main__':\n    sys.exit(main_edge())"


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", CODE, "profile", *map(str, words)]


def profile(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture
def slow(tmp_path: Path) -> Bundle:
    return fake_bundle(tmp_path / "bundles", "detect", busy_ms=5)


def test_the_figures_are_those_of_the_model_and_lie_beside_its_folder(slow: Bundle) -> None:
    place = slow.path.parent
    before = {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    done = profile(slow.path, "--runs", 20)
    assert done.returncode == 0, done.stderr
    after = {path.name: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    (name,) = set(after) - set(before)
    assert name.startswith("fake-detect.profile-")
    assert (place / name).is_file()
    assert {key: after[key] for key in before} == before
    assert read_bundle(slow.path).manifest == slow.manifest
    written = json.loads(after[name])
    assert [row["threads"] for row in written["results"]] == thread_counts(len(os.sched_getaffinity(0)))
    for row in written["results"]:
        assert row["invoke"]["runs"] == 20
        assert 5 <= row["invoke"]["p50_ms"] <= row["invoke"]["p95_ms"] <= row["invoke"]["p99_ms"]
        assert row["invoke"]["p99_ms"] <= row["invoke"]["max_ms"]
        assert row["first_run_ms"] >= 5
        assert row["cold_start_ms"] > row["first_run_ms"]
        assert 0 < row["preprocess"]["p50_ms"] < 1000
        assert row["resident_mb"] > 10
    assert written["bundle_sha256"] == slow.sha256
    assert tuple(written["frame"]) == FRAME_SHAPE
    assert "fake, blobs" in done.stdout
    assert name in done.stdout


def test_nothing_in_the_file_names_this_machine_or_a_place(slow: Bundle) -> None:
    assert profile(slow.path, "--runs", 2, "--threads", 1).returncode == 0
    (file,) = slow.path.parent.glob("*.profile-*.json")
    text = file.read_text()
    assert os.uname().nodename not in text
    assert str(slow.path.parent) not in text
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_one_number_of_threads_and_few_seconds(slow: Bundle) -> None:
    before = time.monotonic()
    done = profile(slow.path, "--runs", 100_000, "--threads", 1, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - before < 30
    (file,) = slow.path.parent.glob("*.profile-*.json")
    (row,) = json.loads(file.read_bytes())["results"]
    assert 10 <= row["invoke"]["runs"] <= 210, "a second of at least 5 ms each"


def hear_ctrl_c() -> None:
    """Undo what a shell does to a command that it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_gives_what_was_measured(slow: Bundle) -> None:
    words = command(slow.path, "--runs", 1_000_000, "--seconds", 60)
    running = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True,
        preexec_fn=hear_ctrl_c,
    )  # fmt: skip
    try:
        time.sleep(4)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to parent and child
        out, error = running.communicate(timeout=20)
    finally:
        running.kill()
    assert running.returncode == 130, error
    assert "p50" in out
    assert "Traceback" not in error
    assert "interrupted" in error
    assert not list(slow.path.parent.glob("*profile-*"))


def test_a_folder_that_cannot_be_written_is_told_before_measuring(slow: Bundle) -> None:
    assert profile(slow.path, "--runs", 1, "--threads", 1).returncode == 0
    (file,) = slow.path.parent.glob("*.profile-*.json")
    file.unlink()
    if os.geteuid():
        slow.path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    else:
        file.mkdir()  # root may write into any folder, but no file in the place of one
    try:
        before = time.monotonic()
        done = profile(slow.path, "--runs", 100_000)
        assert time.monotonic() - before < 10
    finally:
        slow.path.parent.chmod(stat.S_IRWXU)
    assert done.returncode == (5 if os.geteuid() else 2), "no right is the system's, a name that is taken is a typo's"
    assert done.stderr.count("\n") == 1
    assert "want to write" in done.stderr
    assert "copy the bundle" in done.stderr


def test_a_bundle_that_is_no_longer_whole_is_not_measured(slow: Bundle) -> None:
    slow.model_path.write_bytes(slow.model_path.read_bytes() + b" ")
    done = profile(slow.path)
    assert done.returncode == 3
    assert "sha256" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(slow.path.parent.glob("*profile-*"))


@pytest.mark.parametrize("flag", ["--runs", "--threads", "--seconds"])
def test_a_count_must_be_one(slow: Bundle, flag: str) -> None:
    done = profile(slow.path, flag, 0)
    assert done.returncode == 2
    assert "whole number" in done.stderr


def test_numbers_of_threads() -> None:
    assert thread_counts(1) == [1]
    assert thread_counts(4) == [1, 2, 3, 4]
    assert thread_counts(12) == [1, 2, 3, 4, 8, 12]


PI5 = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Revision\t: c04170
Serial\t\t: 1234567890abcdef
Model\t\t: Raspberry Pi 5 Model B Rev 1.0
"""


def test_a_board_is_described_by_its_kernel(tmp_path: Path) -> None:
    for name, text in (
        ("proc/cpuinfo", PI5),
        ("proc/meminfo", "MemTotal:        8245248 kB\n"),
        ("proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n"),
        ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "2400000\n"),
        ("sys/class/thermal/thermal_zone0/temp", "61200\n"),
        ("sys/class/thermal/thermal_zone1/temp", "48000\n"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    machine = describe(tmp_path)
    assert (machine.board, machine.cpu, machine.governor) == (
        "Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", "ondemand",
    )  # fmt: skip
    assert machine.dot_product is True
    assert machine.memory_mb == 8052
    assert "1234567890abcdef" not in str(machine)
    assert (heat(tmp_path).celsius, heat(tmp_path).clock_mhz) == (61.2, 2400)


def test_a_kernel_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    machine = describe(tmp_path)
    assert machine.board
    assert (machine.dot_product, machine.memory_mb, machine.governor) == (None, None, "")
    assert heat(tmp_path).celsius is None


def test_throttling_in_words() -> None:
    assert explain_throttled(0) == ""
    assert (
        explain_throttled(0x50005)
        == "under-voltage now, throttled now, under-voltage since the start, throttled since the start"
    )
    assert explain_throttled(0x80000) == "soft temperature limit since the start"
