"""What `crops:` records is read back as the miner reads it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sinks.crops
from edge import boxes
from edge.errors import ConfigError
from edge.sinks import open_sink
from edge.types import Detections, Frame, FrameResult, Tracks
from models.siamese.crops import read_index
from tests.output import an_output

BOXES = np.array([[10, 30, 50, 100], [40, 30, 80, 100], [-5, 0, 20, 60]], np.float32)


def result(index: int, coasting: bool = False) -> FrameResult:
    """Tracks 7 and 9 took detections 1 and 0; track 11, at the border, took 2 or coasts."""
    image = cv2.resize(np.random.default_rng(index).integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
    found = Detections(BOXES, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32))
    tracks = Tracks(
        ids=np.array([7, 9, 11]), boxes=BOXES, scores=np.ones(3, np.float32), classes=np.zeros(3, np.int32),
        detection=np.array([1, 0, -1 if coasting else 2], np.int32), identity=np.full(3, -1),
        distance=np.full(3, np.nan, np.float32),
    )  # fmt: skip
    return FrameResult(Frame(index, 0, image, index * 100_000_000), found, tracks)


def record(folder: Path, frames: int, options: str = "") -> None:
    with open_sink(f"crops:{folder}{options}", an_output()) as sink:
        for index in range(frames):
            sink.write(result(index, coasting=index > 0))


def test_a_recording_holds_what_each_track_looked_like_and_how_good_the_crop_is(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    first, second, third = read_index(tmp_path / "r")
    assert (first.track, first.frame, first.klass, first.box) == (7, 0, "person", (40, 30, 80, 100))
    assert (first.covered, first.cut, third.cut) == (0.25, False, True)
    assert first.sharpness > 1
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "r" / second.file)), cv2.COLOR_BGR2RGB)
    want = result(0).frame.image[30:100, 10:50]
    assert picture.shape == want.shape
    assert np.corrcoef(picture.ravel(), want.ravel())[0, 1] > 0.98


def test_only_seen_tracks_are_recorded_and_only_every_so_often(tmp_path: Path) -> None:
    record(tmp_path / "r", 5, "?every_ms=200")
    assert [(crop.frame, crop.track) for crop in read_index(tmp_path / "r")] == [
        (0, 7), (0, 9), (0, 11), (2, 7), (2, 9), (4, 7), (4, 9),
    ]  # fmt: skip


def test_the_disk_it_may_use_is_bounded_and_what_is_there_is_whole(tmp_path: Path) -> None:
    record(tmp_path / "r", 50, "?every_ms=0&max_mb=0.05")
    crops = read_index(tmp_path / "r")
    assert 0 < len(crops) < 100
    assert sum(file.stat().st_size for file in (tmp_path / "r").rglob("*") if file.is_file()) <= 50_000
    assert {crop.file for crop in crops} == {
        str(p.relative_to(tmp_path / "r")) for p in (tmp_path / "r").rglob("*.jpg")
    }


def test_a_full_disk_ends_the_recording_and_not_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge.sinks.crops, "RESERVE_BYTES", 1 << 60)
    record(tmp_path / "r", 3)
    assert (tmp_path / "r" / "crops.jsonl").read_bytes() == b""


@pytest.mark.parametrize("options", ["?every=5", "?max_mb=much", "?every_ms=-1"])
def test_options_it_does_not_know_are_refused(tmp_path: Path, options: str) -> None:
    with pytest.raises(ConfigError, match="want every_ms=MILLISECONDS and max_mb=MEGABYTES"):
        record(tmp_path / "r", 1, options)


def test_a_folder_with_a_recording_is_not_recorded_over(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    with pytest.raises(ConfigError, match="want a new or empty folder"):
        record(tmp_path / "r", 1)


def test_covered_is_the_share_inside_the_box_that_covers_most() -> None:
    some = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 2], [100, 0, 101, 1]], np.float32)
    np.testing.assert_allclose(boxes.covered(some), [0.5, 0.5, 1.0, 0.0])
    assert boxes.covered(some[:1]).tolist() == [0.0]
