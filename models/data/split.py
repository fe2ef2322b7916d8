"""Two parts of the same mixture, by a seed, such that what is alike is never in both."""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from edge.errors import ConfigError

_FOLDS = 10
"""Into so many folds at most, for a share that is not one part in a whole number."""


def split_rows(
    classes: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int, names: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into a larger and a smaller part, stratified by class; a group stays together.

    Args:
        classes: int64 (N,).
        groups: int64 (N,), rows with the same number are duplicates or belong together.
        share: of the smaller part, above 0 and at most 0.5. The nearest k parts in n that the classes
            allow.
        seed: the same seed makes the same split.
        names: of the classes, for the error; empty = their numbers.

    Returns:
        Rows of the larger part and of the smaller one, ascending.

    Raises:
        ConfigError: a share out of its range, or a class with too few groups to be in both parts.
    """
    if not 0 < share <= 0.5:
        raise ConfigError(f"split: want a share above 0 and up to 0.5, got {share:g}; correct it")
    folds = max(2, round(1 / share))
    fewest = len(groups)
    for number in np.unique(classes).tolist():
        different = len(np.unique(groups[classes == number]))
        fewest = min(fewest, different)
        if different < folds:
            raise ConfigError(
                f"split: want at least {folds} different examples of each class for a part of 1/{folds}, got "
                f"{different} of class {names[number] if names else number}; add some or raise the share"
            )
    parts, folds = _nearest(share, min(fewest, max(_FOLDS, folds)))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    held = np.zeros(len(classes), bool)
    for _, fold in islice(splitter.split(np.zeros(len(classes)), classes, groups), parts):
        held[fold] = True
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def _nearest(share: float, folds: int) -> tuple[int, int]:
    """Return k and n, up to `folds`, such that k / n is nearest to the share, and n as small as can be."""
    pairs = [(max(1, round(share * n)), n) for n in range(2, folds + 1)]
    return min(pairs, key=lambda pair: (round(abs(pair[0] / pair[1] - share), 9), pair[1]))
