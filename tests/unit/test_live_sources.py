"""The capture thread against a feed that the test drives, and the Pi camera against a stand-in for Picamera2."""

import sys
import threading
import time
import types

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, SourceError
from edge.sources import open_source
from edge.sources.live import PATIENT_S, LiveSource
from edge.sources.picamera import yuv420_to_rgb
from edge.types import Frame


class Valve:
    """A feed whose frames the test lets out one by one; its picture tells its number."""

    name, fps, frames = "valve", None, None

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.closed = threading.Event()
        self.last: Frame | Exception | None = None
        self.count = 0

    def read(self) -> Frame | None:
        self.gate.acquire()
        if self.last is not None:
            raise self.last
        frame = Frame(self.count, time.monotonic_ns(), np.full((2, 2, 3), self.count, np.uint8), self.count * 1000)
        self.count += 1
        return frame

    def close(self) -> None:
        self.closed.set()

    def let(self, count: int) -> None:
        """Let out so many frames and wait until the thread is back at the gate."""
        want = self.count + count
        self.gate.release(count)
        wait_until(lambda: self.count == want)
        time.sleep(0.02)  # the last one is on its way into the slot


def wait_until(true, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def test_live_gives_the_newest_frame_and_counts_the_others():
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        assert source.live
        valve.let(3)  # nobody reads yet: no loss
        assert source.read().index == 0
        assert source.dropped == 0
        valve.let(1)
        assert source.read().index == 1
        valve.let(5)
        frame = source.read()
        assert (frame.index, source.dropped) == (6, 4)
        assert int(frame.image[0, 0, 0]) == 9  # three frames came before the first that was read
        assert frame.t_source_ns == 6000
        valve.let(1)
        assert source.read().index == 7
        assert source.dropped == 4
        valve.gate.release()  # close() finds a thread that is not stuck
    assert valve.closed.wait(2)


def test_live_reader_waits_for_a_new_frame():
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        source.read()
        timer = threading.Timer(0.1, valve.gate.release)
        timer.start()
        begin = time.monotonic()
        assert source.read().index == 1
        assert time.monotonic() - begin > 0.05
        valve.gate.release()


def test_live_gives_the_last_frame_before_the_error():
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        source.read()
        valve.let(1)
        valve.last = SourceError("valve: want frames, got none; mend it")
        valve.gate.release()
        assert valve.closed.wait(2)
        assert source.read().index == 1
        for _ in range(2):
            with pytest.raises(SourceError, match="mend it"):
                source.read()


def test_live_fails_at_open_when_the_first_frame_does():
    valve = Valve()
    valve.last = SourceError("valve: want frames, got none; mend it")
    valve.gate.release()
    with pytest.raises(SourceError, match="mend it"):
        LiveSource(valve)
    assert valve.closed.is_set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_live_thread_that_dies_is_an_error_and_no_end():
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        source.read()
        valve.last = RuntimeError("a bug")
        valve.gate.release()
        with pytest.raises(SourceError, match="unexpected"):
            source.read()


def test_live_close_is_bounded_when_the_device_blocks():
    valve = Valve()
    valve.gate.release()
    source = LiveSource(valve)
    begin = time.monotonic()
    source.close()
    assert time.monotonic() - begin < 5
    assert source.read() is None
    valve.gate.release()  # let the thread end


def test_live_close_from_another_thread_or_a_signal_wakes_the_reader():
    valve = Valve()
    valve.gate.release()
    source = LiveSource(valve)
    source.read()
    timer = threading.Timer(0.1, source.close)
    timer.start()
    assert source.read() is None
    valve.gate.release()
    timer.join()


def test_yuv420_with_padded_rows_is_converted_whole_and_cropped():
    """The oracle is OpenCV's own RGB to I420; rows of Y padded to 64, of U and V to 32."""
    width, height, stride = 40, 24, 64
    rgb = cv2.resize(np.random.default_rng(1).integers(0, 255, (3, 5, 3), np.uint8), (width, height))
    tight = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    buffer = np.full((height * 3 // 2, stride), 99, np.uint8)
    luma, chroma = width * height, width * height // 4
    buffer[:height, :width] = tight[:luma].reshape(height, width)
    halves = buffer[height:].reshape(height, stride // 2)  # U rows, then V rows
    halves[: height // 2, : width // 2] = tight[luma : luma + chroma].reshape(height // 2, width // 2)
    halves[height // 2 :, : width // 2] = tight[luma + chroma :].reshape(height // 2, width // 2)
    got = yuv420_to_rgb(buffer, width, height)
    want = cv2.cvtColor(tight.reshape(height * 3 // 2, width), cv2.COLOR_YUV2RGB_I420)
    assert got.flags.c_contiguous
    assert np.array_equal(got, want)


class FakePicamera2:
    """What `PiCamera` uses of Picamera2 0.3, by its source. Never compared with a board."""

    opened: "FakePicamera2"

    @staticmethod
    def global_camera_info() -> list[dict[str, object]]:
        return [{"Num": 0}]

    def __init__(self, number: int) -> None:
        FakePicamera2.opened, self.number, self.released, self.state = self, number, 0, []

    def create_video_configuration(self, **streams):
        return streams

    def configure(self, configuration):
        self.configuration = configuration

    def camera_configuration(self):
        return self.configuration

    def start(self):
        self.state.append("start")

    def stop(self):
        self.state.append("stop")

    def close(self):
        self.state.append("close")

    def capture_request(self):
        time.sleep(0.005)
        self.count = getattr(self, "count", 0) + 1
        return self

    def make_array(self, stream):
        width, height = self.configuration[stream]["size"]
        if stream == "lores":
            return np.full((height * 3 // 2, width + 24), 128, np.uint8)
        assert self.configuration[stream]["format"] == "BGR888"
        return np.full((height, width, 3), (250, 100, 10), np.uint8)

    def get_metadata(self):
        return {"SensorTimestamp": 10**15 + self.count * 33_000_000}

    def release(self):
        self.released += 1


@pytest.fixture
def picamera2(monkeypatch):
    module = types.ModuleType("picamera2")
    module.Picamera2 = FakePicamera2
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return module


def test_picamera_main_stream(picamera2):
    with open_source("picamera:?size=64x48&fps=15") as source:
        first, second = source.read(), source.read()
        assert (source.fps, source.live) == (15.0, True)
    assert first.image.shape == (48, 64, 3)
    assert first.image[0, 0].tolist() == [250, 100, 10]
    assert first.t_source_ns == 0
    assert second.t_source_ns == (second.index - first.index) * 33_000_000
    camera = FakePicamera2.opened
    assert camera.state == ["start", "stop", "close"]
    assert camera.released == camera.count
    assert camera.configuration["controls"] == {"FrameRate": 15.0}


def test_picamera_lores_stream(picamera2):
    with open_source("picamera:0?lores=40x24") as source:
        assert source.read().image.shape == (24, 40, 3)


def test_picamera_that_is_not_there(picamera2, monkeypatch):
    with pytest.raises(SourceError, match="got 1 here"):
        open_source("picamera:3")
    with pytest.raises(SourceError, match="write picamera:0"):
        open_source("picamera:front")
    with pytest.raises(ConfigError, match="size, fps, lores"):
        open_source("picamera:0?zoom=2")
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match="system-site-packages"):
        open_source("picamera:0")


def test_a_device_that_gives_no_frame_is_spoken_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.sources.live.PATIENT_S", 0.05)
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        assert source.size == (2, 2)
        source.read()
        threading.Timer(0.3, valve.gate.release).start()
        assert source.read() is not None
        said = [record.getMessage() for record in caplog.records]
        assert said[0].startswith("valve: no frame for ")
        assert said[0].endswith("; waiting")
        assert said[1].startswith("valve: frames again after ")
        assert len(said) == 2
        valve.last = SourceError("over")
        valve.gate.release()


def test_a_frame_that_comes_in_time_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    valve = Valve()
    valve.gate.release()
    with LiveSource(valve) as source:
        source.read()
        threading.Timer(0.1, valve.gate.release).start()
        source.read()
        valve.gate.release()
    assert not caplog.records


def test_how_long_a_device_may_be_silent() -> None:
    assert PATIENT_S == 3.0
