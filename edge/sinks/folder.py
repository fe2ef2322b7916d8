"""Every annotated frame as a picture of its own, in a folder of the run."""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import cv2

from edge.redact import hide_password
from edge.sinks.draw import annotate
from edge.sinks.options import one_of, split_options
from edge.sinks.place import begin_run, claim_runs, drop_empty_run, marked_runs
from edge.sinks.sink import Output, named_folder, unwritable
from edge.types import FrameResult

JPEG_QUALITY = 90
"""Letters of a label stay clean. A picture of 768 x 576 has a sixth of the size of a PNG and takes a ninth of its time
(3.5 ms against 31, drawing included)."""
OPTIONS = {"format": one_of("jpg", "png")}


class FolderSink:
    """Writes `<name of the picture>.jpg`, or `frame-000012.jpg` where the frame has no name of its own.

    Each run has a folder of its own in that of the sink, `run-0001`, `run-0002` and so on: frames of two runs have the
    same numbers.
    """

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Make the folder of this run in that of "folder:DIR?format=jpg"; with `output.overwrite`, remove older runs.

        Raises:
            ConfigError: no possible path, an unknown option, or another process that writes there.
            OutputError: it cannot be made.
        """
        self.wants_stop = False
        self._uri, self._labels, self._draw = uri, output.labels, output.draw
        place, given = split_options(uri, rest, OPTIONS)
        self._suffix = f".{given.get('format', 'jpg')}"
        self._settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if self._suffix == ".jpg" else []
        folder = named_folder(uri, place)
        self._count = 0
        try:
            folder.mkdir(exist_ok=True)
            self._claim = claim_runs(folder, uri)
            try:
                older = marked_runs(folder, "folder")
                _tidy(older)
                self._folder = begin_run(folder, "folder")
            except OSError:
                self._claim.close()
                raise
        except OSError as error:
            raise unwritable(uri, error) from error
        self._emptied = older if output.overwrite else []  # with the first frame
        self.place = hide_password(f"folder:{self._folder}")

    def write(self, result: FrameResult) -> None:
        """Draw one frame, write it beside its place and move it there.

        Raises:
            OutputError: the disk is full or gone; the pictures before stay.
        """
        frame = result.frame
        path = self._folder / f"{Path(frame.name).name or f'frame-{frame.index:06}'}{self._suffix}"
        part = self._folder / f".{path.name}.part"
        data = cv2.imencode(self._suffix, annotate(result, self._labels, self._draw), self._settings)[1].tobytes()
        try:
            while self._emptied:
                shutil.rmtree(self._emptied.pop())
            try:
                part.write_bytes(data)
                part.replace(path)
            except OSError:
                with suppress(OSError):
                    part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise unwritable(self._uri, error) from error
        self._count += 1

    def close(self) -> None:
        """Let others have the folder; a run that drew nothing leaves nothing."""
        if not self._count:
            drop_empty_run(self._folder)
        self._claim.close()

    def __enter__(self) -> "FolderSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _tidy(runs: Sequence[Path]) -> None:
    """Remove pictures that killed runs left half-way.

    Raises:
        OSError: a folder cannot be read or written.
    """
    for run in runs:
        for left in run.glob(".*.part"):
            left.unlink(missing_ok=True)
