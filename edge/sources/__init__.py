"""Where frames come from: `open_source(uri)`.

| URI | what |
|---|---|
| `0`, `/dev/video0`, `0?size=1280x720&fps=30` | V4L2 or USB camera |
| `picamera:`, `picamera:1?size=1280x720&fps=30&lores=640x360` | Raspberry Pi camera |
| `rtsp://...`, `http://...` | network stream, opened again when it is lost |
| a folder, a picture | pictures, in natural order |
| any other path | video file |
"""

import threading
from pathlib import Path

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.sources.camera import Camera
from edge.sources.live import LiveSource
from edge.sources.picamera import PiCamera
from edge.sources.pictures import PICTURE_SUFFIXES, Pictures
from edge.sources.source import Source
from edge.sources.stream import Stream
from edge.sources.video import VideoFile

__all__ = ["Source", "open_source"]

STREAM_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")


def open_source(uri: str, *, pace: bool = False) -> Source:
    """Open a camera, stream, video or folder of pictures; see the table above.

    Args:
        uri: what to open.
        pace: play a file or folder at its own speed, dropping what the loop cannot take, like a camera.

    Raises:
        SourceError: it is not there, cannot be read, or gives no first frame.
        ConfigError: not a URI that is known here.
    """
    if "\0" in uri:
        raise ConfigError(f"source {hide_password(uri)}: want an address or a path, got one with a zero byte; mend it")
    if uri.split("?")[0].isdecimal() or uri.startswith(("/dev/video", "/dev/v4l/")):
        return LiveSource(Camera(uri))
    if uri.startswith("picamera:"):
        return LiveSource(PiCamera(uri))
    if uri.lower().startswith(STREAM_SCHEMES):
        stop = threading.Event()
        return LiveSource(Stream(uri, stop), stop=stop)
    if "://" in uri or not uri.strip():
        raise ConfigError(
            f"source '{hide_password(uri)}': want a camera number, picamera:, a file, a folder, "
            "rtsp:// or http://, got another scheme; mend it"
        )
    path = Path(uri).expanduser()
    still = path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
    source = Pictures(path) if still else VideoFile(path)
    return LiveSource(source, pace=True) if pace else source
