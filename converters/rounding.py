"""How the weights of one layer are rounded to 8 bits so that its sums, not its weights, change least.

Rounding each weight by itself shifts the mean of what a layer gives (its inputs are not centred), and depthwise
layers early in a network suffer most: MobileNetV2 at 97 x 97 with rounded weights and float sums keeps a mean cosine
of 0.927 with itself, 0.996 when the shift is put into the bias, and 0.999 when each rounding error is also passed on
to the weights that are not rounded yet.

The first remedy is bias correction (Nagel et al. 2019, arXiv:1906.04721, section 4.2), the second is the optimal
brain quantiser in the fixed order of GPTQ (Frantar et al. 2022, arXiv:2210.17323).
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

LEVELS = 127
"""Largest whole number of a symmetric 8-bit weight; TFLite and ONNX Runtime both leave -128 out."""

_WIDEST = 2304
"""Weights of one row, from which on errors are not passed on: the work grows with the square. 3 x 3 x 256 still is."""

_DAMPING = 0.01
"""Share of the mean variance that is added to each, so that inputs that never differ do not divide by zero. GPTQ's."""

_BLOCK = 64


def fit_rows(rows: F64, second: F64 | None, mean: F64) -> tuple[F64, F64]:
    """Round rows of weights to multiples of a scale each: their largest magnitude over `LEVELS`.

    The largest weight of each row stays where it is, so that a quantiser finds the same scale in the result and
    leaves it as it is.

    Args:
        rows: (O, K), one row for each output channel.
        second: (K, K) mean of x x^T over the inputs x that calibrate; None to round each weight by itself.
        mean: (K,) mean of x.

    Returns:
        The rounded rows, and what to add to the bias of each (O,), so that the layer's mean is what it was.
    """
    scale = np.abs(rows).max(axis=1) / LEVELS
    scale = np.where(scale > 0, scale, 1.0)
    if second is None or rows.shape[1] > _WIDEST or rows.shape[1] == 1:
        rounded = np.rint(rows / scale[:, None]) * scale[:, None]
    else:
        rounded = _pass_errors_on(rows, scale, second - np.outer(mean, mean))
    return rounded, (rows - rounded) @ mean


def _pass_errors_on(rows: F64, scale: F64, covariance: F64) -> F64:
    """Round column after column, the most lively input first; the error goes to the columns still to come."""
    width = rows.shape[1]
    order = np.argsort(-np.diag(covariance), kind="stable")
    damped = covariance[np.ix_(order, order)]
    damped = damped + np.eye(width) * (_DAMPING * np.trace(damped) / width + 1e-12)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    largest = np.abs(rows).argmax(axis=1)
    left = rows[:, order].copy()
    rounded = np.zeros_like(left)
    for begin in range(0, width, _BLOCK):
        end = min(begin + _BLOCK, width)
        errors = np.zeros((len(rows), end - begin))
        for column in range(begin, end):
            whole = np.clip(np.rint(left[:, column] / scale), -LEVELS, LEVELS)
            keep = largest == order[column]
            whole[keep] = np.rint(rows[keep, order[column]] / scale[keep])
            rounded[:, column] = whole * scale
            error = (left[:, column] - rounded[:, column]) / upper[column, column]
            errors[:, column - begin] = error
            left[:, column + 1 : end] -= error[:, None] * upper[column, column + 1 : end]
        left[:, end:] -= errors @ upper[begin:end, end:]
    back = np.empty_like(rounded)
    back[:, order] = rounded
    return back
