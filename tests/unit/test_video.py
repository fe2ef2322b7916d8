"""The `video:` sink: what it writes is read back by another program, at any moment of its making."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sinks.vp8
from edge.errors import ConfigError, OutputError
from edge.sinks import open_sink
from edge.sinks.draw import annotate
from edge.sinks.vp8 import Vp8Encoder, Vp8Error, library
from edge.sinks.webm import WebmFile
from edge.types import Detections, Frame, FrameResult, Tracks
from tests.kill.video import films_lost
from tests.output import an_output

ROOT = Path(__file__).parents[2]


def result(index: int = 0, size: tuple[int, int] = (160, 120), t_ms: float | None = None) -> FrameResult:
    width, height = size
    image = np.full((height, width, 3), (200, 30, 60), np.uint8)
    image[:, (5 * index) % width :] += 25  # something moves
    frame = Frame(index, 0, image, round((index * 100 if t_ms is None else t_ms) * 1e6))
    boxes = np.array([[10, 30, 50, 100]], np.float32)
    return FrameResult(
        frame, Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int32)), Tracks.none(), {}, (), 0
    )


def opened(path: Path, fps: float = 10.0, **more: object):
    return open_sink(f"video:{path}", an_output(fps=fps, **more))


def played(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Pictures and their times in milliseconds."""
    capture = cv2.VideoCapture(str(path))
    frames, times = [], []
    while capture.grab():
        times.append(round(capture.get(cv2.CAP_PROP_POS_MSEC), 3))
        frames.append(capture.retrieve()[1])
    return frames, times


def written(path: Path, times_ms: list[float]) -> list[float]:
    with opened(path) as sink:
        for index, t_ms in enumerate(times_ms):
            sink.write(result(index, t_ms=t_ms))
    return played(path)[1]


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".WEBM"])
def test_it_plays_with_the_annotated_frames(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with opened(path) as sink:
        for index in range(12):
            sink.write(result(index))
        assert not sink.wants_stop
    frames, times = played(path)
    assert times == [100.0 * index for index in range(12)]
    for index in (0, 5, 11):
        assert np.abs(frames[index].astype(int) - annotate(result(index), ("person",))).mean() < 6  # lossy
    assert abs(int(frames[5][115, 155, 2]) - 225) < 12  # red stayed red
    kind = b"webm" if suffix.lower() == ".webm" else b"matroska"
    assert kind in path.read_bytes()[:64]
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "the lock has gone"


KILLED = """
import sys
from pathlib import Path
from tests.unit.test_video import opened, result
sink = opened(Path(sys.argv[1]))
for index in range(int(sys.argv[2])):
    sink.write(result(index))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [1, 2, 60])
def test_kill_9_loses_no_frame_that_was_written(tmp_path, number):
    path = tmp_path / "a.webm"
    words = [sys.executable, "-c", KILLED, str(path), str(number)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert len(played(path)[0]) == number
    assert written(path, [0, 100]) == [100.0 * index for index in range(number)], "the old film was left alone"
    assert len(played(tmp_path / "a-2.webm")[0]) == 2, "the new run has its own"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.webm", "a.webm"]


def test_overwrite_is_by_wish_and_two_sinks_do_not_share_a_place(tmp_path):
    path = tmp_path / "a.webm"
    assert len(written(path, [0, 100, 200])) == 3
    with opened(path, overwrite=True) as sink:
        sink.write(result())
        with pytest.raises(ConfigError, match="another edge-run writes there"):
            opened(path)
    assert len(played(path)[0]) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.webm"]


def test_two_films_whose_parts_would_have_one_name_are_kept_apart(tmp_path):
    written(tmp_path / "g.webm", [0])
    with opened(tmp_path / "g.webm") as first:
        with pytest.raises(ConfigError, match="another edge-run writes there"):
            opened(tmp_path / "g-2.webm")  # the part that the first one has chosen
        first.write(result())
    written(tmp_path / "h.webm", [0])
    with opened(tmp_path / "h-2.webm") as first, opened(tmp_path / "h.webm") as second:
        first.write(result())
        second.write(result())
    assert sorted(p.name for p in tmp_path.glob("h*")) == ["h-2.webm", "h-3.webm", "h.webm"]


def test_it_keeps_the_source_s_time_when_frames_were_dropped(tmp_path):
    assert written(tmp_path / "a.webm", [5000, 5100, 5500, 5590, 5700]) == [0, 100, 500, 590, 700]
    hour = written(tmp_path / "b.webm", [0, 3_600_000, 3_600_100])  # an hour without a stream
    assert hour == [0, 10_000, 10_100], "a gap is cut to ten seconds"
    assert written(tmp_path / "c.webm", [0, 5000, 15_000])[-1] == 15_000, "ten seconds are no gap to cut"
    assert written(tmp_path / "d.webm", [0, 900, 100, 200, 200]) == [0, 900, 1000, 1100, 1200], "time never goes back"


def test_key_frames_come_every_four_seconds(tmp_path):
    written(tmp_path / "a.webm", [100.0 * index for index in range(90)])
    capture = cv2.VideoCapture(str(tmp_path / "a.webm"))
    capture.set(cv2.CAP_PROP_FORMAT, -1)  # packets as they are
    keys = [index for index in range(90) if capture.read()[1].ravel()[0] & 1 == 0]
    assert keys == [0, 40, 80]


def test_frames_that_change_size_and_odd_sizes(tmp_path):
    with opened(tmp_path / "a.webm") as sink:
        for index, size in enumerate([(161, 121), (161, 121), (320, 120), (64, 200)]):
            sink.write(result(index, size))
    assert [f.shape for f in played(tmp_path / "a.webm")[0]] == [(120, 160, 3)] * 4
    for size, want in (((1, 1), (2, 2, 3)), ((33, 301), (300, 32, 3)), ((20_000, 10), (8, 16_382, 3))):
        path = tmp_path / f"{size[0]}.webm"
        with opened(path, 1.0) as sink:
            sink.write(result(0, size))
        assert [f.shape for f in played(path)[0]] == [want]


FULL = """
import sys
from pathlib import Path
from edge.errors import OutputError
from tests.unit.test_video import opened, result
sink = opened(Path(sys.argv[1]))
count = 0
try:
    while count < 10_000:
        sink.write(result(count, (640, 480)))
        count += 1
except OutputError as error:
    print(count, error)
sink.close()
"""


def test_on_a_full_disk_what_was_written_plays(tmp_path):
    def at_most_100_kb():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    words = [sys.executable, "-c", FULL, str(tmp_path / "a.webm")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, preexec_fn=at_most_100_kb, check=False)
    assert done.returncode == 0, done.stderr
    count, words = done.stdout.split(maxsplit=1)
    assert "want a place that can be written, got 'File too large'" in words
    frames, _ = played(tmp_path / "a.webm")
    assert len(frames) == int(count) > 5
    assert (tmp_path / "a.webm").stat().st_size <= 100_000


def test_what_cannot_be(tmp_path, monkeypatch):
    for name, fps, words in (
        ("a.mp4", 10.0, r"\.webm or \.mkv"),
        ("a.webm", 0.0, "above 0"),
        ("a.webm", float("nan"), "above 0"),
        ("a.webm", 1e4, "above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            opened(tmp_path / name, fps)
    monkeypatch.setattr(edge.sinks.vp8, "_maps", list)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    library.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"want libvpx.*got none.*install"):
            opened(tmp_path / "a.webm")
    finally:
        monkeypatch.undo()
        library.cache_clear()
    with pytest.raises(Vp8Error, match="99999x2"):
        Vp8Encoder((99_999, 2), 10.0)
    assert not list(tmp_path.iterdir())


def coded_bytes(noise: int, fps: float = 10.0, size: tuple[int, int] = (320, 240)) -> float:
    """Bytes a frame of a grey picture with so much noise, once the encoder has settled."""
    width, height = size
    pictures = 128 + np.random.default_rng(0).integers(-noise, noise + 1, (40, height, width, 3))
    encoder = Vp8Encoder(size, fps)
    sizes = [len(encoder.encode(p.astype(np.uint8), 100 * i, 100, i == 0)[0]) for i, p in enumerate(pictures)]
    encoder.close()
    encoder.close()
    return sum(sizes[20:]) / 20


def test_bytes_are_bounded_and_the_noise_of_a_sensor_is_not_coded(monkeypatch):
    wanted = 0.25 * 320 * 240 / 8
    assert 0.5 * wanted < coded_bytes(60) < 1.5 * wanted, "what moves much takes what BITS_PER_PIXEL says"
    assert coded_bytes(60, fps=5.0) < 0.7 * coded_bytes(60, fps=20.0), "and follows the rate of frames"
    still = coded_bytes(6)
    monkeypatch.setattr(edge.sinks.vp8, "FINEST", 4)
    assert still < 0.5 * coded_bytes(6)


def test_a_cluster_is_never_longer_than_its_clock(tmp_path):
    encoder = Vp8Encoder((32, 32), 1.0)
    file = WebmFile(tmp_path / "a.webm", (32, 32))
    for index, time_ms in enumerate((0, 20_000, 40_000, 80_000)):  # 16 bits count to 32,767
        data, key = encoder.encode(np.zeros((32, 32, 3), np.uint8), time_ms, 1000, index == 0)
        file.add(data, time_ms, time_ms + 1000, key)
    file.close()
    file.close()
    assert played(tmp_path / "a.webm")[1] == [0, 20_000, 40_000, 80_000]


def test_tries_on_a_full_disk_leave_no_empty_films(tmp_path, monkeypatch):
    full = {"after": 0}
    real = os.pwrite

    def pwrite(file: int, data: bytes, at: int) -> int:
        if at >= full["after"]:
            raise OSError(28, "No space left on device")
        return real(file, data[: full["after"] - at], at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    for full["after"] in (0, 100, 300):  # bytes: in the head or in the first picture
        sink = opened(tmp_path / "a.webm")
        with pytest.raises(OutputError, match="No space left"):
            sink.write(result())
        sink.close()
        assert list(tmp_path.iterdir()) == []


def test_disk_errors_are_of_the_system(tmp_path, monkeypatch):
    sink = opened(tmp_path / "a.webm")
    sink.write(result())
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        sink.write(result(1))
    monkeypatch.undo()
    sink.close()
    sink.write(result(2))  # after the end: nothing
    assert len(played(tmp_path / "a.webm")[0]) == 1


def test_the_kill_check_finds_what_is_lost(tmp_path):
    seen: dict[str, int] = {}
    assert films_lost(tmp_path, [1], seen) == []
    assert films_lost(tmp_path, [5], seen) == ["0 films of 1 runs"]
    written(tmp_path / "film.webm", [0, 100, 200])
    assert films_lost(tmp_path, [3], seen) == films_lost(tmp_path, [4], seen) == []
    assert films_lost(tmp_path, [5], seen) == ["film.webm: 3 frames play of 5"]
    written(tmp_path / "film.webm", [0, 100])
    assert films_lost(tmp_path, [3, 2], seen) == []
    (tmp_path / "film.webm").write_bytes((tmp_path / "film.webm").read_bytes()[:-9])
    assert films_lost(tmp_path, [3, 2], seen) == ["film.webm: changed by a later run"]
    (tmp_path / "film.webm").unlink()
    assert films_lost(tmp_path, [3, 2], seen)[0] == "film.webm: gone"
