"""Random pictures with what a model says of them."""

import numpy as np

from edge.types import F32
from models.classify.data import Pictures
from models.training.curves import figure_of, png_of

_COLUMNS = 10
_RIGHT, _WRONG = "#00664B", "#C03B00"


def prediction_sheet(pictures: Pictures, probabilities: F32, name: str, count: int, seed: int = 0) -> bytes:
    """Draw pictures with the answer over each, green if right; the truth stands below a wrong one.

    Args:
        pictures: labelled.
        probabilities: float32 (N, classes), of the same pictures.
        name: of the model, for the title.
        count: how many are drawn, at random.
        seed: chooses.
    """
    chosen = np.random.default_rng(seed).choice(len(pictures.truth), count, replace=False)
    rows = -(-count // _COLUMNS)
    figure, panels = figure_of(1.35 * _COLUMNS, 1.75 * rows + 0.4, rows, _COLUMNS)
    right = 0
    for axes, place in zip(panels, chosen, strict=False):
        answer, truth = int(probabilities[place].argmax()), int(pictures.truth[place])
        right += answer == truth
        color = _RIGHT if answer == truth else _WRONG
        words = f"{pictures.labels[answer]} {100 * probabilities[place, answer]:.0f} %"
        axes.imshow(255 - pictures.images[place, ..., 0], cmap="gray", vmin=0, vmax=255)
        axes.set_title(words, color=color, fontsize=9, weight="normal" if answer == truth else "bold")
        if answer != truth:
            axes.set_xlabel(f"is {pictures.labels[truth]}", color=color, fontsize=9)
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_frame_on(False)
    figure.suptitle(f"{name}: {right} of {count} right", fontsize=12)
    return png_of(figure)
