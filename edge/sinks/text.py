"""What a classifier or a localizer says, in words for a person, on standard output."""

from collections.abc import Sequence
from types import TracebackType

from tqdm import tqdm

from edge.redact import printable
from edge.sinks.sink import class_name
from edge.types import FrameResult


class TextSink:
    """Prints a line for each frame: "chelsea.png  cat 0.98  box 96 41 287 212"."""

    wants_stop = False

    def __init__(self, labels: Sequence[str], changes_only: bool) -> None:
        """Print to standard output.

        Args:
            labels: class index -> name.
            changes_only: True to print a frame only where its class is another than that of the frame before: a
                camera gives the same answer thirty times a second.
        """
        self._labels, self._changes_only = labels, changes_only
        self._last = -1

    def write(self, result: FrameResult) -> None:
        """Print one line."""
        assert result.scores is not None, "the loop of detect, embed and match has other sinks"
        best = int(result.scores.argmax())
        if self._changes_only and best == self._last:
            return
        self._last = best
        place = "".join(f"  box {' '.join(f'{side:.0f}' for side in box)}" for box in result.detections.boxes.tolist())
        name = result.frame.name or f"frame {result.frame.index}"
        with tqdm.external_write_mode():
            print(f"{printable(name)}  {class_name(self._labels, best)} {result.scores[best]:.2f}{place}", flush=True)

    def close(self) -> None:
        """Do nothing: standard output stays open for others."""

    def __enter__(self) -> "TextSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
