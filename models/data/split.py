"""Two parts of the same mixture, by a seed, such that what is alike is never in both."""

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from edge.errors import ConfigError


def split_rows(
    classes: NDArray[np.int64], groups: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows into a larger and a smaller part, stratified by class; a group stays together.

    Args:
        classes: int64 (N,).
        groups: int64 (N,), rows with the same number are duplicates or belong together.
        share: of the smaller part, above 0 and at most 0.5. It becomes one part in a whole number.
        seed: the same seed makes the same split.

    Returns:
        Rows of the larger part and of the smaller one, ascending.

    Raises:
        ConfigError: a share out of its range, or a class with too few groups to be in both parts.
    """
    if not 0 < share <= 0.5:
        raise ConfigError(f"split: want a share above 0 and up to 0.5, got {share:g}; correct it")
    folds = max(2, round(1 / share))
    for number in np.unique(classes).tolist():
        different = len(np.unique(groups[classes == number]))
        if different < folds:
            raise ConfigError(
                f"split: want at least {folds} different examples of each class for a part of 1/{folds}, got "
                f"{different} of class {number}; add some or raise the share"
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    larger, smaller = next(splitter.split(np.zeros(len(classes)), classes, groups))
    return np.sort(larger).astype(np.int64), np.sort(smaller).astype(np.int64)
