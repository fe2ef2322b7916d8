"""Same or different: how often a distance is right, on identities that had no say in its threshold.

Accuracy is balanced: the mean of the share of "same" pairs found the same and of "different" pairs found different,
which is the accuracy on as many pairs of each kind.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from edge.types import F32, I64
from models.siamese.crops import Bools

GAPS_S = {"at most 2 s": (0.0, 2.0), "6 s and more": (6.0, np.inf)}
REPEATS = 20
"""Draws of two folds of identities; one draw of a dozen identities moves the accuracy by several points."""


@dataclass(frozen=True)
class Scores:
    """Figures of one distance on one set of pairs.

    Attributes:
        accuracy: balanced, threshold from one half of the identities, judged on the other; mean over `REPEATS` draws.
        spread: standard deviation of that over the draws.
        best: balanced accuracy at the best threshold for these very pairs: what no threshold can exceed.
        given: balanced accuracy at the threshold that came with the model; NaN where none did.
        auc: area under the ROC curve.
        eer: equal error rate: where as many strangers are taken for the same as the same for strangers.
        confusion: ((same found same, same found different), (different found same, different found different)) at
            the given threshold, else at the best.
    """

    accuracy: float
    spread: float
    best: float
    given: float
    auc: float
    eer: float
    confusion: tuple[tuple[int, int], tuple[int, int]]

    def json(self) -> dict[str, Any]:
        """Return the figures as JSON can hold them."""
        return {key: None if value != value else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Pairs:
    """Pairs to be judged.

    Attributes:
        rows: int64 (P, 2) of the crops.
        who: int64 (P, 2), identity of each.
    """

    rows: I64
    who: I64

    @property
    def same(self) -> Bools:
        """Which show one individual."""
        result: Bools = self.who[:, 0] == self.who[:, 1]
        return result


def pairs_apart(who: I64, times_s: NDArray[np.float64], gap_s: tuple[float, float]) -> Pairs:
    """Return all pairs of crops so many seconds apart, at least and at most; never of one moment."""
    first, second = np.triu_indices(len(who), 1)
    gap = np.abs(times_s[first] - times_s[second])
    wanted = (gap > 0) & (gap >= gap_s[0] - 1e-6) & (gap <= gap_s[1] + 1e-6)
    rows = np.stack([first[wanted], second[wanted]], axis=1)
    return Pairs(rows, who[rows])


def score(distances: F32, pairs: Pairs, threshold: float = float("nan"), seed: int = 0) -> Scores:
    """Judge a distance.

    Args:
        distances: float32 (P,), small for the same.
        pairs: what is right.
        threshold: that came with the model: below it two are the same.
        seed: draws the folds.
    """
    same = pairs.same
    cut, best = best_threshold(distances, same)
    given = threshold == threshold
    found = distances <= (threshold if given else cut)
    far, tpr, _ = metrics.roc_curve(same, -distances)
    draws = _fold_accuracies(distances, pairs, seed)
    return Scores(
        accuracy=float(np.mean(draws)) if draws else float("nan"),
        spread=float(np.std(draws)) if draws else float("nan"),
        best=best,
        given=balanced(found, same) if given else float("nan"),
        auc=float(metrics.auc(far, tpr)),
        eer=float((far + 1 - tpr)[np.argmin(np.abs(far - (1 - tpr)))] / 2),
        confusion=(
            (int((found & same).sum()), int((~found & same).sum())),
            (int((found & ~same).sum()), int((~found & ~same).sum())),
        ),
    )


def best_threshold(distances: F32, same: Bools) -> tuple[float, float]:
    """Return the threshold with the best balanced accuracy, half way to the next distance, and that accuracy."""
    order = np.argsort(distances, kind="stable")
    right, sorted_ = same[order], distances[order]
    found = np.cumsum(right) / max(1, right.sum())
    spared = 1 - np.cumsum(~right) / max(1, (~right).sum())
    place = int(np.argmax(found + spared))
    after = sorted_[min(place + 1, len(sorted_) - 1)]
    return float((sorted_[place] + after) / 2), float((found[place] + spared[place]) / 2)


def balanced(found: Bools, same: Bools) -> float:
    """Return the mean of the shares of both kinds that were found right."""
    return float((found[same].mean() + (~found[~same]).mean()) / 2)


def _fold_accuracies(distances: F32, pairs: Pairs, seed: int) -> list[float]:
    """Draw two halves of the identities again and again; pairs across halves are left out."""
    random, identities, accuracies = np.random.default_rng(seed), np.unique(pairs.who), []
    for _ in range(REPEATS):
        half = random.permutation(identities)[::2]
        first = np.isin(pairs.who, half)
        folds = first.all(axis=1), (~first).all(axis=1)
        if all(0 < pairs.same[fold].sum() < fold.sum() for fold in folds):
            for learn, test in (folds, folds[::-1]):
                cut, _ = best_threshold(distances[learn], pairs.same[learn])
                accuracies.append(balanced(distances[test] <= cut, pairs.same[test]))
    return accuracies
