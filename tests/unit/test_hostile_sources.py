"""Pictures and films that were made to hurt: too large, no files, lists of other files, names that move the cursor."""

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError, SourceError
from edge.sources import capture, open_source
from edge.sources.pictures import read_picture
from edge.sources.video import VideoFile

ROOT = Path(__file__).parents[2]
OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"


def fails(uri: object, error: type[Exception] = SourceError) -> str:
    with pytest.raises(error) as caught:
        open_source(str(uri))
    assert str(caught.value).isprintable()
    return str(caught.value)


def png(side: int, channels: int = 1) -> bytes:
    """A whole PNG of one colour; of 1 bit a pixel, or RGB with 3 channels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = bytes(1 + (side + 7) // 8) if channels == 1 else bytes(1 + 3 * side)
    bits, colour = (1, 0) if channels == 1 else (8, 2)
    header = struct.pack(">IIBBBBB", side, side, bits, colour, 0, 0, 0)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def avi(path: Path, codec: bytes, width: int, height: int, frames: list[bytes]) -> Path:
    """A film whose header says what it likes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    main = struct.pack("<14I", 50_000, 0, 0, 0x10, len(frames), 0, 1, 0, width, height, 0, 0, 0, 0)
    stream = b"vids" + codec + struct.pack("<IHHIIIIIIIIHHHH", 0, 0, 0, 0, 1, 20, 0, len(frames), *(0,) * 7)
    picture = struct.pack("<IiiHH", 40, width, height, 1, 24) + codec + bytes(20)
    lists = chunk(b"strh", stream) + chunk(b"strf", picture)
    head = chunk(b"avih", main) + chunk(b"LIST", b"strl" + lists)
    movie = b"".join(chunk(b"00dc", frame) for frame in frames)
    body = b"AVI " + chunk(b"LIST", b"hdrl" + head) + chunk(b"LIST", b"movi" + movie)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def film(path: Path, codec: str = "MJPG") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 20.0, (96, 64))
    for index in range(5):
        writer.write(np.full((64, 96, 3), 20 * index, np.uint8))
    writer.release()
    return path


def peak_mb(code: str, *words: object) -> float:
    """Return by how much the memory of a process of its own grew while it ran some lines."""
    lines = f"""
import resource, sys
from pathlib import Path
from edge.errors import EdgeError
from edge.sources import open_source
from edge.sources.pictures import read_picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    {code}
except EdgeError as error:
    assert "million pixels" in str(error) or "still pictures" in str(error), error
else:
    raise AssertionError("it was read")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)
"""
    command = [sys.executable, "-c", lines, *map(str, words)]
    return float(subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60).stdout)


# ---------------------------------------------------------------- sizes


def test_a_small_png_of_many_pixels_takes_no_memory(tmp_path):
    file = tmp_path / "large.png"
    file.write_bytes(png(9000))
    assert file.stat().st_size < 12_000
    assert peak_mb("read_picture(Path(sys.argv[1]))", file) < 50  # decoded, it is 243 MB


def test_formats_are_told_by_content_and_others_are_refused(tmp_path):
    picture = np.full((4, 5, 3), 7, np.uint8)
    for suffix in (".gif", ".hdr", ".jp2", ".avif", ".ras", ".pfm", ".pam"):
        try:
            done, data = cv2.imencode(suffix, picture.astype(np.float32) if suffix == ".pfm" else picture)
        except cv2.error:
            done = False
        if not done:  # this OpenCV cannot write it
            continue
        (tmp_path / "a.png").write_bytes(data.tobytes())
        assert "want a PNG, JPEG, BMP, WebP, TIFF or PNM" in fails(tmp_path / "a.png")
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"):
        (tmp_path / "b.png").write_bytes(cv2.imencode(suffix, picture)[1].tobytes())
        assert read_picture(tmp_path / "b.png").shape == (4, 5, 3)


@pytest.mark.parametrize(
    ("height", "words"), [(4394, "no picture"), (4395, "at most 36 million pixels, got 8192 x 4395")]
)
def test_a_film_s_frame_size_is_limited_before_a_frame_is_decoded(tmp_path, height, words):
    assert 8192 * 4394 <= capture.MOST_FRAME_PIXELS < 8192 * 4395
    assert words in fails(avi(tmp_path / "a.avi", b"MJPG", 8192, height, [b"no frame"] * 3))


def test_a_film_of_pngs_is_refused_before_one_is_decoded(tmp_path):
    large = avi(tmp_path / "a.avi", b"MPNG", 64, 64, [png(6000, channels=3)])
    assert large.stat().st_size < 400_000
    assert peak_mb("open_source(sys.argv[1]).read()", large) < 50  # a frame is 108 MB
    assert "still pictures (MPNG)" in fails(large)


# ---------------------------------------------------------------- what is no file


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.jpg", "plain"])
def test_a_fifo_never_blocks(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert "got a fifo" in fails(tmp_path / name)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/stdin", "/dev/null"])
def test_devices_are_no_films(path, monkeypatch):
    reader, writer = os.pipe()
    kept = os.dup(0)
    os.dup2(reader, 0)
    try:
        assert "want a file, got a" in fails(path)
    finally:
        os.dup2(kept, 0)
        for handle in (reader, writer, kept):
            os.close(handle)


def test_a_socket_and_a_folder_are_no_films(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.mp4")
        assert "got a socket" in fails("a.mp4")
    with pytest.raises(SourceError, match="got a folder"):
        VideoFile(tmp_path)


def test_what_is_no_picture_in_a_folder_is_skipped(tmp_path, caplog):
    (tmp_path / "3.png").write_bytes(png(8))
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").mkdir()
    (tmp_path / "4.png").write_bytes(png(8)[:16] + struct.pack(">II", 40_000, 40_000))
    with caplog.at_level(logging.WARNING), open_source(str(tmp_path)) as source:
        assert [frame.name for frame in iter(source.read, None)] == ["3.png"]
        assert source.dropped == 3
    for name, words in [("1.png", "got a fifo"), ("2.png", "got a folder"), ("4.png", "got 40000 x 40000")]:
        assert any(name in line and words in line for line in caplog.text.splitlines())


# ---------------------------------------------------------------- names


def test_names_that_are_not_plain_are_skipped_and_shown_escaped(tmp_path, caplog):
    for name in ("a\x1b[2J.png", "b\nc.png", "d\u202egnp.png", "e.png", ".hidden.png"):
        (tmp_path / name).write_bytes(png(8))
    with caplog.at_level(logging.WARNING), open_source(str(tmp_path)) as source:
        assert [frame.name for frame in iter(source.read, None)] == ["e.png"]
        assert source.dropped == 3  # those with a dot in front are not listed
    assert "\x1b" not in caplog.text
    assert "\u202e" not in caplog.text
    assert len(caplog.text.splitlines()) == 3
    assert "a\\x1b[2J.png" in caplog.text


@pytest.mark.parametrize("name", ["a\x1b[2J", "b\nc", "d\u202egnp", ".hidden"])
def test_single_files_with_names_that_are_not_plain_are_refused(tmp_path, name):
    (tmp_path / f"{name}.png").write_bytes(png(8))
    film(tmp_path / "a.avi").rename(tmp_path / f"{name}.avi")
    for suffix in (".png", ".avi"):
        assert "want a file name" in fails(tmp_path / f"{name}{suffix}")


def test_a_zero_byte_is_no_path(tmp_path):
    fails(f"{tmp_path}/a\0b.mp4", ConfigError)
    fails("rtsp://cam\0/x", ConfigError)


# ---------------------------------------------------------------- lists of other files and addresses


@pytest.fixture
def listener() -> Iterator[tuple[int, list[object]]]:
    """A server on this machine that writes down who connects."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                seen.append(address)
                connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


LISTS = {
    "playlist.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:PORT/a.ts\n#EXT-X-ENDLIST\n",
    "playlist.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:PORT/a.ts\n#EXT-X-ENDLIST\n",
    "concat.mp4": "ffconcat version 1.0\nfile 'http://127.0.0.1:PORT/a.mp4'\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video PORT RTP/AVP 96\n",
    "dash.mpd": '<?xml version="1.0"?><MPD><Period><BaseURL>http://127.0.0.1:PORT/a</BaseURL></Period></MPD>',
    "session.mp4": "\0\0\0\x08ftyp\nc=IN IP4 127.0.0.1\nt=0 0\nm=video PORT RTP/AVP 96\n",
    "concat.ts": "GGGGG" + " " * 183 + "G\nffconcat version 1.0\nfile http://127.0.0.1:PORT/a.mp4\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_local_file_never_connects(tmp_path, listener, name):
    port, seen = listener
    with socket.create_connection(("127.0.0.1", port)):
        pass
    (tmp_path / name).write_text(LISTS[name].replace("PORT", str(port)))
    fails(tmp_path / name)
    while not seen:  # our own visit
        pass
    assert len(seen) == 1


def test_a_local_file_never_opens_another(tmp_path):
    film(tmp_path / "other.avi")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.avi\n")
    assert "got another file" in fails(tmp_path / "list.mp4")
    with pytest.MonkeyPatch.context() as patch:  # nor where the first look lets it pass
        patch.setattr(capture, "_is_film", lambda head: True)
        assert "no picture" in fails(tmp_path / "list.mp4")


def test_names_with_numbers_are_no_patterns(tmp_path):
    """OpenCV would read frame2.avi after frame1.avi where they hold pictures, FFmpeg 1.tga where %d.tga is given."""
    for number in (1, 2):
        (tmp_path / f"frame{number}.avi").write_bytes(b"GIF8" + png(8))
        (tmp_path / f"{number}.tga").write_bytes(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    assert "no picture" in fails(tmp_path / "frame1.avi")
    film(tmp_path / "a.avi").rename(tmp_path / "%d.tga")
    with open_source(str(tmp_path / "%d.tga")) as source:
        assert source.read().image.shape == (64, 96, 3)


def test_ffmpeg_s_options_are_set_for_the_opening_alone(tmp_path, monkeypatch):
    seen = []
    real = cv2.VideoCapture

    def look(*arguments: object) -> cv2.VideoCapture:
        seen.append(os.environ.get(OPTIONS))
        return real(*arguments)

    monkeypatch.setattr(cv2, "VideoCapture", look)
    path = film(tmp_path / "a.avi")
    for before in (None, "rtsp_transport;udp"):
        if before is None:
            monkeypatch.delenv(OPTIONS, raising=False)
        else:
            monkeypatch.setenv(OPTIONS, before)
        open_source(str(path)).close()
        assert "protocol_whitelist;file|" in seen[-1]
        assert seen[-1].startswith(before or "protocol_whitelist")
        fails("http://127.0.0.1:9/x")
        assert seen[-1].startswith(before or "rtsp_flags;prefer_tcp")
        assert "file" not in seen[-1]
        assert os.environ.get(OPTIONS) == before


def test_a_stream_never_leads_to_a_file(tmp_path):
    """A playlist that a server sends may name other addresses, never a file of this machine."""
    secret = film(tmp_path / "secret.avi")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(4096)
                    kind = b"Content-Type: application/vnd.apple.mpegurl\r\n"
                    length = b"Content-Length: %d\r\n" % len(playlist)
                    connection.sendall(b"HTTP/1.0 200 OK\r\n" + kind + length + b"\r\n" + playlist)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert "got no picture" in fails(f"http://127.0.0.1:{server.getsockname()[1]}/list.m3u8")
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
