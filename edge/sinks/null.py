"""A sink for measuring the rest."""

from types import TracebackType

from edge.sinks.sink import Output
from edge.types import FrameResult


class NullSink:
    """Takes everything and keeps nothing."""

    wants_stop = False

    def __init__(self, uri: str, rest: str, output: Output) -> None:
        """Need nothing."""
        del uri, rest, output

    def write(self, result: FrameResult) -> None:
        """Forget this result."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> "NullSink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
