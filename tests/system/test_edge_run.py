"""The command as a user runs it: a real process, a real video, the `fake` runtime."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import fake_bundle, square_positions

from edge.bundle import Bundle

Make = Callable[..., Path]
Command = Callable[..., subprocess.CompletedProcess[str]]


def arguments(*words: object) -> list[str]:
    return [sys.executable, "-c", "import sys; from edge.cli import main_run; sys.exit(main_run())", *map(str, words)]


@pytest.fixture
def edge_run(tmp_path: Path, detector: Bundle, embedder: Bundle) -> Command:
    """Run `edge-run` in an empty folder with the two fake bundles."""

    def command(*words: object, bundles: bool = True) -> subprocess.CompletedProcess[str]:
        given = ["--detector", detector.path, "--embedder", embedder.path] if bundles else []
        environment = os.environ | {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": str(Path.cwd())}
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        return subprocess.run(
            arguments(*given, *words), capture_output=True, text=True, cwd=work, env=environment, timeout=60
        )

    return command


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Expect one sentence, the exit code, and no traceback."""
    said = done.stderr.strip().splitlines()
    assert done.returncode == code, done.stderr
    assert len(said) == 1, done.stderr
    assert all(word in said[0] for word in words), said[0]


def lines(path: Path) -> list[dict]:
    """Read the lines of frames."""
    every = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in every if line["kind"] == "frame"]


def test_it_follows_two_squares_through_a_video_and_says_so_in_json(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    done = edge_run("--source", squares_video(60), "--sink", f"jsonl:{tmp_path}/out.jsonl")
    assert done.returncode == 0, done.stderr
    frames = lines(tmp_path / "out.jsonl")
    assert [f["frame"] for f in frames] == list(range(60))
    assert [f["t_ms"] for f in frames] == pytest.approx([50 * i for i in range(60)])
    owners = {}
    for number, frame in enumerate(frames[5:55], start=5):
        assert len(frame["detections"]) == 2
        for (x, y), label in zip(square_positions(number), ("red", "blue"), strict=True):
            nearest = min(frame["tracks"], key=lambda t: abs(t["box"][0] - x) + abs(t["box"][1] - y))
            assert nearest["box"] == pytest.approx([x, y, x + 40, y + 40], abs=9)  # 96 px see 320: 3.3 px a cell
            owners.setdefault(label, set()).add(nearest["id"])
    assert {label: len(ids) for label, ids in owners.items()} == {"red": 1, "blue": 1}
    last = frames[-1]
    assert last["camera"] == "squares.avi"
    assert last.keys() - {"kind", "run", "camera", "time"} == {
        "frame",
        "t_ms",
        "age_ms",
        "stages_ms",
        "shed",
        "detections",
        "tracks",
    }
    assert set(last["tracks"][0]) == {"id", "box", "class", "score", "coasting", "distance"}
    assert last["detections"][0]["class"] == "blob"


def test_it_draws_a_film_and_a_picture_and_writes_the_profile(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    film, picture, profile = (tmp_path / name for name in ("out.webm", "out.png", "out.json"))
    done = edge_run(
        "--source", squares_video(30), "--sink", f"video:{film}", "--sink", f"png:{picture}", "--profile", profile
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    capture = cv2.VideoCapture(str(film))
    assert sum(capture.read()[0] for _ in range(40)) == 30
    assert cv2.imread(str(picture)).shape == (240, 320, 3)
    written = json.loads(profile.read_text())
    assert written["frames"] == 30
    assert written["stages"]["detect"]["count"] == 30
    assert "capture_wait" in done.stderr, "the table is printed at the end"


def test_the_toml_file_says_the_same_and_flags_override_it(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    config = tmp_path / "gate.toml"
    video = squares_video(20)
    config.write_text(
        f'source = "{video}"\nframes = 7\nbudget_ms = 500\nsinks = ["jsonl:{tmp_path}/a.jsonl"]\n[track]\nconfirm = 1\n'
    )
    assert edge_run(config).returncode == 0
    assert len(lines(tmp_path / "a.jsonl")) == 7
    assert len(lines(tmp_path / "a.jsonl")[0]["tracks"]) == 2, "confirm = 1 reports at once"
    assert edge_run(config, "--frames", 3, "--sink", f"jsonl:{tmp_path}/b.jsonl").returncode == 0
    assert len(lines(tmp_path / "b.jsonl")) == 3


def test_classes_choose_what_is_detected(edge_run: Command, squares_video: Make, tmp_path: Path) -> None:
    done = edge_run("--source", squares_video(5), "--classes", "tall", "--sink", f"jsonl:{tmp_path}/out.jsonl")
    assert done.returncode == 0, done.stderr
    assert all(not f["detections"] for f in lines(tmp_path / "out.jsonl"))


def test_default_bundles_are_found_in_build_then_in_the_data_folder(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    video = squares_video(3)
    refused(edge_run("--source", video, bundles=False), 3, "make convert", "edge bundle install")
    for task in ("detect", "embed"):
        fake_bundle(tmp_path / "data" / "edge-run" / "bundles", task)
    done = edge_run("--source", video, "--sink", "jsonl:-", bundles=False)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["kind"] for line in done.stdout.splitlines()] == ["run", *["frame"] * 3]


def test_a_slow_embedder_is_shed_and_the_result_says_so(squares_video: Make, edge_run: Command, tmp_path: Path) -> None:
    slow = fake_bundle(tmp_path / "slow", "embed", busy_ms=60)
    done = edge_run(
        "--source", squares_video(20), "--sink", f"jsonl:{tmp_path}/out.jsonl", "--embedder", slow.path,
        "--budget-ms", 50, "--profile", tmp_path / "p.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shed = [name for f in lines(tmp_path / "out.jsonl") for name in f["shed"]]
    assert "embed_unsettled" in shed
    assert json.loads((tmp_path / "p.json").read_text())["shed"]["embed_unsettled"] > 0


def test_help_fits_on_a_screen_and_shows_three_examples() -> None:
    done = subprocess.run(arguments("--help"), capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) <= 36
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert done.stdout.split("examples:")[1].count("edge-run ") == 3


@pytest.mark.parametrize(
    ("words", "code", "expected"),
    [
        (("--source", "absent.mp4"), 4, ("absent.mp4",)),
        (("--camera", "9"), 4, ("9",)),
        (("--source", "VIDEO", "--budget-ms", "-5"), 2, ("--budget-ms", "-5")),
        (("--source", "VIDEO", "--threshold", "7"), 2, ("--threshold", "7")),
        (("--source", "VIDEO", "--classes", "unicorn"), 2, ("unicorn", "blob")),
        (("--source", "VIDEO", "--classes", "Blob"), 2, ("--classes: want labels of", "did you mean 'blob'?")),
        (("--source", "VIDEO", "--classes", ","), 2, ("--classes: want labels",)),
        (("--source", "VIDEO", "--frames", "0"), 2, ("--frames: want a whole number of at least 1, got 0",)),
        (("--source", "VIDEO", "--threads", "abc"), 2, ("--threads: want a whole number from 1 to 256, got 'abc'",)),
        (("--source", "VIDEO", "--frmes", "3"), 2, ("did you mean '--frames'?",)),
        (("--source", "VIDEO", "--sink", "out.jsonl"), 2, ("did you mean 'jsonl:out.jsonl'?",)),
        (("--source", "foo://x"), 2, ("foo://, which is not supported",)),
        (("VIDEO",), 2, ("did you mean '--source ",)),
        (("--camera", "VIDEO"), 2, ("--camera: want a camera", "--source")),
        (("--source", ""), 2, ("got an empty text",)),
        (("--source", "VIDEO", "--profile", ""), 2, ("profile: want a path, got an empty text",)),
        (("--source", "~nobody-of-this-name/x"), 2, ("home folder of a user who is not known",)),
        (("--source", "VIDEO", "--sink", "jsonl:/nowhere/out.jsonl"), 2, ("/nowhere",)),
        (("--source", "VIDEO", "--sink", "smoke:signals"), 2, ("smoke:signals",)),
        (("--source", "VIDEO", "--profile", "/nowhere/p.json"), 2, ("/nowhere",)),
        (("absent.toml", "--camera", "0"), 2, ("absent.toml",)),
        ((), 2, ("--camera",)),
    ],
)
def test_bad_words_get_one_sentence(
    edge_run: Command, squares_video: Make, words: tuple[str, ...], code: int, expected: tuple[str, ...]
) -> None:
    video = str(squares_video(3))
    refused(edge_run(*(video if word == "VIDEO" else word for word in words)), code, *expected)


@pytest.mark.parametrize(
    ("name", "content"),
    [("empty.mp4", b""), ("letter.mp4", b"Dear Sir or Madam, " * 300), ("picture.mp4", None)],
)
def test_a_file_that_is_no_video_gets_one_sentence(
    edge_run: Command, tmp_path: Path, name: str, content: bytes | None
) -> None:
    path = tmp_path / name
    if content is None:
        content = cv2.imencode(".png", np.zeros((60, 80, 3), np.uint8))[1].tobytes()
    path.write_bytes(content)
    refused(edge_run("--source", path), 4, name)


def test_a_truncated_video_is_used_as_far_as_it_goes_then_said_to_be_so(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    video = squares_video(60)
    whole = video.read_bytes()
    video.write_bytes(whole[: len(whole) // 2])
    done = edge_run("--source", video, "--sink", f"jsonl:{tmp_path}/out.jsonl")
    assert done.returncode == 4
    assert "squares.avi" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert 20 <= len(lines(tmp_path / "out.jsonl")) <= 40, "what could be read was processed and written"


def test_an_unknown_key_gets_one_sentence(edge_run: Command, tmp_path: Path) -> None:
    config = tmp_path / "typo.toml"
    config.write_text("budget_msec = 3\n")
    refused(edge_run(config), 2, "budget_msec")


def test_a_bundle_with_one_byte_changed_is_refused(edge_run: Command, detector: Bundle, squares_video: Make) -> None:
    model = bytearray(detector.model_path.read_bytes())
    model[3] ^= 1
    detector.model_path.write_bytes(bytes(model))
    refused(edge_run("--source", squares_video(3)), 3, "sha256", "model.json")


def test_a_bundle_of_the_wrong_task_is_refused(edge_run: Command, embedder: Bundle, squares_video: Make) -> None:
    wrong = ("--detector", embedder.path, "--embedder", embedder.path)
    done = edge_run("--source", squares_video(3), *wrong, bundles=False)
    refused(done, 3, "'detect'", "'embed'")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_frame_in_hand(
    number: int, detector: Bundle, embedder: Bundle, squares_video: Make, tmp_path: Path
) -> None:
    film, out = tmp_path / "out.webm", tmp_path / "out.jsonl"
    words = ("--source", squares_video(60), "--pace", "--sink", f"video:{film}", "--sink", f"jsonl:{out}")
    process = subprocess.Popen(
        arguments(*words, "--detector", detector.path, "--embedder", embedder.path), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while (not out.exists() or len(out.read_text().splitlines()) < 6) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert "capture_wait" in said, "the profile is printed"
    written = len(lines(out))
    assert 5 <= written < 60
    capture = cv2.VideoCapture(str(film))
    assert sum(capture.read()[0] for _ in range(60)) == written, "the film was closed and plays"


def test_restarts_keep_what_older_runs_wrote_until_they_are_told_to_overwrite(
    edge_run: Command, squares_video: Make, tmp_path: Path
) -> None:
    config = tmp_path / "gate.toml"
    config.write_text(
        f'source = "{squares_video(3)}"\nname = "gate"\n'
        'sinks = ["jsonl:a.jsonl", "folder:f", "crops:c?every_ms=0"]\n[track]\nconfirm = 1\n'
    )
    work = tmp_path / "work"

    def runs() -> list[int]:
        every = [json.loads(line) for line in (work / "a.jsonl").read_text().splitlines()]
        assert [line["frame"] for line in every if line["kind"] == "frame"] == [0, 1, 2] * (len(every) // 4)
        told = [line["run"] for line in every if line["kind"] == "run"]
        assert len(set(told)) == len(told)
        assert {line["camera"] for line in every} <= {"gate", "yard"}
        return [len(told), len(list((work / "f").iterdir())), len(list((work / "c").iterdir()))]

    for count in range(1, 11):
        assert edge_run(config).returncode == 0
        if count in (1, 10):
            assert runs() == [count] * 3
    assert edge_run(config, "--overwrite", "--name", "yard").returncode == 0
    assert runs() == [1] * 3
    assert json.loads((work / "a.jsonl").read_text().splitlines()[0])["camera"] == "yard"
