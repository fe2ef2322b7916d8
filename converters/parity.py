"""Keras against the packed model, output by output, over pictures that the quantiser has not seen."""

from collections.abc import Sequence

import numpy as np

from converters.load import Tensor
from converters.recipe import Kind
from edge.bundle import OutputParity

COSINES: dict[Kind, float] = {"fp32": 0.9999, "fp16": 0.999, "dynamic": 0.9, "int8": 0.85, "u8s8": 0.85, "int16x8": 0.9}
"""Smallest cosine with Keras of a model whose task has a metric: enough to say that it is the same model. Whether it
is good enough, the metric says."""

_NEARER = 0.25
"""Part of the way to another example's answer, in 1 - cosine, that an answer may be off. 1 - cosine is half the square
of the chord between two vectors of length 1. Within half the chord, a quarter of its square, an answer is nearer to
its own of Keras than to the other one, in whatever direction it moved (the triangle inequality)."""

_SILENT = 1e-12
"""Euclidean length below which an output is all zeros for us."""


def compare(
    names: Sequence[str],
    want: Sequence[Sequence[Tensor]],
    got: Sequence[Sequence[Tensor]],
    limit: float | None,
    kind: Kind = "fp32",
) -> tuple[OutputParity, ...]:
    """Measure how far each output is from Keras.

    Args:
        names: of the outputs.
        want: for each picture, Keras' outputs.
        got: for each picture, the packed model's outputs, as real numbers.
        limit: the recipe's `cosine_min`, recorded beside the figures; None = `floor_by_spread` of each output.
        kind: of the variant.
    """
    return tuple(
        OutputParity(
            output=name,
            max_abs=max(_max_abs(w[number], g[number]) for w, g in zip(want, got, strict=True)),
            cosine_min=min(cosine(w[number], g[number]) for w, g in zip(want, got, strict=True)),
            cosine_limit=floor_by_spread([w[number] for w in want], kind) if limit is None else limit,
            inputs=len(want),
        )
        for number, name in enumerate(names)
    )


def floor_by_spread(answers: Sequence[Tensor], kind: Kind) -> float:
    """Return the smallest cosine that says a quantised embedder is the same model, by how far its answers lie apart.

    A fixed floor measures every embedder by one that crowds its vectors. Over crops of one film those of MobileNetV2
    lie at cosines of 0.45 to 0.77 to each other (5th and 95th percentile; median 0.62), and 0.9 is a quarter of the way
    from one to the next. An embedder that was whitened fills all directions: there the median is -0.03, and 0.83 to
    Keras on the worst of 200 pictures is a sixth of the way. So where answers lie far apart, an answer may be off by
    `_NEARER` of the median between those to different examples; where they crowd, the fixed floor stays. Whether the
    model is good enough is judged by the task's metric in both cases.

    Args:
        answers: of Keras, one for each example.
        kind: of the variant; nothing but rounding to few bits moves answers so far.
    """
    rows = np.stack([answer.astype(np.float64).reshape(-1) for answer in answers])
    lengths = np.linalg.norm(rows, axis=1)
    if kind in ("fp32", "fp16") or len(rows) < 2 or not (lengths > _SILENT).all():
        return COSINES[kind]
    rows /= lengths[:, None]
    apart = float(np.median((1 - rows @ rows.T)[np.triu_indices(len(rows), 1)]))
    return min(COSINES[kind], 1 - _NEARER * min(apart, 1.0))


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
