"""A sink for measuring the rest."""

from types import TracebackType

from edge.types import FrameResult


class NullSink:
    """Takes everything and keeps nothing."""

    wants_stop = False

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
