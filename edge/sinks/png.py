"""The last annotated frame as one picture."""

import os
from types import TracebackType

import cv2

from edge.errors import ConfigError
from edge.redact import hide_password
from edge.sinks.draw import annotate
from edge.sinks.sink import Output, unwritable, writable_path
from edge.types import FrameResult


class PngSink:
    """Keeps the last result and draws it at `close`; costs nothing in the loop. No frame, no file."""

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Check that "png:PATH" can be written.

        Raises:
            ConfigError: the place cannot be written, or the name does not end in .png.
        """
        self.wants_stop = False
        self._uri, self._labels = uri, output.labels
        self._path = writable_path(uri, rest)
        if self._path.suffix.lower() != ".png":
            raise ConfigError(
                f"sink {uri}: want a name that ends in .png, got '{hide_password(self._path.name)}'; mend it"
            )
        self._last: FrameResult | None = None

    def write(self, result: FrameResult) -> None:
        """Remember this frame."""
        self._last = result

    def close(self) -> None:
        """Write the picture beside its place and move it there, so that nobody ever sees half of it.

        Raises:
            ConfigError: the disk is full; a picture that was there before stays.
        """
        last, self._last = self._last, None
        if last is None:
            return
        data = cv2.imencode(".png", annotate(last, self._labels))[1]
        part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(data.tobytes())
            part.replace(self._path)
        except OSError as error:
            raise unwritable(self._uri, error) from error
        finally:
            part.unlink(missing_ok=True)

    def __enter__(self) -> "PngSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
