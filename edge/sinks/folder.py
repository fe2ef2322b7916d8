"""Every annotated frame as a picture of its own, in a folder."""

import os
from pathlib import Path
from types import TracebackType

import cv2

from edge.sinks.draw import annotate
from edge.sinks.sink import Output, named_path, unwritable
from edge.types import FrameResult


class FolderSink:
    """Writes `<name of the picture>.png`, or `frame-000012.png` where the frame has no name of its own."""

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Make the folder of "folder:PATH"; one that is there is written into.

        Raises:
            ConfigError: it cannot be made.
        """
        self.wants_stop = False
        self._uri, self._labels = uri, output.labels
        self._folder = Path(rest).expanduser() if rest and Path(rest).expanduser().is_dir() else named_path(uri, rest)
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise unwritable(uri, error) from error

    def write(self, result: FrameResult) -> None:
        """Draw one frame, write it beside its place and move it there.

        Raises:
            ConfigError: the disk is full; the pictures before stay.
        """
        frame = result.frame
        path = self._folder / f"{Path(frame.name).name or f'frame-{frame.index:06}'}.png"
        part = self._folder / f".{path.name}.{os.getpid()}.part"
        try:
            part.write_bytes(cv2.imencode(".png", annotate(result, self._labels))[1].tobytes())
            part.replace(path)
        except OSError as error:
            raise unwritable(self._uri, error) from error
        finally:
            part.unlink(missing_ok=True)

    def close(self) -> None:
        """Do nothing: every picture is whole."""

    def __enter__(self) -> "FolderSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
