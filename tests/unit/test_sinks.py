"""Sinks: what they write is read back by other programs' eyes."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sinks.png
from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.draw import GREY, annotate, color_of
from edge.sinks.place import MARK
from tests.output import a_result as result
from tests.output import an_output

ROOT = Path(__file__).parents[2]
LABELS = ("person", "horse")


def opened(uri: str, fps: float = 10.0, **more):
    return open_sink(uri, an_output(LABELS, fps, **more))


def child(body: str, *arguments: str, **options) -> subprocess.Popen:
    """Run Python that has `result` and `opened`."""
    code = "import sys; from tests.unit.test_sinks import *\n" + body
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, **options)


@pytest.mark.parametrize("kind", ["jsonl", "video", "png"])
def test_places_that_cannot_be_written_fail_at_open(tmp_path, kind):
    suffix = {"jsonl": ".jsonl", "video": ".webm", "png": ".png"}[kind]
    (tmp_path / f"folder{suffix}").mkdir()
    cases = {
        f"{kind}:": f"write {kind}:PATH",
        f"{kind}:{tmp_path}/none/a{suffix}": "make it first",
        f"{kind}:{tmp_path}/folder{suffix}": "got a folder",
        f"{kind}:/proc/a{suffix}": "want a place that can be written",
        f"{kind}:{tmp_path}/{'a' * 300}{suffix}": "want a",
    }
    for uri, words in cases.items():
        with pytest.raises(OutputError if "/proc" in uri else ConfigError) as caught:
            opened(uri)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    opened(f"{kind}:{tmp_path}/a{suffix}").close()
    assert kind == "jsonl" or not (tmp_path / f"a{suffix}").exists()  # no frame, no file


@pytest.mark.parametrize("uri", ["xml:a.xml", "", ":"])
def test_unknown_kinds(uri):
    known = "jsonl:PATH, video:PATH.webm, png:PATH.png, folder:DIR, crops:DIR, window:, null:"
    with pytest.raises(ConfigError, match=f"want one of {known}"):
        opened(uri)


def test_png_is_the_last_frame(tmp_path):
    with opened(f"png:{tmp_path / 'a.png'}") as sink:
        assert not (tmp_path / "a.png").exists()
        sink.write(result(0, (64, 48)))
        assert cv2.imread(str(tmp_path / "a.png")).shape[:2] == annotate(result(0, (64, 48)), LABELS).shape[:2]
        sink.write(result(1))
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), annotate(result(1), LABELS))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        opened(f"png:{tmp_path / 'a.jpg'}")


def test_png_is_there_now_and_then_while_a_run_goes_on(tmp_path, monkeypatch):
    (tmp_path / ".a.png.part").write_bytes(b"of a killed run")
    monkeypatch.setattr(edge.sinks.png, "EVERY_S", 0.0)
    with opened(f"png:{tmp_path / 'a.png'}") as sink:
        sink.write(result(0))
        assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), annotate(result(0), LABELS))
        monkeypatch.setattr(edge.sinks.png, "EVERY_S", 1e9)
        sink.write(result(1))
        sink.write(result(2))
        with pytest.raises(ConfigError, match="another edge-run writes there"):
            opened(f"png:{tmp_path / 'a.png'}")
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), annotate(result(2), LABELS))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(("options", "suffix"), [("", ".jpg"), ("?format=png", ".png")])
def test_folder_has_a_picture_of_each_frame_in_a_folder_of_each_run(tmp_path, options, suffix):
    for frames in (2, 1):
        with opened(f"folder:{tmp_path}/f{options}") as sink:
            for index in range(frames):
                sink.write(result(index))
    found = sorted((tmp_path / "f").glob("*/frame*"))
    names = [f"run-0001/frame-000000{suffix}", f"run-0001/frame-000001{suffix}", f"run-0002/frame-000000{suffix}"]
    assert [path.relative_to(tmp_path / "f").as_posix() for path in found] == names
    difference = np.abs(cv2.imread(str(found[1])).astype(int) - annotate(result(1), LABELS))
    assert difference.mean() < 8  # lossy where a thin line is coloured
    assert suffix == ".jpg" or not difference.any()
    (tmp_path / "f" / "run-0001" / ".frame-000009.jpg.part").write_bytes(b"of a killed run")
    (tmp_path / "f" / "run-0003").mkdir()
    with opened(f"folder:{tmp_path}/f{options}"):
        assert sorted(path.name for path in (tmp_path / "f").iterdir() if path.is_dir())[-1] == "run-0003"
        assert not (tmp_path / "f" / "run-0001" / ".frame-000009.jpg.part").exists()
        with pytest.raises(ConfigError, match="another edge-run writes there"):
            opened(f"folder:{tmp_path}/f")
    assert sorted(path.name for path in (tmp_path / "f").iterdir()) == ["run-0001", "run-0002"]
    with opened(f"folder:{tmp_path}/f{options}", overwrite=True) as sink:
        sink.write(result(5))
    assert [path.name for path in (tmp_path / "f").glob("*/*") if path.name != MARK] == [f"frame-000005{suffix}"]
    with pytest.raises(ConfigError, match="want format to be jpg or png, got 'gif'"):
        opened(f"folder:{tmp_path}/f?format=gif")


def test_a_folder_of_runs_has_one_sink_at_a_time_and_keeps_what_is_not_its_own(tmp_path):
    with opened(f"crops:{tmp_path}/f"), pytest.raises(ConfigError, match="another edge-run writes there"):
        opened(f"folder:{tmp_path}/f", overwrite=True)
    (tmp_path / "f" / "run-0001").mkdir()
    (tmp_path / "f" / "run-0001" / "precious").write_bytes(b"of another program")
    with opened(f"folder:{tmp_path}/f") as sink:
        sink.write(result())
    older = {path: path.read_bytes() for path in (tmp_path / "f").rglob("*") if path.is_file()}
    with opened(f"crops:{tmp_path}/f", overwrite=True) as sink:
        sink.write(result())
    assert {path: path.read_bytes() for path in older} == older
    with opened(f"folder:{tmp_path}/f", overwrite=True) as sink:
        assert {path: path.read_bytes() for path in older} == older, "nothing is removed before the first frame"
        sink.write(result())
    assert (tmp_path / "f" / "run-0001" / "precious").exists()
    assert not (tmp_path / "f" / "run-0002").exists()


def test_null_takes_everything():
    with opened("null:") as sink:
        sink.write(result())
        assert not sink.wants_stop


def test_window_without_a_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ConfigError, match="want a display, got none"):
        opened("window:")
    monkeypatch.setenv("DISPLAY", ":987")  # Qt would abort the process here
    with pytest.raises(ConfigError, match="want"):
        opened("window:")


def test_drawing_leaves_the_frame_alone_and_tells_the_states_apart():
    seen = result()
    before = seen.frame.image.copy()
    picture = annotate(seen, LABELS)
    assert np.array_equal(seen.frame.image, before)
    assert picture.shape == before.shape
    assert picture[80, 10].tolist() == list(color_of(7))  # left edge of track 7
    assert (picture[50:110, 70] == GREY).all(axis=1).any()  # the detection nobody took
    coasting = (picture[60:110, 115] == color_of(9)).all(axis=1)
    assert 0 < coasting.sum() < len(coasting)  # dashed
    assert picture[119, 5].tolist() == [60, 30, 200]  # BGR


def test_drawing_survives_wild_boxes():
    wild = result()
    wild.tracks.boxes[0] = (np.nan, -np.inf, np.inf, 1e30)
    wild.tracks.boxes[1] = (-1e9, -1e9, 1e9, 1e9)
    wild.detections.boxes[1] = (50, 50, 40, 40)
    assert annotate(wild, LABELS).shape == (120, 160, 3)
    tiny = result(size=(8, 6))
    assert annotate(tiny, LABELS).shape == (6, 8, 3)


def test_colours_are_stable_and_apart():
    colours = np.array([color_of(i) for i in range(1, 13)])
    distances = np.abs(colours[:, None] - colours[None]).sum(axis=2) + np.eye(12, dtype=int) * 999
    assert distances.min() > 40
    assert color_of(3) == color_of(3)
