"""Losses over a batch of vectors whose groups are known, where some groups may or may not be the same individual."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from models.siamese.crops import Bools

Loss = Callable[[Any, Any], Any]

TEMPERATURE = 0.1
"""Of the supervised contrastive loss, as in its paper."""


def supervised_contrastive(strangers: Bools, temperature: float = TEMPERATURE) -> Loss:
    """Return the loss L_out of Khosla et al., "Supervised contrastive learning", arXiv:2004.11362, equation 2.

    Args:
        strangers: bool (G, G), which groups certainly show two individuals; couples of which nobody knows it are
            neither attracted nor repelled.
        temperature: what similarities are divided by.

    Returns:
        A Keras loss of groups (N,) and vectors (N, D) of length 1.
    """
    apart = keras.ops.convert_to_tensor(strangers.astype(np.float32))

    def loss(groups: Any, vectors: Any) -> Any:
        same, different = _relations(groups, apart)
        logits = keras.ops.matmul(vectors, keras.ops.transpose(vectors)) / temperature
        logits = logits - keras.ops.stop_gradient(keras.ops.max(logits, axis=1, keepdims=True))
        others = keras.ops.sum(keras.ops.exp(logits) * (same + different), axis=1, keepdims=True)
        each = (logits - keras.ops.log(others + 1e-9)) * same
        count = keras.ops.sum(same, axis=1)
        useful = keras.ops.cast((count > 0) & (keras.ops.sum(different, axis=1) > 0), "float32")
        mean = -keras.ops.sum(each, axis=1) / keras.ops.maximum(count, 1.0)
        return keras.ops.sum(mean * useful) / keras.ops.maximum(keras.ops.sum(useful), 1.0)

    return loss


def batch_hard_triplet(strangers: Bools) -> Loss:
    """Return the soft-margin batch-hard loss of Hermans et al., "In defense of the triplet loss", arXiv:1703.07737.

    Args:
        strangers: see `supervised_contrastive`.
    """
    apart = keras.ops.convert_to_tensor(strangers.astype(np.float32))

    def loss(groups: Any, vectors: Any) -> Any:
        same, different = _relations(groups, apart)
        dot = keras.ops.matmul(vectors, keras.ops.transpose(vectors))
        distance = keras.ops.sqrt(keras.ops.maximum(2 - 2 * dot, 1e-9))
        farthest = keras.ops.max(distance * same, axis=1)
        nearest = keras.ops.min(distance + 10.0 * (1 - different), axis=1)
        some = (keras.ops.sum(same, axis=1) > 0) & (keras.ops.sum(different, axis=1) > 0)
        useful = keras.ops.cast(some, "float32")
        each = keras.ops.softplus(10.0 * (farthest - nearest)) * useful
        return keras.ops.sum(each) / keras.ops.maximum(keras.ops.sum(useful), 1.0)

    return loss


LOSSES: dict[str, Callable[[Bools], Loss]] = {
    "supervised-contrastive": supervised_contrastive,
    "batch-hard-triplet": batch_hard_triplet,
}


def _relations(groups: Any, apart: Any) -> tuple[Any, Any]:
    """Return float (N, N): 1 where two are of one group and not the same row, and 1 where they are strangers."""
    groups = keras.ops.cast(keras.ops.reshape(groups, (-1,)), "int32")
    same = keras.ops.cast(groups[:, None] == groups[None], "float32")
    same = same - keras.ops.eye(keras.ops.shape(groups)[0])
    different = keras.ops.take(keras.ops.take(apart, groups, axis=0), groups, axis=1)
    return same, different
