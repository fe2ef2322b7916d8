"""Where frames come from: `open_source(uri)`.

| URI | what |
|---|---|
| `0`, `/dev/video0`, `0?size=1280x720&fps=30` | V4L2 or USB camera |
| `picamera:`, `picamera:1?size=1280x720&fps=30&lores=640x360` | Raspberry Pi camera |
| `rtsp://...`, `http://...` | network stream, opened again when it is lost |
| a folder, a picture | pictures, in natural order |
| any other path | video file |
"""

import os
import threading
from pathlib import Path

from edge.bar import waiting
from edge.errors import ConfigError, SourceError
from edge.redact import hide_password, printable
from edge.settings import given_path, nearest
from edge.sources.camera import Camera
from edge.sources.live import LiveSource
from edge.sources.picamera import PiCamera
from edge.sources.pictures import PICTURE_SUFFIXES, Pictures
from edge.sources.source import Source
from edge.sources.stream import Stream
from edge.sources.video import VideoFile

__all__ = ["STREAM_SCHEMES", "Source", "is_camera", "looks_like_source", "open_source"]

STREAM_SCHEMES = ("rtsp://", "rtsps://", "http://", "https://")
FILM_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".wmv"})
"""Names that are films for sure; files of other names are opened as films, too."""
_WANTS = "want a camera number, /dev/video0, picamera:, a file, a folder, rtsp:// or http://"


def open_source(uri: str, *, pace: bool = False) -> Source:
    """Open a camera, stream, video or folder of pictures; see the table above.

    Args:
        uri: what to open.
        pace: play a file or folder at its own speed, dropping what the loop cannot take, like a camera.

    Raises:
        SourceError: it is not there, cannot be read, or gives no first frame.
        ConfigError: not a URI that is known here.
    """
    _check_text(uri)
    if is_camera(uri):
        with waiting(f"opening {printable(hide_password(uri))}"):
            return _open_camera(uri)
    if "://" in uri:
        raise _unsupported(uri)
    path = given_path(uri, f"source {hide_password(uri)}")
    try:
        still = path.is_dir() or path.suffix.lower() in PICTURE_SUFFIXES
    except OSError as error:
        raise SourceError(
            f"source {printable(hide_password(uri))}: want a readable file or folder, got '{error.strerror}'; "
            "check the path and its rights"
        ) from error
    source: Pictures | VideoFile = Pictures(path) if still else VideoFile(path)
    return LiveSource(source, pace=True, size=source.size) if pace else source


def _open_camera(uri: str) -> Source:
    if uri.startswith("picamera:"):
        return LiveSource(PiCamera(uri))
    if uri.lower().startswith(STREAM_SCHEMES):
        stop = threading.Event()
        return LiveSource(Stream(uri, stop), stop=stop)
    return LiveSource(Camera(uri))


def is_camera(uri: str) -> bool:
    """Tell whether a URI names a camera or stream, rather than a file or a folder."""
    number = uri.split("?")[0].isdecimal()
    return number or uri.startswith(("/dev/video", "/dev/v4l/", "picamera:")) or uri.lower().startswith(STREAM_SCHEMES)


def looks_like_source(text: str) -> bool:
    """Tell whether a word that should be a configuration file is the URI of a source: `edge-run yard.mp4`."""
    return is_camera(text) or "://" in text or Path(text).suffix.lower() in FILM_SUFFIXES | PICTURE_SUFFIXES


def _check_text(uri: str) -> None:
    """Refuse what is neither an address nor a path, whatever it might be meant as."""
    if not uri.strip():
        raise ConfigError(f"source: {_WANTS}, got an empty text; write one of them")
    if "\0" in uri:
        raise ConfigError(
            f"source {hide_password(uri)}: want an address or a path, got one with a NUL character; mend it"
        )
    try:
        uri.encode() if "://" in uri else os.fsencode(uri)
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"source {hide_password(uri)}: want an address or a path, got a character that no name has; mend it"
        ) from error


def _unsupported(uri: str) -> ConfigError:
    """Make the sentence for an address of a kind that is not known here."""
    scheme = uri.partition("://")[0].lower()
    meant = nearest(scheme, [known.partition("://")[0] for known in STREAM_SCHEMES])
    if scheme == "file":
        todo = "write the path without it"
    else:
        todo = f"did you mean '{meant}://'?" if meant else "give one of these"
    got = f"{scheme[:40]}://, which is not supported"
    return ConfigError(f"source '{hide_password(uri)}': {_WANTS}, got {got}; {todo}")
