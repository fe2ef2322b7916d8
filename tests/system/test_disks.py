"""Disks that fill up, are read-only or are removed under one output while another one goes on."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edge.sinks.crops
import edge.sinks.guarded
import edge.sinks.jsonl
import edge.sinks.png
import edge.sinks.profile
from edge.bundle import Bundle
from edge.recording import exit_code, open_outputs
from edge.sinks.guarded import Outputs
from tests.output import an_output
from tests.unit.test_jsonl_sink import lines, result

ROOT = Path(__file__).parents[2]
KINDS = ("jsonl", "folder", "crops", "png", "profile")  # `video` is tested with its own reserve of the disk
PLACES = {"jsonl": "jsonl:{}/a.jsonl", "folder": "folder:{}/f", "crops": "crops:{}/c?every_ms=0", "png": "png:{}/a.png"}


def mounted(place: Path, *options: str) -> bool:
    """Mount or change a tiny disk in memory; False where that is not allowed."""
    words = ["mount", "-t", "tmpfs", "-o", ",".join(("size=128k", *options)), "tmpfs", str(place)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mounted(place):
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything looked at and tried with every frame."""
    for module, name in (
        (edge.sinks.guarded, "FIRST_PAUSE_S"), (edge.sinks.guarded, "LONGEST_PAUSE_S"), (edge.sinks.guarded, "LOOK_S"),
        (edge.sinks.jsonl, "LOOK_S"), (edge.sinks.png, "EVERY_S"), (edge.sinks.profile, "EVERY_S"),
        (edge.sinks.crops, "RESERVE_BYTES"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 0)


def opened(kind: str, disk: Path, other: Path) -> Outputs:
    uris = [f"jsonl:{other}/other.jsonl"]
    profile = disk / "p.json" if kind == "profile" else None
    return open_outputs([*([] if profile else [PLACES[kind].format(disk)]), *uris], an_output(), profile, dict)


def write(outputs: Outputs, begin: int, end: int) -> None:
    for index in range(begin, end):
        outputs.write(result(index))
        for guard in outputs._guards:  # the profile is written in a thread, and its refusal comes with the next frame
            thread = getattr(guard._sink, "_thread", None)
            if thread is not None:
                thread.join()


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        size = 4096
        while size:
            try:
                size = file.write(b"x" * size) and size
            except OSError:
                size //= 2


def remove(disk: Path) -> None:
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("trouble", [fill, remove])
@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_goes_on_it_is_said_once_and_the_exit_code_tells(
    disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, trouble: Callable[[Path], None]
) -> None:
    with caplog.at_level(logging.WARNING), opened(kind, disk, tmp_path) as outputs:
        write(outputs, 0, 5)
        assert not outputs.failed
        trouble(disk)
        write(outputs, 5, 20)
    said = [record.getMessage() for record in caplog.records]
    assert len([words for words in said if "the run goes on without it" in words]) == 1, said
    assert not [words for words in said if "back" in words], said
    assert [line["frame"] for line in lines(tmp_path / "other.jsonl") if line["kind"] == "frame"] == list(range(20))
    assert lines(tmp_path / "other.jsonl")[-1]["kind"] == "gap"
    assert exit_code(0, outputs) == 5
    if trouble is remove:
        assert not list(disk.iterdir()), "nothing is written under the name of the disk"
    elif kind == "jsonl":
        assert [line["frame"] for line in lines(disk / "a.jsonl") if line["kind"] == "frame"][:5] == list(range(5))


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_has_room_again_is_written_to_again(
    disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    with opened(kind, disk, tmp_path) as outputs:
        write(outputs, 0, 2)
        fill(disk)
        write(outputs, 2, 12)
        (disk / "filler").unlink()
        write(outputs, 12, 16)
    gaps = [line for line in lines(tmp_path / "other.jsonl") if line["kind"] == "gap"]
    assert len(gaps) == 1
    assert 0 < gaps[0]["results"] <= 10
    assert gaps[0]["last_frame"] <= 12
    assert f"back; {gaps[0]['results']} results were lost" in caplog.text
    if kind == "jsonl":
        own = [line["frame"] for line in lines(disk / "a.jsonl") if line["kind"] == "frame"]
        assert sorted([*own, *range(gaps[0]["first_frame"], gaps[0]["last_frame"] + 1)]) == list(range(16))
    if kind in ("folder", "crops"):
        assert sorted(path.name for path in (disk / kind[0]).glob("run-*")) == ["run-0001", "run-0002"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_is_read_only_at_the_start_is_waited_for(
    disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    assert mounted(disk, "remount", "ro")
    with opened(kind, disk, tmp_path) as outputs:
        write(outputs, 0, 3)
        assert caplog.text.count("Read-only file system") == 1
        assert mounted(disk, "remount", "rw")
        write(outputs, 3, 5)
    assert "back; 3 results were lost" in caplog.text
    assert len(list(disk.iterdir())) == 1
    assert outputs.failed


def run(*words: object) -> subprocess.CompletedProcess[str]:
    code = "import sys; from edge.cli import main_run; sys.exit(main_run())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, timeout=60, env=environment
    )


def test_the_command_goes_on_with_a_full_disk_and_ends_with_its_code(
    detector: Bundle, embedder: Bundle, squares_video: Callable[..., Path], tmp_path: Path
) -> None:
    words = ("--source", squares_video(20), "--detector", detector.path, "--embedder", embedder.path)
    done = run(*words, "--sink", "jsonl:/dev/full", "--sink", f"jsonl:{tmp_path}/a.jsonl")
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("No space left on device") == 1
    assert "20 results were lost until the end of the run" in done.stderr
    assert [line["frame"] for line in lines(tmp_path / "a.jsonl") if line["kind"] == "frame"] == list(range(20))
    alone = run(*words, "--sink", f"jsonl:{tmp_path}/a.jsonl", "--profile", tmp_path / "none" / "p.json")
    assert alone.returncode == 2
    assert alone.stderr.count("\n") == 1


def test_a_bad_bundle_leaves_no_profile_behind(squares_video: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "out").mkdir()
    done = run("--source", squares_video(3), "--detector", tmp_path / "bad", "--profile", tmp_path / "out" / "p.json")
    assert done.returncode == 3, done.stderr
    assert not list((tmp_path / "out").iterdir())
