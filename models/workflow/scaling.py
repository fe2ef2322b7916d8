"""How numbers are brought to mean 0 and deviation 1: learnt from the training part alone, or the test would leak."""

from dataclasses import dataclass

import numpy as np

from edge.types import F32


@dataclass(frozen=True, slots=True)
class Scaling:
    """Of numbers that go in, and of those that come out.

    Attributes:
        mean: float32 (F,) of each column; empty for pictures, whose pixels are divided by 255.
        deviation: float32 (F,), 1 where a column is constant.
        answer_mean: float32 (K,) of the answers of task `regression`; empty for the others, which need none.
        answer_deviation: float32 (K,).
    """

    mean: F32
    deviation: F32
    answer_mean: F32
    answer_deviation: F32

    def apply(self, x: F32) -> F32:
        """Return scaled numbers float32 (N, F)."""
        scaled: F32 = ((x - self.mean) / self.deviation).astype(np.float32)
        return scaled


def fit_scaling(x: F32 | None, answers: F32 | None) -> Scaling:
    """Return the scaling of a training part.

    Args:
        x: float32 (N, F); None for pictures.
        answers: float32 (N, K); None where the last activation says what they may be.
    """
    mean, deviation = _of(x)
    answer_mean, answer_deviation = _of(answers)
    return Scaling(mean, deviation, answer_mean, answer_deviation)


def _of(values: F32 | None) -> tuple[F32, F32]:
    if values is None:
        return np.zeros(0, np.float32), np.ones(0, np.float32)
    deviation = values.std(axis=0, dtype=np.float64)
    scale = np.maximum(np.abs(values).max(axis=0), 1e-12)
    deviation[deviation < 1e-6 * scale] = 1  # what never changes would become noise
    return values.mean(axis=0, dtype=np.float64).astype(np.float32), deviation.astype(np.float32)
