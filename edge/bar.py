"""Progress bars, on every terminal: also on one that says to be 0 columns wide, as serial lines and containers do."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

SILENT_S = 2.0
"""A step that takes longer says what it does."""
_TICK_S = 0.5
COLUMNS, ROWS = 80, 24
"""Of a terminal that does not tell its size: what every terminal had since the VT100."""


def bar(things: Iterable[Any] | None = None, **settings: Any) -> Any:
    """Make a `tqdm` bar on standard error that goes away at its end; nothing where that is no terminal or is closed.

    Args:
        things: what to go through; None = the caller calls `update`.
        settings: of `tqdm`, as unit, total, desc and delay.
    """
    closed = {"disable": True} if sys.stderr is None else {}  # as `2>&-` has it
    return tqdm(things, **{"leave": False, "disable": None, **_size(), **settings, **closed})


@contextlib.contextmanager
def waiting(words: str) -> Iterator[None]:
    """Say on a terminal what is being waited for, from `SILENT_S` on, with the time that has passed.

    For steps that cannot tell how far they are: a runtime that builds its engine, a camera that does not answer.

    Args:
        words: what is being done, as "opening nanodet-416".
    """
    done = threading.Event()

    def tick() -> None:
        if done.wait(SILENT_S):
            return
        with bar(desc=words, bar_format="{desc}, {elapsed}") as drawn:
            while not done.wait(_TICK_S):
                drawn.refresh()

    clock = threading.Thread(target=tick, name="clock", daemon=True)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()


def _size() -> dict[str, int]:
    """Return the size for `tqdm`, which draws nothing at all where a terminal has 0 columns or rows."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # no terminal
        return {}
    return {} if size.columns and size.lines else {"ncols": size.columns or COLUMNS, "nrows": size.lines or ROWS}
