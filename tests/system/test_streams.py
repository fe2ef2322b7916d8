"""Streams from real servers on this machine: MJPEG over HTTP, and RTSP where GStreamer's server is installed."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sources.stream
from edge.errors import SourceError
from edge.sources import open_source
from edge.sources.live import LiveSource
from edge.sources.stream import Stream

SIZE = (96, 64)
FPS = 30
SYSTEM_PYTHON = "/usr/bin/python3"

RTSP_SERVER = """
import sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer.new()
server.set_address("127.0.0.1"); server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory.new()
factory.set_launch("( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 "
                   "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! rtph264pay name=pay0 pt=96 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/cam", factory)
server.attach(None)
missing = [name for name in ("videotestsrc", "x264enc", "rtph264pay") if Gst.ElementFactory.find(name) is None]
print("missing " + " ".join(missing) if missing else "ready", flush=True)
GLib.MainLoop().run()
"""


def numbered(index: int) -> bytes:
    """A JPEG with its number as 12 binary bars from left to right."""
    bars = np.array([[255 if index >> bit & 1 else 0 for bit in range(12)]], np.uint8)
    return cv2.imencode(".jpg", cv2.resize(bars, SIZE, interpolation=cv2.INTER_NEAREST))[1].tobytes()


def number_of(image: np.ndarray) -> int:
    columns = image[:, 4 :: SIZE[0] // 12].mean(axis=(0, 2))
    return sum(int(value > 128) << bit for bit, value in enumerate(columns))


class Camera:
    """An HTTP server that streams numbered pictures. `broken` cuts every connection and refuses new ones."""

    def __init__(self, port: int = 0) -> None:
        self.broken, self.sent, self.connections = threading.Event(), 0, 0
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera.broken.is_set() or self.path != "/stream":
                    self.send_error(404)
                    return
                camera.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not camera.broken.wait(1 / FPS):
                        data = numbered(camera.sent)
                        camera.sent += 1
                        head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                        self.wfile.write(head.encode() + data + b"\r\n")

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/stream"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.broken.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera()
    yield camera
    camera.close()


def open_stream(url: str, patience_s: float) -> LiveSource:
    stop = threading.Event()
    return LiveSource(Stream(url, stop, patience_s=patience_s), stop=stop)


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.005)


def test_mjpeg_over_http(camera):
    with open_source(camera.url) as source:
        assert (source.live, source.frames) == (True, None)
        frames = [source.read() for _ in range(20)]
    numbers = [number_of(f.image) for f in frames]
    assert all(f.image.shape == (SIZE[1], SIZE[0], 3) for f in frames)
    assert [n - numbers[0] for n in numbers] == [f.index for f in frames]
    times = [f.t_source_ns for f in frames]
    assert times == sorted(times)
    assert times[0] == 0
    assert 0.2 < times[-1] / 1e9 < 5  # 19 pictures at 30 a second take 0.63 s


def test_slow_reader_gets_fresh_frames(camera):
    """After a second of neglect the next frame is a new one, not the oldest that the network kept."""
    with open_source(camera.url) as source:
        source.read()
        time.sleep(1.0)
        waiting = source.read()  # the newest when we came back: at most a frame old
        fresh = number_of(waiting.image)
        assert camera.sent - fresh < 8
        assert source.dropped == waiting.index - 1 > 5


def test_stream_comes_back_after_a_loss(camera, caplog):
    with open_stream(camera.url, patience_s=15) as source:
        before = source.read()
        camera.broken.set()
        time.sleep(0.6)  # long enough for a refused attempt
        camera.broken.clear()
        wait_until(lambda: camera.connections > 1)
        end = time.monotonic() + 10
        lost_ns = 0
        while (after := source.read()).t_capture_ns < before.t_capture_ns + 600_000_000:
            lost_ns += after.lost_ns
            assert time.monotonic() < end
        lost_ns += after.lost_ns
        assert 250_000_000 <= lost_ns <= after.t_source_ns - before.t_source_ns
        assert source.read().lost_ns == 0
    assert after.index > before.index
    assert after.t_source_ns - before.t_source_ns >= 600_000_000  # the clock went on
    assert "lost" in caplog.text
    assert "back after" in caplog.text


def test_stream_that_stays_away_is_an_error(camera):
    with open_stream(camera.url, patience_s=0.7) as source:
        source.read()
        camera.broken.set()
        begin = time.monotonic()
        with pytest.raises(SourceError, match="got none for 1 s"):
            list(iter(source.read, None))
        assert time.monotonic() - begin > 0.5


def test_close_does_not_wait_for_a_lost_stream(camera):
    source = open_stream(camera.url, patience_s=60)
    source.read()
    camera.broken.set()
    time.sleep(0.7)
    begin = time.monotonic()
    source.close()
    assert time.monotonic() - begin < 3
    assert source.read() is None


def test_what_is_no_stream_fails_at_open(camera):
    for url in (camera.url + "/none", "http://127.0.0.1:9/stream", "rtsp://user:secret@127.0.0.1:9/stream"):
        with pytest.raises(SourceError) as caught:
            open_source(url)
        text = str(caught.value)
        assert "got no picture" in text
        assert "\n" not in text
        assert "secret" not in text


def test_server_that_accepts_and_says_nothing_fails_in_bounded_time(monkeypatch):
    monkeypatch.setattr(edge.sources.stream, "OPEN_TIMEOUT_MS", 500)
    monkeypatch.setattr(edge.sources.stream, "READ_TIMEOUT_MS", 500)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begin = time.monotonic()
        with pytest.raises(SourceError, match="got no picture"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/stream")
    assert time.monotonic() - begin < 8


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def rtsp_server(port: int) -> Iterator[subprocess.Popen[str]]:
    """GStreamer's RTSP server, by the system's Python; skips where it is not installed."""
    if not Path(SYSTEM_PYTHON).exists():
        pytest.skip(f"needs {SYSTEM_PYTHON} with GStreamer's RTSP server")
    process = subprocess.Popen(
        [SYSTEM_PYTHON, "-c", RTSP_SERVER, str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline().strip()
        if line != "ready":
            pytest.skip(
                f"needs GStreamer's RTSP server ({line or 'no gi bindings'}): apt install python3-gi "
                "gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp gstreamer1.0-plugins-{base,good,bad,ugly}"
            )
        yield process
    finally:
        process.kill()
        process.wait()


def test_rtsp_comes_back_after_its_server_was_killed():
    port = free_port()
    with contextlib.ExitStack() as first:
        first.enter_context(rtsp_server(port))
        source = open_source(f"rtsp://user:secret@127.0.0.1:{port}/cam")
        with source:
            assert "secret" not in source.name
            frames = [source.read() for _ in range(10)]
            assert all(f.image.shape == (240, 320, 3) for f in frames)
            assert frames[-1].image.max() > 200  # the white ball
            times = [f.t_source_ns for f in frames]
            assert times == sorted(times)
            first.close()
            with rtsp_server(port):
                killed_ns = time.monotonic_ns()
                while (frame := source.read()).t_capture_ns < killed_ns:
                    pass
                assert frame.image.shape == (240, 320, 3)


def test_rtsp_slow_reader_gets_fresh_frames():
    port = free_port()
    with rtsp_server(port), open_source(f"rtsp://127.0.0.1:{port}/cam") as source:
        first = source.read()
        time.sleep(1.5)
        read_ns = time.monotonic_ns()
        frame = source.read()
        assert read_ns - frame.t_capture_ns < 300_000_000  # OpenCV alone hands out what it kept meanwhile
        assert frame.index - first.index > 10
        assert source.dropped == frame.index - first.index - 1


def test_one_ctrl_c_ends_a_run_that_waits_for_a_lost_stream(camera, detector, embedder, tmp_path):
    code = "import sys; from edge.cli import main_run; sys.exit(main_run())"
    out = tmp_path / "out.jsonl"
    words = ["--source", camera.url, "--detector", detector.path, "--embedder", embedder.path, "--sink", f"jsonl:{out}"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_until(lambda: out.exists() and len(out.read_text().splitlines()) >= 3, 20)
        camera.broken.set()  # from here on every attempt to connect again is refused, for 30 s
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=15)[1]  # half of the stream's patience
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert "Traceback" not in said
    assert "capture_wait" in said
