"""Where results go: `open_sink(uri, labels, fps)`.

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

from collections.abc import Sequence

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.sinks.crops import CropsSink
from edge.sinks.folder import FolderSink
from edge.sinks.jsonl import JsonlSink
from edge.sinks.null import NullSink
from edge.sinks.png import PngSink
from edge.sinks.sink import Sink
from edge.sinks.video import VideoSink
from edge.sinks.window import WindowSink

__all__ = ["Sink", "open_sink"]

KINDS = ("jsonl:PATH", "video:PATH", "png:PATH", "folder:PATH", "crops:DIR", "window:", "null:")


def open_sink(uri: str, labels: Sequence[str], fps: float) -> Sink:
    """Open an output; see the table above.

    Args:
        uri: "KIND:PATH".
        labels: class index -> name, from the detector's bundle.
        fps: frames a second of the source, or the nominal rate where it tells none; a video is written with it.

    Raises:
        ConfigError: an unknown kind, a path that cannot be written, or no display.
    """
    kind, colon, rest = uri.partition(":")
    uri = hide_password(uri)  # from here on it is for messages alone
    if "://" in rest or "\0" in rest:
        raise ConfigError(f"sink {uri}: want a path, got an address; results are written to files of this machine")
    match kind if colon else "":
        case "jsonl":
            return JsonlSink(uri, rest, labels)
        case "video":
            return VideoSink(uri, rest, labels, fps)
        case "png":
            return PngSink(uri, rest, labels)
        case "folder":
            return FolderSink(uri, rest, labels)
        case "crops":
            return CropsSink(uri, rest, labels)
        case "window":
            return WindowSink(uri, labels)
        case "null":
            return NullSink()
    raise ConfigError(f"sink '{uri}': want one of {', '.join(KINDS)}, got none of them; mend it")
