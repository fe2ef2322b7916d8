"""Pictures of a training as PNG bytes: learning curves and confusion matrices.

Colours are of the palette of Okabe and Ito (2008), which all kinds of colour vision tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TRAIN, VALID = "#0072B2", "#D55E00"
_DPI = 100


def plot_history(history: Mapping[str, Sequence[float]], title: str, best: int = -1) -> bytes:
    """Draw every quantity of a history with that of the validation data over it, one panel each.

    Args:
        history: name -> value after each epoch; `val_NAME` belongs to NAME.
        title: over the picture.
        best: epoch, counted from 0, whose weights were kept; -1 = do not mark it.
    """
    names = [name for name in history if not name.startswith("val_")]
    names = names[:4] or list(history)[:4]
    figure, panels = _figure(5.2 * len(names), 3.6, len(names))
    for axes, name in zip(panels, names, strict=True):
        for key, color, style, label in ((name, TRAIN, "--", "training"), (f"val_{name}", VALID, "-", "validation")):
            if key in history:
                axes.plot(range(1, len(history[key]) + 1), history[key], style, color=color, label=label, marker=".")
        if best >= 0:
            axes.axvline(best + 1, color="#666666", linewidth=1, linestyle=":", label=f"kept: epoch {best + 1}")
        axes.set_title(f"{title}: {name}", fontsize=11)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
    return _png(figure)


def plot_confusion(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> bytes:
    """Draw a confusion matrix: rows are the truth, columns the answer, cells counts, shades parts of the row."""
    figure, (axes,) = _figure(1.8 + 0.62 * len(labels), 1.6 + 0.55 * len(labels), 1)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right", fontsize=10)
    axes.set_yticks(range(len(labels)), labels, fontsize=10)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.set_title(title, fontsize=12)
    return _png(figure)


def _figure(width: float, height: float, panels: int) -> tuple[Any, list[Any]]:
    """Make a figure without the global state of pyplot, so that threads and displays do not matter."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(1, panels)))


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
