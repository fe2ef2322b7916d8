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

from collections.abc import Callable, Mapping

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.sinks.crops import CropsSink
from edge.sinks.folder import FolderSink
from edge.sinks.jsonl import JsonlSink
from edge.sinks.null import NullSink
from edge.sinks.png import PngSink
from edge.sinks.sink import Output, Sink
from edge.sinks.video import VideoSink
from edge.sinks.window import WindowSink

__all__ = ["Output", "Sink", "open_sink"]

KINDS = ("jsonl:PATH", "video:PATH", "png:PATH", "folder:PATH", "crops:DIR", "window:", "null:")


_SINKS: Mapping[str, Callable[[str, str, Output], Sink]] = {
    "jsonl": JsonlSink,
    "video": VideoSink,
    "png": PngSink,
    "folder": FolderSink,
    "crops": CropsSink,
    "window": WindowSink,
    "null": NullSink,
}


def open_sink(uri: str, output: Output) -> Sink:
    """Open an output; see the table above.

    Args:
        uri: "KIND:PATH".
        output: what is known of the run.

    Raises:
        ConfigError: an unknown kind, a place that cannot be one, another process that writes there, or no display.
        OutputError: the system refuses: disk full, read-only, no right to write.
    """
    kind, colon, rest = uri.partition(":")
    uri = hide_password(uri)  # from here on it is for messages alone
    if "://" in rest or "\0" in rest:
        raise ConfigError(f"sink {uri}: want a path, got an address; results are written to files of this machine")
    if not colon or kind not in _SINKS:
        raise ConfigError(f"sink '{uri}': want one of {', '.join(KINDS)}, got none of them; mend it")
    return _SINKS[kind](uri, rest, output)
