"""The last annotated frame as one picture."""

import time
from contextlib import suppress
from types import TracebackType

import cv2

from edge.sinks.draw import annotate
from edge.sinks.place import check_mount, claim, mount_of
from edge.sinks.sink import Output, named_file, unwritable
from edge.types import FrameResult

EVERY_S = 10.0
"""Between two pictures of a run that goes on: encoding takes some 14 ms, about 0.1 % of this."""


class PngSink:
    """Keeps the last result and draws it with the first frame, now and then, and at `close`. No frame, no file."""

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Check that "png:PATH" can be written.

        Raises:
            ConfigError: no possible path, the name does not end in .png, or another process writes there.
            OutputError: the place cannot be written.
        """
        self.wants_stop = False
        self._uri, self._labels, self._wanted = uri, output.labels, output.draw
        self._path = named_file(uri, rest)
        self._claim = claim(self._path, uri)
        self._part = self._path.with_name(f".{self._path.name}.part")
        with suppress(OSError):
            self._part.unlink(missing_ok=True)
        self._last: FrameResult | None = None
        self._due_s = 0.0  # with the first frame: what cannot be written is known at once
        self._mount = mount_of(self._path)

    def write(self, result: FrameResult) -> None:
        """Remember this frame, and draw it if it is time for that.

        Raises:
            OutputError: the disk is full or gone; a picture that was there before stays.
        """
        self._last = result
        if time.monotonic() >= self._due_s:
            self._draw()

    def close(self) -> None:
        """Draw the last frame.

        Raises:
            OutputError: the disk is full or gone; a picture that was there before stays.
        """
        try:
            self._draw()
        finally:
            self._claim.close()

    def _draw(self) -> None:
        """Write the picture beside its place and move it there, so that nobody ever sees half of it."""
        last, self._last = self._last, None
        if last is None:
            return
        data = cv2.imencode(".png", annotate(last, self._labels, self._wanted))[1].tobytes()
        try:
            try:
                check_mount(self._mount)
                self._part.write_bytes(data)
                self._part.replace(self._path)
            except OSError:
                with suppress(OSError):
                    self._part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise unwritable(self._uri, error) from error
        self._due_s = time.monotonic() + EVERY_S

    def __enter__(self) -> "PngSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
