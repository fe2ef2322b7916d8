"""Which last activation and which loss fit which kind of problem.

The table of F. Chollet, "Deep Learning with Python" (Manning 2017), section 4.5: choose the last layer by what the
answer may be, and the loss by what the last layer gives.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.types import F32

Task = Literal["binary", "multiclass", "multilabel", "regression", "unit-regression"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem.

    Attributes:
        words: what the answer is.
        activation: of the last layer, by its name in Keras; `linear` is none.
        losses: that fit, the first one is the starter's.
        score: what `scores` measures, higher is better.
        unit: of that score.
    """

    words: str
    activation: str
    losses: tuple[str, ...]
    score: str
    unit: Literal["%", ""]


KINDS: dict[Task, Kind] = {
    "binary": Kind("one of two classes", "sigmoid", ("binary_crossentropy",), "accuracy", "%"),
    "multiclass": Kind("one of several classes", "softmax", ("categorical_crossentropy",), "accuracy", "%"),
    "multilabel": Kind("any number of classes at once", "sigmoid", ("binary_crossentropy",), "labels right", "%"),
    "regression": Kind("any number", "linear", ("mse", "mae"), "minus the mean absolute error", ""),
    "unit-regression": Kind(
        "a number between 0 and 1", "sigmoid", ("mse", "binary_crossentropy"), "minus the mean absolute error", ""
    ),
}


def scores(task: Task, truth: F32, answers: F32) -> F32:
    """Return how right each answer is, float32 (N,), higher is better.

    Args:
        task: kind of problem.
        truth: float32 (N, K): 0 or 1 for `binary`, one-hot for `multiclass`, 0 and 1 for `multilabel`, else numbers.
        answers: float32 (N, K) of the last layer.
    """
    if task == "multiclass":
        right: NDArray[np.bool_] = answers.argmax(axis=1) == truth.argmax(axis=1)
        return right.astype(np.float32)
    if task in ("binary", "multilabel"):
        result: F32 = ((answers >= 0.5) == (truth >= 0.5)).mean(axis=1).astype(np.float32)
        return result
    errors: F32 = -np.abs(answers - truth).mean(axis=1)
    return errors


def chance(task: Task, truth: F32, rows: int) -> F32:
    """Return the best answer that looks at no example, repeated: float32 (rows, K).

    It is the commonest class or labels, or the median, of the training part's `truth`.
    """
    if task == "multiclass":
        best = np.zeros(truth.shape[1], np.float32)
        best[int(truth.sum(axis=0).argmax())] = 1
    elif task in ("binary", "multilabel"):
        best = (truth.mean(axis=0) >= 0.5).astype(np.float32)
    else:
        best = np.median(truth, axis=0).astype(np.float32)
    return np.repeat(best[None], rows, axis=0)


def better_by(a: F32, b: F32) -> tuple[float, float]:
    """Return by how much the scores `a` of the same examples are better than `b`, and the standard error of that."""
    differences = a.astype(np.float64) - b
    return float(differences.mean()), float(differences.std() / np.sqrt(len(differences)))


def chance_of_worse(a: F32, b: F32) -> float:
    """Return how likely it is that scores `a` are worse than `b` of the same examples as often as here, by luck alone.

    Of the examples on which the two differ, each is as likely to be worse as better if neither net is the better one:
    an exact binomial, one-sided. Over right and wrong that is McNemar's exact test (Psychometrika 12, 1947, page 153),
    over numbers the sign test, which asks nothing of how errors are distributed.

    Args:
        a: float32 (N,), higher is better.
        b: the same.

    Returns:
        P(at least so many are worse), 0 to 1; 1 where none differs.
    """
    worse, differing = int((a < b).sum()), int((a != b).sum())
    ways, sum_of_ways = 1, 0
    for better in range(differing - worse + 1):
        sum_of_ways += ways
        ways = ways * (differing - better) // (better + 1)
    return float(Fraction(sum_of_ways, 2**differing))
