"""Sources against real files written here; the live ones against a feed that the test drives."""

import itertools
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, SourceError
from edge.sources import open_source
from edge.types import Frame

ROOT = Path(__file__).parents[2]
SIZE = (96, 64)
FPS = 20.0


def numbered(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A BGR picture: left half blue, so that swapped channels show; right half the number in 8 binary bars."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[:, : size[0] // 2] = (255, 0, 0)
    bars = np.array([255 if index >> bit & 1 else 0 for bit in range(8)], np.uint8)
    picture[:, size[0] // 2 :] = cv2.resize(bars[:, None], (size[0] // 2, size[1]), interpolation=cv2.INTER_NEAREST)[
        ..., None
    ]
    return picture


def number_of(image: np.ndarray) -> int:
    rows = image[4 :: SIZE[1] // 8, SIZE[0] * 3 // 4].mean(axis=1)
    return sum(int(value > 128) << bit for bit, value in enumerate(rows))


def write_video(path: Path, frames: int, codec: str = "MJPG", size: tuple[int, int] = SIZE) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), FPS, size)
    for index in range(frames):
        writer.write(numbered(index, size))
    writer.release()
    return path


def read_all(source) -> list[Frame]:
    return list(iter(source.read, None))


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mkv", "mp4v")])
def test_video_gives_every_frame_in_order_as_rgb(tmp_path, name, codec):
    with open_source(str(write_video(tmp_path / name, 40, codec))) as source:
        assert (source.live, source.fps, source.frames, source.dropped) == (False, FPS, 40, 0)
        before = time.monotonic_ns()
        frames = read_all(source)
        assert source.read() is None
    assert [f.index for f in frames] == list(range(40))
    assert [number_of(f.image) for f in frames] == list(range(40))
    assert frames[0].image[10, 10, 2] > 200 > 60 > frames[0].image[10, 10, 0]  # blue is the last channel
    assert np.allclose([f.t_source_ns / 1e6 for f in frames], np.arange(40) * 50, atol=1)
    times = [f.t_capture_ns for f in frames]
    assert times == sorted(times)
    assert before < times[0] <= times[-1] <= time.monotonic_ns()
    assert all(f.decode_ns > 0 for f in frames)


def test_frames_are_owned_by_the_receiver(tmp_path):
    with open_source(str(write_video(tmp_path / "a.avi", 5))) as source:
        first = source.read()
        copy = first.image.copy()
        first.image[:] = copy  # writable
        read_all(source)
    assert np.array_equal(first.image, copy)


def fails(uri: object, error: type[Exception] = SourceError) -> str:
    with pytest.raises(error) as caught:
        open_source(str(uri))
    text = str(caught.value)
    assert "\n" not in text
    assert "want" in text
    assert "got" in text
    assert "; " in text
    return text


def test_files_that_are_no_video_fail_at_open_with_one_sentence(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("not a video\n" * 500)
    for suffix in ("jpg", "png", "bmp"):
        picture = tmp_path / f"a.{suffix}"
        cv2.imwrite(str(picture), numbered(1))
        picture.rename(tmp_path / f"{suffix}.mp4")
    assert "empty file" in fails(tmp_path / "empty.mp4")
    assert "got another file" in fails(tmp_path / "text.mp4")
    assert "JPEG picture" in fails(tmp_path / "jpg.mp4")
    assert "PNG picture" in fails(tmp_path / "png.mp4")
    assert "BMP picture" in fails(tmp_path / "bmp.mp4")
    assert "got no such file; check the path" in fails(tmp_path / "missing.mp4")


def test_nothing_but_our_sentence_reaches_stderr(tmp_path):
    """OpenCV reads FFmpeg's log level once in a process, so this needs one of its own."""
    whole = write_video(tmp_path / "cut.avi", 60).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("not a video\n" * 500)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture \xff\xd9")
    code = """
import sys
from edge.errors import SourceError
from edge.sources import open_source
for uri in sys.argv[1:]:
    try:
        with open_source(uri) as source:
            while source.read():
                pass
    except SourceError as error:
        print(error)
"""
    uris = [str(tmp_path / name) for name in ("cut.avi", "text.mp4", "broken.jpg", "none.mp4")]
    uris += ["99", "http://127.0.0.1:9/none", "rtsp://127.0.0.1:9/none"]
    done = subprocess.run([sys.executable, "-c", code, *uris], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(uris)


def test_an_unknown_scheme_is_a_configuration_error():
    assert "got ftp://, which is not supported; give one" in fails("ftp://host/video", ConfigError)
    assert "got rstp://, which is not supported; did you mean 'rtsp://'?" in fails("rstp://host/video", ConfigError)
    assert "write the path without it" in fails("file:///host/video", ConfigError)
    assert "got an empty text" in fails("", ConfigError)


def test_a_mistyped_file_is_told_its_neighbour(tmp_path):
    (tmp_path / "yard.mp4").touch()
    assert "got no such file; did you mean 'yard.mp4'?" in fails(tmp_path / "yrad.mp4")


def test_a_path_that_cannot_be_looked_at_is_one_sentence(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    assert "want a readable file or folder, got 'Permission denied'" in fails(tmp_path / "x")


def test_a_camera_of_many_digits_is_one_sentence():
    assert "want a camera's number, got 5000 digits" in fails("9" * 5000)
    assert "want a camera number" in fails("picamera:" + "9" * 5000)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux names its cameras /dev/videoN")
def test_camera_that_is_not_there():
    assert "/dev/video99" in fails("99")
    assert "/dev/video99" in fails("/dev/video99")
    assert "size, fps" in fails("99?speed=3", ConfigError)
    assert "1280x720" in fails("99?size=big", ConfigError)


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mkv", "mp4v")])
def test_video_cut_short_gives_what_is_there_and_then_says_so(tmp_path, name, codec):
    whole = write_video(tmp_path / name, 60, codec).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    frames = []
    with open_source(str(tmp_path / name)) as source, pytest.raises(SourceError) as caught:
        frames.extend(iter(source.read, None))
    assert 20 < len(frames) < 45
    assert f"want 60 frames, got {len(frames)}" in str(caught.value)


def test_mp4_without_its_index_fails_at_open(tmp_path):
    whole = write_video(tmp_path / "a.mp4", 60, "mp4v").read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    assert "is the file whole" in fails(tmp_path / "a.mp4")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs the ffmpeg command to make unusual files")
def test_healthy_but_unusual_videos_are_not_called_cut(tmp_path):
    """Varying rate (the count in the header is a guess) and an edit list (frames that are counted and hidden)."""
    source = write_video(tmp_path / "a.avi", 200)

    def ffmpeg(*arguments: str) -> None:
        subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, cwd=tmp_path)

    ffmpeg("-i", source.name, "-vf", "select='if(lt(n,120),1,not(mod(n,8)))'", "-fps_mode", "vfr", "vfr.mkv")
    ffmpeg("-i", source.name, "-c:v", "mpeg4", "-g", "100", "whole.mp4")
    ffmpeg("-ss", "1.5", "-i", "whole.mp4", "-c", "copy", "edited.mp4")
    ffmpeg("-i", "whole.mp4", "-c", "copy", "-movflags", "+faststart", "fast.mp4")
    for name in ("vfr.mkv", "edited.mp4"):
        with open_source(str(tmp_path / name)) as video:
            frames = read_all(video)
            assert len(frames) < video.frames - 5  # the header does promise more
        assert all(a.t_source_ns < b.t_source_ns for a, b in itertools.pairwise(frames))
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "fast.mp4").write_bytes(data[: len(data) // 2])
    with open_source(str(tmp_path / "fast.mp4")) as video, pytest.raises(SourceError, match="want 200 frames"):
        read_all(video)


def test_closing_a_file_ends_it_without_complaint(tmp_path):
    source = open_source(str(write_video(tmp_path / "a.avi", 30)))
    source.read()
    source.close()
    source.close()
    assert source.read() is None


def write_pictures(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), numbered(index))
    return folder


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    folder = write_pictures(tmp_path / "p", ["a1.png", "a2.jpg", "a10.bmp", "b1.webp"])
    (folder / "notes.txt").write_text("no picture")
    (folder / "deeper").mkdir()
    with open_source(str(folder)) as source:
        assert (source.live, source.frames, source.fps) == (False, 4, 10.0)
        frames = read_all(source)
    assert [number_of(f.image) for f in frames] == [0, 1, 2, 3]
    assert [f.t_source_ns // 1_000_000 for f in frames] == [0, 100, 200, 300]


def test_unreadable_picture_is_skipped_by_name_and_leaves_a_gap(tmp_path, caplog):
    folder = write_pictures(tmp_path / "p", ["1.png", "2.jpg", "3.png"])
    data = (folder / "2.jpg").read_bytes()
    (folder / "2.jpg").write_bytes(data[: len(data) * 2 // 3])
    with caplog.at_level(logging.WARNING), open_source(str(folder)) as source:
        assert [f.index for f in read_all(source)] == [0, 2]
        assert source.dropped == 1
    assert "2.jpg" in caplog.text


def test_pictures_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "none in it" in fails(tmp_path / "empty")
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("1.jpg", "2.jpg"):
        (broken / name).write_bytes(b"no picture")
    with open_source(str(broken)) as source, pytest.raises(SourceError, match="2 files"):
        source.read()
    assert "got something else" in fails(broken / "1.jpg")
    assert "No such file" in fails(broken / "3.jpg")


def test_a_single_picture_is_a_source(tmp_path):
    folder = write_pictures(tmp_path / "p", ["1.png"])
    with open_source(str(folder / "1.png")) as source:
        assert len(read_all(source)) == 1


def test_paced_file_plays_at_its_own_speed_and_drops(tmp_path):
    path = write_video(tmp_path / "a.avi", 20)  # 1 s
    with open_source(str(path), pace=True) as source:
        assert source.live
        assert source.frames == 20
        time.sleep(0.2)  # it starts with the first read, not with open
        begin = time.monotonic_ns()
        frames = [source.read()]
        while (frame := source.read()) is not None:
            frames.append(frame)
            time.sleep(0.12)  # slower than the 50 ms of a frame
        took_s = (time.monotonic_ns() - begin) / 1e9
    assert 0.85 < took_s < 2.5
    assert frames[0].index == 0
    assert frames[-1].index == 19
    assert source.dropped == 20 - len(frames) > 3
    assert [number_of(f.image) for f in frames] == [f.index for f in frames]
    for frame in frames:  # scheduled: at the source's own time, never before
        assert frame.t_capture_ns - frames[0].t_capture_ns >= frame.t_source_ns - 1_000_000
    assert frames[0].t_capture_ns >= begin


def test_importing_sources_leaves_the_process_alone():
    """No work at import: neither the environment nor OpenCV's log level changes."""
    code = """
import os, sys, cv2
level = getattr(cv2, "getLogLevel", None) or cv2.utils.logging.getLogLevel
before = dict(os.environ), level()
import edge.sources, edge.sinks
assert before == (dict(os.environ), level())
assert "picamera2" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
