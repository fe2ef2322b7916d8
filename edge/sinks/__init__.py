"""Where results go: `open_sink(uri, output)`.

| URI | what |
|---|---|
| `jsonl:PATH`, `jsonl:-` | one line of JSON a frame, to a file or to standard output |
| `video:PATH` | annotated frames, .mp4, .avi or .mkv |
| `crops:DIR` | what each track looked like, to train on; `?every_ms=200&max_mb=500` bound it |
| `png:PATH` | the last annotated frame |
| `folder:PATH` | every annotated frame, as a PNG of its own |
| `window:` | a window; q or Esc ends the run |
| `null:` | nothing |
"""

import os
from collections.abc import Callable, Mapping

from edge.redact import hide_password
from edge.settings import given_path
from edge.sinks.crops import CropsSink
from edge.sinks.folder import FolderSink
from edge.sinks.given import split_sink
from edge.sinks.jsonl import JsonlSink
from edge.sinks.null import NullSink
from edge.sinks.png import PngSink
from edge.sinks.sink import Output, Sink, named_path
from edge.sinks.video import VideoSink
from edge.sinks.window import WindowSink

__all__ = ["Output", "Sink", "check_sink", "open_sink"]

_SINKS: Mapping[str, Callable[[str, str, Output], Sink]] = {
    "jsonl": JsonlSink,
    "video": VideoSink,
    "png": PngSink,
    "folder": FolderSink,
    "crops": CropsSink,
    "window": WindowSink,
    "null": NullSink,
}
_FILES = ("jsonl", "video", "png")
"""Kinds whose place is one file."""


def check_sink(uri: str) -> tuple[str, str]:
    """Look at an output before anything is opened for it; nothing is made or changed.

    Returns:
        Its kind, and what stands behind the colon.

    Raises:
        ConfigError: an unknown kind, no place, one that cannot be, or a file in a folder that is not there.
        OutputError: the system does not let us look.
    """
    kind, rest = split_sink(uri, _SINKS)
    place = rest.partition("?")[0]
    folder = kind == "folder" and not os.path.isdir(given_path(place, "sink"))  # noqa: PTH112 - never raises
    if folder or (kind in _FILES and rest != "-"):
        named_path(hide_password(uri), place)
    return kind, rest


def open_sink(uri: str, output: Output) -> Sink:
    """Open an output; see the table above.

    Args:
        uri: "KIND:PATH".
        output: what is known of the run.

    Raises:
        ConfigError: an unknown kind, a place that cannot be one, another process that writes there, or no display.
        OutputError: the system refuses: disk full, read-only, no right to write.
    """
    kind, rest = split_sink(uri, _SINKS)
    return _SINKS[kind](hide_password(uri), rest, output)
