"""How numbers are brought to mean 0 and deviation 1: learnt from the training part alone, or the test would leak."""

from dataclasses import dataclass

import numpy as np

from edge.types import F32


@dataclass(frozen=True, slots=True)
class Scaling:
    """Of each column of numbers; empty for pictures, whose pixels are divided by 255.

    Attributes:
        mean: float32 (F,).
        deviation: float32 (F,), 1 where a column is constant.
    """

    mean: F32
    deviation: F32

    def apply(self, x: F32) -> F32:
        """Return scaled numbers float32 (N, F)."""
        scaled: F32 = ((x - self.mean) / self.deviation).astype(np.float32)
        return scaled


def fit_scaling(x: F32) -> Scaling:
    """Return the scaling of the numbers (N, F) of a training part."""
    deviation = x.std(axis=0, dtype=np.float64)
    scale = np.maximum(np.abs(x).max(axis=0), 1e-12)
    deviation[deviation < 1e-6 * scale] = 1  # what never changes would become noise
    return Scaling(x.mean(axis=0, dtype=np.float64).astype(np.float32), deviation.astype(np.float32))


NO_SCALING = Scaling(np.zeros(0, np.float32), np.ones(0, np.float32))
"""For pictures."""
