"""Keras against the packed model, output by output, over pictures that the quantiser has not seen."""

from collections.abc import Sequence

import numpy as np

from converters.load import Tensor
from edge.bundle import OutputParity

_SILENT = 1e-12
"""Euclidean length below which an output is all zeros for us."""


def compare(
    names: Sequence[str], want: Sequence[Sequence[Tensor]], got: Sequence[Sequence[Tensor]], limit: float
) -> tuple[OutputParity, ...]:
    """Measure how far each output is from Keras.

    Args:
        names: of the outputs.
        want: for each picture, Keras' outputs.
        got: for each picture, the packed model's outputs, as real numbers.
        limit: the recipe's `cosine_min`, recorded beside the figures.
    """
    return tuple(
        OutputParity(
            output=name,
            max_abs=max(_max_abs(w[number], g[number]) for w, g in zip(want, got, strict=True)),
            cosine_min=min(cosine(w[number], g[number]) for w, g in zip(want, got, strict=True)),
            cosine_limit=limit,
            inputs=len(want),
        )
        for number, name in enumerate(names)
    )


def broken(parity: Sequence[OutputParity]) -> list[str]:
    """Say in words which outputs are further from Keras than their limit; empty = all is well."""
    return [
        f"output '{part.output}': want cosine >= {part.cosine_limit:g} to Keras on every picture, "
        f"got {part.cosine_min:.5f} at worst (largest difference {part.max_abs:.4g}, {part.inputs} pictures)"
        for part in parity
        if not part.cosine_min >= part.cosine_limit
    ]


def cosine(a: Tensor, b: Tensor) -> float:
    """Return the cosine of two arrays seen as vectors; 1 for two silent ones, -1 where a value is not finite."""
    x, y = a.astype(np.float64).reshape(-1), b.astype(np.float64).reshape(-1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return -1.0
    lengths = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    if min(lengths) < _SILENT:
        return 1.0 if max(lengths) < _SILENT else 0.0
    return min(1.0, float(x @ y) / (lengths[0] * lengths[1]))


def _max_abs(a: Tensor, b: Tensor) -> float:
    """Return the largest absolute difference; the largest float32 where a value is not finite, as JSON has no inf."""
    difference = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
    return difference if np.isfinite(difference) else float(np.finfo(np.float32).max)
