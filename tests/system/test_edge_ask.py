"""`edge classify` and `edge localize` as a user runs them: a real process, pictures and videos, the `fake` runtime."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import fake_bundle, seal, square_positions

Command = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = "import sys; from edge.cli import main_edge; sys.exit(main_edge())"
COLORS = {"red": (40, 40, 230), "green": (40, 230, 40), "blue": (230, 40, 40)}  # BGR


@pytest.fixture
def edge(tmp_path: Path) -> Command:
    """Run `edge` in an empty folder where both fake bundles are installed."""
    home = tmp_path / "data"
    for task in ("classify", "localize"):
        fake_bundle(home / "edge-run" / "bundles", task)

    def command(*words: object) -> subprocess.CompletedProcess[str]:
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        environment = os.environ | {"XDG_DATA_HOME": str(home), "PYTHONPATH": str(Path.cwd())}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            capture_output=True, text=True, cwd=work, env=environment, timeout=60,
        )  # fmt: skip

    return command


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures of three sizes: a square of one colour in each, at x 20 and y 30, 40 x 30 large."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, (name, color) in enumerate(COLORS.items()):
        image = np.zeros((120 + 40 * number, 160, 3), np.uint8)
        image[30:60, 20:60] = color
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return folder


def lines(path: Path) -> list[dict]:
    """Read the lines of frames."""
    every = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in every if line["kind"] == "frame"]


def test_a_folder_is_classified_and_what_cannot_be_read_is_named_and_counted(
    edge: Command, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "torn.png").write_bytes(b"\x89PNG and no more")
    done = edge("classify", pictures, "--sink", f"jsonl:{tmp_path}/a.jsonl")
    assert done.returncode == 0, done.stderr
    answers = {line["file"]: line for line in lines(tmp_path / "a.jsonl")}
    assert {name: line["class"] for name, line in answers.items()} == {f"{c}.png": c for c in COLORS}
    assert all(line["box"] is None for line in answers.values())
    assert sum(answers["red.png"]["scores"].values()) == pytest.approx(1, abs=1e-3)
    assert answers["red.png"]["score"] > 0.7
    assert set(answers["red.png"]["stages_ms"]) == {"capture_wait", "decode", "preprocess", "model", "sinks"}
    assert "red.png  red 0." in done.stdout
    assert "torn.png" in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("3 frames: ")
    assert "1 could not be read" in last


def test_a_box_is_placed_on_the_picture_whatever_its_shape_and_drawn_there(
    edge: Command, pictures: Path, tmp_path: Path
) -> None:
    done = edge(
        "localize", pictures, "--sink", f"jsonl:{tmp_path}/a.jsonl", "--sink", f"folder:{tmp_path}/drawn?format=png"
    )
    assert done.returncode == 0, done.stderr
    for line in lines(tmp_path / "a.jsonl"):
        assert line["box"] == pytest.approx([20, 30, 60, 60], abs=2.5), line
        assert line["class"] == line["file"].removesuffix(".png")
    drawn = sorted((tmp_path / "drawn" / "run-0001").glob("*.png"))
    assert [path.name for path in drawn] == ["blue.png.png", "green.png.png", "red.png.png"]
    before, after = cv2.imread(str(pictures / "red.png")), cv2.imread(str(drawn[2]))
    assert after.shape == (240, 320, 3)  # enlarged, so that the label can be read
    changed = np.any(after != cv2.resize(before, (320, 240), interpolation=cv2.INTER_NEAREST), axis=2)
    rows, columns = np.nonzero(changed)
    assert columns.min() == pytest.approx(40, abs=5)
    assert rows.max() == pytest.approx(120, abs=5)
    assert "box 20 30 60 60" in done.stdout


def test_a_video_is_asked_frame_by_frame_and_drawn_as_a_video(
    edge: Command, squares_video: Callable[..., Path], tmp_path: Path
) -> None:
    film = squares_video(20)
    sinks = [f"jsonl:{tmp_path}/a.jsonl", f"video:{tmp_path}/a.webm", f"png:{tmp_path}/last.png"]
    done = edge("localize", film, "--frames", 12, "--quiet", *(word for sink in sinks for word in ("--sink", sink)))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    answers = lines(tmp_path / "a.jsonl")
    assert [line["frame"] for line in answers] == list(range(12))
    assert all(line["file"] is None for line in answers)
    (x, y), (right, bottom) = square_positions(5)
    assert answers[5]["box"] == pytest.approx([x, y, right + 40, bottom + 40], abs=6)  # both squares, as one spot
    capture = cv2.VideoCapture(str(tmp_path / "a.webm"))
    assert sum(capture.read()[0] for _ in range(20)) == 12
    assert cv2.imread(str(tmp_path / "last.png")).shape == (240, 320, 3)


def test_answers_on_standard_output_are_json_alone(edge: Command, pictures: Path) -> None:
    done = edge("classify", pictures, "--sink", "jsonl:-")
    run, *answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert run["bundles"].keys() == {"classify"}
    assert [answer["file"] for answer in answers] == ["blue.png", "green.png", "red.png"]


def test_a_bundle_that_says_how_good_it_is_is_quoted(edge: Command, pictures: Path, tmp_path: Path) -> None:
    path = tmp_path / "data" / "edge-run" / "bundles" / "fake-localize" / "bundle.json"
    manifest = json.loads(path.read_text())
    manifest["metrics"] = [
        {"name": "mIoU", "value": 0.8412, "examples": 900},
        {"name": "accuracy", "value": 0.975, "examples": 900},
    ]
    path.write_text(json.dumps(manifest))
    seal(path.parent)
    done = edge("localize", pictures)
    assert "when converted mIoU 84.1%, accuracy 97.5% of 900 examples" in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("classify", "nowhere"), 4, "nowhere"),
        (("classify",), 2, "SOURCE"),
        (("classify", "PICTURES", "--bundle", "LOCALIZER"), 3, "want a model for task 'classify'"),
        (("localize", "PICTURES", "--bundle", "fake-localise"), 3, "did you mean 'fake-localize'"),
        (("localize", "PICTURES", "--bundle", "./nowhere"), 3, "no such file"),
        (("localize", "PICTURES", "--sink", "xml:a"), 2, "folder:DIR"),
        (("localize", "PICTURES", "--sink", "folder:no/such/place"), 2, "want an existing folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    edge: Command, pictures: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    places = {"PICTURES": pictures, "LOCALIZER": tmp_path / "data" / "edge-run" / "bundles" / "fake-localize"}
    done = edge(*(places.get(word, word) for word in words))
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
