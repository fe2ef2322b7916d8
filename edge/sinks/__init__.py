"""Where results go: `open_sink(uri, output)`.

| URI | what |
|---|---|
| `jsonl:PATH`, `jsonl:-` | one line of JSON a frame, behind what is in a file, or to standard output |
| `video:PATH` | annotated frames, .webm or .mkv: browsers play both |
| `crops:DIR` | what each track looked like, to train on; `?every_ms=200&max_mb=500` bound it |
| `png:PATH` | the last annotated frame |
| `folder:DIR` | every annotated frame, as a JPEG of its own, or with `?format=png` a PNG |
| `window:` | a window; q or Esc ends the run |
| `null:` | nothing |
"""

import os
from collections.abc import Callable, Mapping

from edge.redact import hide_password
from edge.settings import given_path
from edge.sinks.crops import CropsSink
from edge.sinks.folder import FolderSink
from edge.sinks.given import OPTIONS, Given, split_sink
from edge.sinks.jsonl import JsonlSink
from edge.sinks.null import NullSink
from edge.sinks.png import PngSink
from edge.sinks.sink import Output, Sink, named_file, named_folder, named_path
from edge.sinks.video import VideoSink, check_library
from edge.sinks.window import WindowSink, check_display

__all__ = ["Output", "Sink", "check_sink", "open_sink"]

SINKS: Mapping[str, Callable[[str, str, Output], Sink]] = {
    "jsonl": JsonlSink,
    "video": VideoSink,
    "png": PngSink,
    "folder": FolderSink,
    "crops": CropsSink,
    "window": WindowSink,
    "null": NullSink,
}


def check_sink(uri: str) -> Given:
    """Look at an output before any output is opened or emptied; nothing is made or changed.

    Returns:
        Its kind, its place, and all that stands behind the colon.

    Raises:
        ConfigError: an unknown kind, no place, one that cannot be, a wrong suffix or option, a file or folder in a
            folder that is not there, no libvpx for `video:`, or no display for `window:`.
        OutputError: the system does not let us look.
    """
    given = split_sink(uri)
    kind, place, _ = given
    shown = hide_password(uri)
    if kind in ("folder", "crops") and not os.path.isdir(given_path(place, "sink")):  # noqa: PTH112 - never raises
        named_folder(shown, place)
    elif kind in ("video", "png"):
        named_file(shown, place)
    elif kind == "jsonl" and place != "-":
        named_path(shown, place)
    elif kind == "window":
        check_display(shown)
    if kind == "video":
        check_library(shown)
    return given


def open_sink(uri: str, output: Output) -> Sink:
    """Open an output; see the table above.

    Args:
        uri: "KIND:PATH".
        output: what is known of the run.

    Raises:
        ConfigError: an unknown kind, a place that cannot be one, another process that writes there, or no display.
        OutputError: the system refuses: disk full, read-only, no right to write.
    """
    kind, place, rest = split_sink(uri)
    return SINKS[kind](hide_password(uri), rest if kind in OPTIONS else place, output)
