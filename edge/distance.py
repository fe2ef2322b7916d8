"""Distances between embeddings: how unlike two individuals look."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.types import F32

Pairs = tuple[NDArray[np.integer[Any]], ...]
"""Rows of the queries and rows of the gallery, both (P,)."""
Measure = Callable[[F32, F32, Pairs], F32]
"""Queries (Q, D), gallery (G, D), pairs -> distance of each pair, float32 (P,)."""


def manhattan(queries: F32, gallery: F32, pairs: Pairs) -> F32:
    """Return the sum of absolute differences of each pair, float32 (P,).

    Args:
        queries: float32 (Q, D).
        gallery: float32 (G, D).
        pairs: rows of `queries` and rows of `gallery`, both (P,): only the pairs that could match are paid for.
    """
    off: F32 = queries.take(pairs[0], axis=0)
    off -= gallery.take(pairs[1], axis=0)
    result: F32 = np.abs(off, out=off).sum(axis=1)
    return result


def cosine(queries: F32, gallery: F32, pairs: Pairs) -> F32:
    """Return 1 - cosine similarity of each pair, float32 (P,); a vector of zeros is at distance 1 of all.

    Args:
        queries: float32 (Q, D).
        gallery: float32 (G, D).
        pairs: rows of `queries` and rows of `gallery`, both (P,).
    """
    q, g = queries.take(pairs[0], axis=0), gallery.take(pairs[1], axis=0)
    dot = np.einsum("pd,pd->p", q, g)
    length = np.sqrt(np.einsum("pd,pd->p", q, q) * np.einsum("pd,pd->p", g, g))
    result: F32 = np.float32(1) - dot / np.maximum(length, np.float32(1e-12))
    return result


METRICS: dict[str, Measure] = {"manhattan": manhattan, "cosine": cosine}
"""Value of `Embedding.metric` in a bundle -> function."""
