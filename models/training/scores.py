"""How well a classifier does, by scikit-learn: accuracy, F1 of each class, confusion matrix, ROC-AUC."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from edge.types import F32


def classification_scores(truth: NDArray[np.int64], probabilities: F32, labels: Sequence[str]) -> dict[str, Any]:
    """Return the figures of a classifier as JSON can hold them.

    Args:
        truth: int64 (N,), class of each example.
        probabilities: float32 (N, classes).
        labels: name of each class.

    Returns:
        `accuracy`, `f1` (mean over the classes), `f1_per_class` by label, `roc_auc` (one against the rest, mean over
        the classes that occur; None where fewer than two do), `confusion` (rows are the truth), `examples`.
    """
    answers = probabilities.argmax(axis=1)
    every = list(range(len(labels)))
    f1 = metrics.f1_score(truth, answers, labels=every, average=None, zero_division=0.0)
    return {
        "accuracy": float(metrics.accuracy_score(truth, answers)),
        "f1": float(np.mean(f1)),
        "f1_per_class": {label: float(value) for label, value in zip(labels, f1, strict=True)},
        "roc_auc": _roc_auc(truth, probabilities),
        "confusion": metrics.confusion_matrix(truth, answers, labels=every).tolist(),
        "examples": len(truth),
    }


def _roc_auc(truth: NDArray[np.int64], probabilities: F32) -> float | None:
    areas = [
        metrics.roc_auc_score(truth == place, probabilities[:, place])
        for place in range(probabilities.shape[1])
        if 0 < int((truth == place).sum()) < len(truth)
    ]
    return float(np.mean(areas)) if areas else None
