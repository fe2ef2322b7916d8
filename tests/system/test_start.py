"""What a run says before its first frame, and what is looked at before anything slow is opened."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edge.doctor
from edge.bundle import Bundle
from edge.sinks.vp8 import Vp8Error

ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.CompletedProcess[str]]
Make = Callable[..., Path]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    def run(name: str, *words: object) -> subprocess.CompletedProcess[str]:
        code = f"import sys; from edge.cli import main_{name}; sys.exit(main_{name}())"
        environment = os.environ | {
            "XDG_DATA_HOME": str(tmp_path / "data"),
            "PYTHONPATH": str(ROOT),
            "HOME": str(tmp_path),
        }
        (tmp_path / "work").mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            capture_output=True, text=True, cwd=tmp_path / "work", env=environment, timeout=60,
        )  # fmt: skip

    return run


def bundles(detector: Bundle, embedder: Bundle) -> list[object]:
    return ["--detector", detector.path, "--embedder", embedder.path]


def test_a_live_run_says_what_runs_and_where_results_go(
    command: Command, squares_video: Make, detector: Bundle, embedder: Bundle, tmp_path: Path
) -> None:
    film = squares_video(12)
    words = [*bundles(detector, embedder), "--source", film, "--pace", "--threads", "1", "--budget-ms", "80"]
    done = command("run", *words, "--sink", f"jsonl:{tmp_path}/out.jsonl", "--sink", "null:")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:5] == [
        f"source: video {film}, 320 x 240, 20 frames a second",
        f"models: {detector.path.name}, {embedder.path.name} (fake, mean_colors); 1 thread".replace(
            f"{detector.path.name},", f"{detector.path.name} (fake, blobs),"
        ),
        "budget: 80 ms a frame",
        f"results: jsonl:{tmp_path}/out.jsonl, null:",
        "running; Ctrl-C ends it",
    ]


def test_a_run_beside_older_results_says_where_its_own_go(
    command: Command, squares_video: Make, detector: Bundle, embedder: Bundle, tmp_path: Path
) -> None:
    sinks = [f"{kind}:{tmp_path}/{name}" for kind, name in (("video", "a.webm"), ("folder", "b"), ("crops", "c"))]
    flags = [word for sink in sinks for word in ("--sink", sink)]
    for own in (["a.webm", "b/run-0001", "c/run-0001"], ["a-2.webm", "b/run-0002", "c/run-0002"]):
        done = command("run", *bundles(detector, embedder), "--source", squares_video(5), "--pace", *flags)
        places = [f"{sink.partition(':')[0]}:{tmp_path}/{name}" for sink, name in zip(sinks, own, strict=True)]
        assert f"results: {', '.join(places)}" in done.stderr.splitlines()
        assert all((tmp_path / name).exists() for name in own)


def test_a_run_that_keeps_nothing_says_so(
    command: Command, squares_video: Make, detector: Bundle, embedder: Bundle
) -> None:
    done = command("run", *bundles(detector, embedder), "--source", squares_video(5), "--pace")
    assert "results: none are kept; give --sink or --show" in done.stderr.splitlines()


def test_a_film_is_announced_in_one_line(
    command: Command, squares_video: Make, detector: Bundle, embedder: Bundle
) -> None:
    done = command("run", *bundles(detector, embedder), "--source", squares_video(5))
    lines = done.stderr.splitlines()
    assert lines[0].startswith("source: video ")
    assert ", 5 frames; models: " in lines[0]
    assert lines[1].startswith("stage, ms")


def test_quiet_says_nothing_at_the_start(
    command: Command, squares_video: Make, detector: Bundle, embedder: Bundle
) -> None:
    done = command("run", *bundles(detector, embedder), "--source", squares_video(5), "--pace", "--quiet")
    assert done.stderr.startswith("stage, ms")


def test_a_password_is_not_announced(command: Command, detector: Bundle, embedder: Bundle) -> None:
    done = command("run", *bundles(detector, embedder), "--source", "rtsp://anne:secret@127.0.0.1:1/x")
    assert done.returncode == 4
    assert done.stderr.splitlines()[0] == "connecting to rtsp://***@127.0.0.1:1/x"
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--source", "absent.mp4"), 4, "absent.mp4"),
        (("--source", "FILM", "--sink", "out.jsonl"), 2, "jsonl:out.jsonl"),
        (("--source", "FILM", "--classes", "Blob"), 2, "did you mean 'blob'?"),
        (("--source", "FILM", "--profile", "/nowhere/x"), 2, "/nowhere"),
        (("--source", "FILM", "--sink", "jsonl:/nowhere/x"), 2, "/nowhere"),
        (("--source", "FILM", "--sink", "folder:/nowhere/x"), 2, "/nowhere"),
    ],
)
def test_a_typo_is_answered_before_the_model_is_opened(
    words: tuple[str, ...], code: int, says: str, command: Command, squares_video: Make, detector: Bundle,
    embedder: Bundle, tmp_path: Path,
) -> None:  # fmt: skip
    """The detector's model file is damaged, which is found when it is opened: the typo is found before."""
    film = squares_video(3)
    detector.model_path.write_text("damaged")
    given = [str(film) if word == "FILM" else word for word in words]
    done = command("run", *bundles(detector, embedder), *given)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "work").iterdir())
    whole = command("run", *bundles(detector, embedder), "--source", film)
    assert whole.returncode == 3, "the model is opened in the end"


def test_doctor_tells_what_would_run(command: Command, detector: Bundle, embedder: Bundle, tmp_path: Path) -> None:
    for bundle in (detector, embedder):
        place = tmp_path / "data" / "edge-run" / "bundles" / bundle.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        bundle.path.rename(place)
    done = command("edge", "doctor")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert lines[-1] == "would run: edge-run"
    assert any(" films: libvpx" in line for line in lines), "this machine has it"
    assert len(lines) == len(set(lines)), "each thing is said once"
    assert any("its answer is right with fake, blobs" in line for line in lines)


def test_doctor_tells_of_what_films_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise Vp8Error("want libvpx, got none")

    assert edge.doctor._films().mark == "ok"
    monkeypatch.setattr(edge.doctor, "library", none)
    finding = edge.doctor._films()
    assert finding.mark == "note"
    assert "want libvpx, got none; video: needs it, so install opencv-python or libvpx" in finding.words


def test_doctor_fails_where_nothing_would_run(command: Command, detector: Bundle, tmp_path: Path) -> None:
    done = command("edge", "doctor")
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1].startswith("would run: nothing; 'make convert'")
    assert done.stdout.count("edge bundle install") == 1
    place = tmp_path / "data" / "edge-run" / "bundles" / detector.path.name
    place.parent.mkdir(parents=True)
    detector.path.rename(place)
    done = command("edge", "doctor")
    assert done.returncode == 3, "a detector alone does not run"


def test_doctor_tries_what_it_finds(command: Command, detector: Bundle, embedder: Bundle, tmp_path: Path) -> None:
    for bundle in (detector, embedder):
        place = tmp_path / "data" / "edge-run" / "bundles" / bundle.path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        bundle.path.rename(place)
    (tmp_path / "data" / "edge-run" / "bundles" / embedder.path.name / embedder.manifest.model_file).write_text("x")
    done = command("edge", "doctor")
    assert done.returncode == 3
    assert any(line.startswith("missing  --embedder: bundle ") for line in done.stdout.splitlines())
