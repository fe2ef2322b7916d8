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
_COLUMNS = 2
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES = ("-", "--", ":", "-.")


def plot_history(history: Mapping[str, Sequence[float]], title: str, best: int = -1) -> bytes:
    """Draw every quantity of a history with that of the validation data over it, one panel each.

    Args:
        history: name -> value after each epoch; `val_NAME` belongs to NAME.
        title: over the picture.
        best: epoch, counted from 0, whose weights were kept; -1 = do not mark it.
    """
    names = [name for name in history if not name.startswith("val_")]
    names = names or list(history)
    rows = -(-len(names) // _COLUMNS)
    figure, panels = figure_of(5.2 * min(len(names), _COLUMNS), 3.6 * rows, rows, min(len(names), _COLUMNS))
    for axes in panels[len(names) :]:
        axes.remove()
    for axes, name in zip(panels, names, strict=False):
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
    return png_of(figure)


def plot_curves(histories: Mapping[str, Mapping[str, Sequence[float]]], name: str = "val_accuracy") -> bytes:
    """Draw one quantity of many trainings in one picture.

    Args:
        histories: model -> history; the first stands first in the legend.
        name: of the quantity.
    """
    figure, (axes,) = figure_of(10, 0.9 + max(4.5, 0.24 * len(histories)))
    for place, (model, history) in enumerate(histories.items()):
        color, style = _PALETTE[place % len(_PALETTE)], _STYLES[place // len(_PALETTE) % len(_STYLES)]
        values = history[name]
        axes.plot(range(1, len(values) + 1), values, style, color=color, label=f"{model} {max(values):.3f}", marker=".")
    last = [history[name][-1] for history in histories.values()]
    axes.set_ylim(max(0.0, float(np.quantile(last, 0.25)) - 0.05), min(1.0, max(last) + 0.01))
    axes.set_xlabel("epoch")
    axes.set_ylabel(name.removeprefix("val_") + (", validation" if name.startswith("val_") else ""))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return png_of(figure)


def plot_confusion(matrix: NDArray[np.int64], labels: Sequence[str], title: str) -> bytes:
    """Draw a confusion matrix: rows are the truth, columns the answer, cells counts, shades parts of the row."""
    figure, (axes,) = figure_of(1.8 + 0.62 * len(labels), 1.6 + 0.55 * len(labels))
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
    return png_of(figure)


def figure_of(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, list[Any]]:
    """Make a figure and its panels, row by row; without the global state of pyplot, so that displays do not matter."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False).ravel())


def png_of(figure: Any) -> bytes:
    """Return a figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
