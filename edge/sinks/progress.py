"""A progress bar over a source that ends."""

from types import TracebackType

from edge.bar import bar
from edge.types import FrameResult


class ProgressSink:
    """Counts frames on standard error; silent where nobody looks, and for a source that has no end."""

    wants_stop = False

    def __init__(self, total: int | None, live: bool) -> None:
        """Draw the empty bar.

        Args:
            total: frames that will come, None if unknown.
            live: True for a source without end.
        """
        self._bar = bar(total=total, unit=" frames", disable=True if live else None)

    def write(self, result: FrameResult) -> None:
        """Count one frame."""
        del result
        self._bar.update()

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()

    def __enter__(self) -> "ProgressSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
