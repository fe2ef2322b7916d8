"""What a run says before its first frame, on standard error: what it looks at, what runs, where results go."""

import sys
from collections.abc import Sequence

from edge.model import Model
from edge.redact import hide_password, printable
from edge.sources import STREAM_SCHEMES, Source


def say_opening(uri: str) -> None:
    """Say that a stream is being connected to: a camera that is off keeps its caller waiting for seconds."""
    if uri.lower().startswith(STREAM_SCHEMES):
        _say(f"connecting to {hide_password(uri)}")


def say_running(
    source: Source, models: Sequence[Model], threads: int, places: Sequence[str], budget_ms: float | None = None
) -> None:
    """Say what begins: some lines for a source without end, one line for a file, whose progress bar follows.

    Args:
        source: open.
        models: open, in the order in which they are asked.
        threads: cores that they may use.
        places: where results go, as `Outputs.places` names them; none = nothing is kept.
        budget_ms: largest age of a result; None where there is no limit.
    """
    parts = [
        f"source: {describe_source(source)}",
        f"models: {_describe_models(models, threads)}",
        *([] if budget_ms is None else [f"budget: {budget_ms:g} ms a frame"]),
        f"results: {', '.join(places) or 'none are kept; give --sink or --show'}",
    ]
    if source.live:
        for part in [*parts, "running; Ctrl-C ends it"]:
            _say(part)
    else:
        _say("; ".join(parts))


def describe_source(source: Source) -> str:
    """Return its name, and the size, rate and number of its frames as far as they are known."""
    size = f"{source.size[0]} x {source.size[1]}" if source.size else ""
    rate = f"{source.fps:.4g} frames a second" if source.fps else ""
    count = f"{source.frames} frames" if source.frames and not source.live else ""
    return ", ".join(filter(None, [source.name, size, rate, count]))


def _describe_models(models: Sequence[Model], threads: int) -> str:
    """Name bundles, each with what runs it where that is not said already."""
    words: list[str] = []
    runtimes = [model.backend.description for model in models]
    for place, model in enumerate(models):
        last = place + 1 == len(models) or runtimes[place + 1] != runtimes[place]
        words.append(model.bundle.path.resolve().name + (f" ({runtimes[place]})" if last else ""))
    return f"{', '.join(words)}; {threads} thread{'s' * (threads != 1)}"


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)
