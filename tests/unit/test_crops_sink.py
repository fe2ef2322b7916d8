"""What `crops:` records is read back as the miner reads it."""

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

import edge.sinks.crops
from edge import boxes
from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.place import MARK
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


def record(folder: Path, frames: int, options: str = "", **more: object) -> None:
    with open_sink(f"crops:{folder}{options}", an_output(**more)) as sink:
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


def test_the_system_s_reserve_of_the_disk_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sink(f"crops:{tmp_path}/r", an_output()) as sink:
        monkeypatch.setattr(edge.sinks.crops, "RESERVE_BYTES", 1 << 60)
        with pytest.raises(OutputError, match="MB free of the"):
            sink.write(result(0))
    assert not list((tmp_path / "r").iterdir()), "a run that recorded nothing leaves nothing"
    with pytest.raises(OutputError, match="MB free of the"):
        record(tmp_path / "r", 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("?every=5", "did you mean 'every_ms'"),
        ("?max_mb=much", "want max_mb to be a number"),
        ("?every_ms=-1", "want every_ms to be a number from 0"),
    ],
)
def test_options_it_does_not_know_are_refused(tmp_path: Path, options: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        record(tmp_path / "r", 1, options)
    assert not (tmp_path / "r").exists()


def test_a_restart_begins_a_new_run_and_the_reader_keeps_their_tracks_apart(tmp_path: Path) -> None:
    record(tmp_path / "r", 3)
    record(tmp_path / "r", 1)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["run-0001", "run-0002"]
    both, second = read_index(tmp_path / "r"), read_index(tmp_path / "r" / "run-0002")
    first = [crop for crop in both if crop.file.startswith("run-0001/")]
    later = [crop for crop in both if crop.file.startswith("run-0002/")]
    assert (len(first), len(later), len(both)) == (5, 3, 8)
    assert all((tmp_path / "r" / crop.file).is_file() for crop in both)
    assert [crop.track for crop in second] == [7, 9, 11]
    assert [crop.track for crop in later] == [18, 20, 22], "counted on from track 11"
    for what in ("track", "frame", "t_ms"):
        assert max(getattr(crop, what) for crop in first) < min(getattr(crop, what) for crop in later)
    assert read_index(tmp_path / "r" / "run-0001") == [
        msgspec.structs.replace(crop, file=crop.file.removeprefix("run-0001/")) for crop in first
    ]


def test_a_recording_of_an_older_version_is_read_with_the_runs_that_follow_it(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    for path in list((tmp_path / "r" / "run-0001").iterdir()):
        path.rename(tmp_path / "r" / path.name)
    (tmp_path / "r" / "run-0001").rmdir()
    record(tmp_path / "r", 1)
    assert [crop.file[:8] for crop in read_index(tmp_path / "r")] == ["000007/0", "000009/0", "000011/0"] + [
        "run-0001"
    ] * 3


def test_all_runs_together_have_one_share_of_the_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record(tmp_path / "r", 50, "?every_ms=0&max_mb=0.05")
    there = len(read_index(tmp_path / "r"))
    record(tmp_path / "r", 50, "?every_ms=0&max_mb=0.05")
    assert len(read_index(tmp_path / "r")) - there <= 2
    assert sum(file.stat().st_size for file in (tmp_path / "r").rglob("*") if file.is_file()) <= 50_000
    record(tmp_path / "r", 50, "?max_mb=0.01")
    assert "used up by older runs" in caplog.text
    record(tmp_path / "r", 1, overwrite=True)
    assert len(read_index(tmp_path / "r")) == 3


def test_what_a_killed_run_left_half_way_goes_at_the_next_start(tmp_path: Path) -> None:
    record(tmp_path / "r", 1)
    (tmp_path / "r" / "run-0001" / "000007" / "00000009.part").write_bytes(b"half")
    (tmp_path / "r" / "run-0002").mkdir()
    (tmp_path / "r" / "run-0002" / "crops.jsonl").touch()
    (tmp_path / "r" / "run-0002" / MARK).write_text("crops\n")
    (tmp_path / "r" / "mine.part").write_bytes(b"of the user")
    record(tmp_path / "r", 1)
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["mine.part", "run-0001", "run-0002"]
    assert not list((tmp_path / "r" / "run-0001").rglob("*.part"))
    assert len(read_index(tmp_path / "r")) == 6


def test_two_runs_do_not_record_into_one_folder_at_a_time(tmp_path: Path) -> None:
    with (
        open_sink(f"crops:{tmp_path}/r", an_output()),
        pytest.raises(ConfigError, match="another edge-run writes there"),
    ):
        record(tmp_path / "r", 1)


def test_a_folder_that_is_moved_away_is_a_refusal_and_not_made_again(tmp_path: Path) -> None:
    with open_sink(f"crops:{tmp_path}/r", an_output()) as sink:
        sink.write(result(0))
        (tmp_path / "r").rename(tmp_path / "away")
        with pytest.raises(OutputError, match="No such file"):
            sink.write(result(9))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["away"]
    with pytest.raises(ConfigError, match="make it first"):
        record(tmp_path / "none" / "r", 1)


def test_covered_is_the_share_inside_the_box_that_covers_most() -> None:
    some = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 10, 2], [100, 0, 101, 1]], np.float32)
    np.testing.assert_allclose(boxes.covered(some), [0.5, 0.5, 1.0, 0.0])
    assert boxes.covered(some[:1]).tolist() == [0.0]
