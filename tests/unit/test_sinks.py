"""Sinks: what they write is read back by other programs' eyes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sinks.video
from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.draw import GREY, annotate, color_of
from edge.types import Detections, Frame, FrameResult, Tracks
from tests.output import an_output

ROOT = Path(__file__).parents[2]
LABELS = ("person", "horse")


def result(
    index: int = 0, size: tuple[int, int] = (160, 120), *, t_ms: float | None = None, found: int = 2
) -> FrameResult:
    """Two detections; track 7 took the first, track 9 coasts."""
    width, height = size
    boxes = np.array([[10, 30, 50, 100], [70.126, 30, 110, 100]], np.float32)[:found]
    detections = Detections(boxes, np.array([0.912345, 0.5], np.float32)[:found], np.array([0, 1], np.int32)[:found])
    tracks = Tracks(
        ids=np.array([7, 9]),
        boxes=np.array([[10, 30, 50, 100], [115, 40, 150, 110]], np.float32),
        scores=np.array([0.9, 0.8], np.float32),
        classes=np.array([0, 5], np.int32),
        detection=np.array([0, -1], np.int32),
        identity=np.full(2, -1),
        distance=np.array([0.123456, np.nan], np.float32),
    )
    image = np.full((height, width, 3), (200, 30, 60), np.uint8)
    frame = Frame(index, 0, image, round((index * 100 if t_ms is None else t_ms) * 1e6))
    return FrameResult(frame, detections, tracks, {"decode": 1_234_567, "detect": 0}, ("embed",), 12_345_678)


def opened(uri: str, fps: float = 10.0):
    return open_sink(uri, an_output(LABELS, fps))


def test_jsonl_schema(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("from an older run\n")
    with opened(f"jsonl:{path}") as sink:
        sink.write(result(3))
        sink.write(result(4))
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == {
        "frame": 3,
        "t_ms": 300.0,
        "age_ms": 12.346,
        "stages_ms": {"decode": 1.235, "detect": 0.0},
        "shed": ["embed"],
        "detections": [
            {"box": [10.0, 30.0, 50.0, 100.0], "score": 0.9123, "class": "person"},
            {"box": [70.13, 30.0, 110.0, 100.0], "score": 0.5, "class": "horse"},
        ],
        "tracks": [
            {
                "id": 7,
                "box": [10.0, 30.0, 50.0, 100.0],
                "class": "person",
                "score": 0.9,
                "coasting": False,
                "distance": 0.1235,
            },
            {
                "id": 9,
                "box": [115.0, 40.0, 150.0, 110.0],
                "class": "5",
                "score": 0.8,
                "coasting": True,
                "distance": None,
            },
        ],
    }
    assert list(first) == ["frame", "t_ms", "age_ms", "stages_ms", "shed", "detections", "tracks"]
    assert list(first["tracks"][0]) == ["id", "box", "class", "score", "coasting", "distance"]
    assert second["frame"] == 4


def test_jsonl_without_anything_found(tmp_path):
    none = Tracks(
        *(np.zeros(0, np.int64), np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)),
        *(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.float32)),
    )
    with opened(f"jsonl:{tmp_path / 'a.jsonl'}") as sink:
        sink.write(FrameResult(result().frame, Detections.none(), none))
    line = json.loads((tmp_path / "a.jsonl").read_text())
    assert (line["detections"], line["tracks"]) == ([], [])


def child(body: str, *arguments: str, **options) -> subprocess.Popen:
    """Run Python that has `result` and `open_sink`."""
    code = "import sys; from tests.unit.test_sinks import *\n" + body
    return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=ROOT, **options)


def test_jsonl_lines_survive_kill(tmp_path):
    path = tmp_path / "a.jsonl"
    process = child("sink = opened(sys.argv[1])\nfor i in range(10**9): sink.write(result(i))", f"jsonl:{path}")
    end = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < 20_000:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    text = path.read_text()
    assert text.endswith("\n")
    assert [json.loads(line)["frame"] for line in text.splitlines()] == list(range(text.count("\n")))


def test_jsonl_to_a_reader_that_leaves_ends_the_run(tmp_path):
    body = """
sink, count = opened("jsonl:-"), 0
while not sink.wants_stop and count < 10**5:
    sink.write(result(count)); count += 1
sink.close()
print("somebody prints after all")
sys.exit(0 if sink.wants_stop else 9)
"""
    process = child(body, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["frame"] == 0
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
def test_jsonl_on_a_full_disk():
    sink = opened("jsonl:/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        sink.write(result())
    sink.close()


def test_jsonl_cuts_off_half_a_line_when_the_disk_fills(tmp_path):
    path = tmp_path / "a.jsonl"
    body = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sink = opened(sys.argv[1])
try:
    for i in range(99): sink.write(result(i))
except ConfigError as error:
    print(error)
"""
    out = child(body, f"jsonl:{path}", stdout=subprocess.PIPE, text=True).communicate()[0]
    assert "want a place that can be written, got 'File too large'" in out
    assert path.read_text().endswith("\n")
    assert all(json.loads(line) for line in path.read_text().splitlines())


@pytest.mark.parametrize("kind", ["jsonl", "video", "png"])
def test_places_that_cannot_be_written_fail_at_open(tmp_path, kind):
    suffix = {"jsonl": ".jsonl", "video": ".mp4", "png": ".png"}[kind]
    (tmp_path / f"folder{suffix}").mkdir()
    cases = {
        f"{kind}:": f"write {kind}:PATH",
        f"{kind}:{tmp_path}/none/a{suffix}": "make it first",
        f"{kind}:{tmp_path}/folder{suffix}": "got a folder",
        f"{kind}:/proc/a{suffix}": "want a place that can be written",
        f"{kind}:{tmp_path}/{'a' * 300}{suffix}": "want a",
    }
    for uri, words in cases.items():
        with pytest.raises(ConfigError) as caught:
            opened(uri)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    opened(f"{kind}:{tmp_path}/a{suffix}").close()
    assert kind == "jsonl" or not (tmp_path / f"a{suffix}").exists()  # no frame, no file


@pytest.mark.parametrize("uri", ["result.jsonl", "xml:a.xml", "", "jsonl", ":"])
def test_unknown_kinds(uri):
    known = "jsonl:PATH, video:PATH, png:PATH, folder:PATH, crops:DIR, window:, null:"
    with pytest.raises(ConfigError, match=f"want one of {known}"):
        opened(uri)


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        ok, frame = capture.read()
        if not ok:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_video_plays_with_the_annotated_frames(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with opened(f"video:{path}") as sink:
        for index in range(12):
            sink.write(result(index))
        assert not sink.wants_stop
    frames, fps = read_video(path)
    assert (len(frames), fps) == (12, 10.0)
    assert np.abs(frames[5].astype(int) - annotate(result(5), LABELS)).mean() < 12  # lossy
    assert abs(int(frames[5][5, 5, 2]) - 200) < 12  # red stayed red


def test_video_is_playable_after_an_interruption(tmp_path):
    path = tmp_path / "a.mp4"
    body = """
import signal
try:
    with opened(sys.argv[1]) as sink:
        for i in range(10**9):
            sink.write(result(i))
            if i == 20: print("ready", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""

    def hear_ctrl_c():  # a shell has what it starts in the background ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    process = child(body, f"video:{path}", stdout=subprocess.PIPE, preexec_fn=hear_ctrl_c)
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
    assert len(read_video(path)[0]) > 20


def test_video_keeps_the_source_s_time_when_frames_were_dropped(tmp_path):
    with opened(f"video:{tmp_path / 'a.avi'}") as sink:
        for index, t_ms in enumerate([5000, 5100, 5500, 5590, 5700]):
            sink.write(result(index, t_ms=t_ms))
    assert len(read_video(tmp_path / "a.avi")[0]) == 8
    with opened(f"video:{tmp_path / 'b.avi'}") as sink:
        for index, t_ms in enumerate([0, 3_600_000, 3_600_100]):  # an hour without a stream
            sink.write(result(index, t_ms=t_ms))
    assert len(read_video(tmp_path / "b.avi")[0]) == 1 + 100 + 1


def test_video_of_frames_that_change_size(tmp_path):
    with opened(f"video:{tmp_path / 'a.avi'}") as sink:
        for index, size in enumerate([(161, 121), (161, 121), (320, 120), (64, 200)]):
            sink.write(result(index, size))
    frames, _ = read_video(tmp_path / "a.avi")
    assert [f.shape for f in frames] == [(120, 160, 3)] * 4


def test_video_stops_whole_before_the_disk_is_full(tmp_path, monkeypatch):
    sink = opened(f"video:{tmp_path / 'a.mp4'}")
    for index in range(5):
        sink.write(result(index))
    monkeypatch.setattr(edge.sinks.video, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(ConfigError, match="the first 5 frames are saved"):
        sink.write(result(5))
    sink.write(result(6))
    sink.close()
    assert len(read_video(tmp_path / "a.mp4")[0]) == 5


def test_video_needs_a_known_suffix_and_a_rate(tmp_path):
    for uri, fps, words in (
        ("a.gif", 10.0, ".mp4, .avi, .mkv"),
        ("a.mp4", 0.0, "above 0"),
        ("a.mp4", float("nan"), "above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            opened(f"video:{tmp_path / uri}", fps)


def test_png_is_the_last_frame(tmp_path):
    with opened(f"png:{tmp_path / 'a.png'}") as sink:
        sink.write(result(0, (64, 48)))
        sink.write(result(1))
        assert not (tmp_path / "a.png").exists()
    assert np.array_equal(cv2.imread(str(tmp_path / "a.png")), annotate(result(1), LABELS))
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        opened(f"png:{tmp_path / 'a.jpg'}")


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
