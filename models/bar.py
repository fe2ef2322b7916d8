"""The progress bar of every step that takes more than a moment: on a terminal, and nowhere else."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

_COLUMNS, _ROWS = 80, 24
"""Of a terminal that does not tell its size, as those of serial lines and some containers: what a VT100 has."""


def bar(steps: Iterable[Any] | None = None, **how: Any) -> "tqdm[Any]":
    """Return a bar on stderr that is wiped at its end; it stays silent where that is no terminal.

    Args:
        steps: to walk through; None for a bar that is moved by hand.
        how: as `tqdm` takes it: desc, total, unit, delay, bar_format.
    """
    return tqdm(steps, disable=None, leave=False, **_size(), **how)


def _size() -> dict[str, int]:
    """Return a size for a terminal that says 0 x 0, for tqdm draws nothing there."""
    try:
        told = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # no terminal, or no file at all
        return {}
    sides = {"ncols": 0 if told.columns else _COLUMNS, "nrows": 0 if told.lines else _ROWS}
    return {name: side for name, side in sides.items() if side}
