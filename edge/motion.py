"""A constant-velocity Kalman filter over many boxes at once.

Centre x, centre y, width and height of a box move independently of each other, so the usual 8 x 8 covariance falls
apart into four 2 x 2 ones, and all tracks are one array. Time is in seconds, so dropped frames and sources of any
rate need no other constants, and all noise scales with the size of the box: sqrt(width * height).

The state of M tracks is float32 (5, 4, M): for cx, cy, w, h the layers POSITION (px), VELOCITY (px/s), and the
variances VAR_POSITION, COVARIANCE, VAR_VELOCITY. Tracks lie along the last axis, so that every operation runs over
them and not over four numbers at a time. Places go in and come out as float32 (4, M), rows centre x, centre y, width,
height; see `boxes.xyxy_to_cxcywh`.
"""

import numpy as np

from edge.types import F32

POSITION, VELOCITY, VAR_POSITION, COVARIANCE, VAR_VELOCITY = range(5)

MEASURED = np.array([[0.05], [0.05], [0.1], [0.1]], np.float32)
"""Standard deviation of a detected box, in box sizes. The place is that of DeepSORT's filter (1/20,
arXiv:1703.07402 and its code); sides, which a detector cuts off at whatever hides a part, are twice as unsure."""
ACCELERATION = np.array([[2.0], [2.0], [0.5], [0.5]], np.float32)
"""Standard deviation of acceleration, box sizes / s^2. A standing adult's box has size 0.9 m (1.7 m x 0.5 m), and a
walker starts, stops and turns with 1 to 2 m/s^2. Sides change by distance alone, more slowly."""
FIRST_VELOCITY = np.array([[1.5], [1.5], [0.4], [0.4]], np.float32)
"""Standard deviation of the unknown velocity of a new track, box sizes / s: a walker's 1.4 m/s is 1.5."""
GATE = 13.28
"""Largest squared Mahalanobis distance of a detection to its track: 99 % of chi-square with 4 degrees of freedom."""

_NOISE = MEASURED**2
_PUSH = ACCELERATION**2


def start(places: F32) -> F32:
    """Return the state (5, 4, N) of new tracks at these places (4, N)."""
    area = _area(places)
    state = np.zeros((5, *places.shape), np.float32)
    state[POSITION] = places
    state[VAR_POSITION] = area * _NOISE
    state[VAR_VELOCITY] = area * FIRST_VELOCITY**2
    return state


def predict(state: F32, seconds: float) -> F32:
    """Return the state (5, 4, M) after this time: constant velocity, pushed by white-noise acceleration."""
    t = seconds
    step = np.eye(5, dtype=np.float32)  # the new layers are this matrix times the old ones
    step[POSITION, VELOCITY] = step[COVARIANCE, VAR_VELOCITY] = t
    step[VAR_POSITION, COVARIANCE], step[VAR_POSITION, VAR_VELOCITY] = 2 * t, t * t
    later: F32 = (step @ state.reshape(5, -1)).reshape(state.shape)
    growth = np.array([t**4 / 4, t**3 / 2, t * t], np.float32)[:, None, None]
    later[VAR_POSITION:] += growth * (_PUSH * _area(state[POSITION]))
    np.maximum(later[POSITION, 2:], 1, out=later[POSITION, 2:])
    return later


def update(state: F32, places: F32) -> F32:
    """Return the state (5, 4, M) after each track has been seen at its place (4, M)."""
    later = state.copy()
    gain = state[VAR_POSITION:VAR_VELOCITY] / _expected(state)  # of position and of velocity
    later[:VAR_POSITION] += gain * (places - state[POSITION])
    later[VAR_POSITION:VAR_VELOCITY] -= gain[0] * state[VAR_POSITION:VAR_VELOCITY]
    later[VAR_VELOCITY] -= gain[1] * state[COVARIANCE]
    return later


def surprise(state: F32, places: F32) -> tuple[F32, F32]:
    """Return how unlikely each place (4, N) is as the next sight of each track.

    Returns:
        The squared Mahalanobis distance (M, N), and how much wider than a fresh detection's own error each track's
        uncertainty has grown (M, 1): the logarithm of the ratio of their determinants. Their sum is twice the
        negative log-likelihood, up to a constant: a track long unseen, which could be anywhere, claims a box with
        less force than one that is expected just there.
    """
    variance = _expected(state)
    off = places[:, None] - state[POSITION, :, :, None]
    off *= off
    off /= variance[:, :, None]
    squared: F32 = np.add.reduce(off, axis=0)
    ratio = variance / (_area(state[POSITION]) * _NOISE)
    widened: F32 = np.log(np.multiply.reduce(ratio, axis=0))[:, None]
    return squared, widened


def _expected(state: F32) -> F32:
    """Return the variance (4, M), px^2, with which the next detection is expected around the position."""
    result: F32 = state[VAR_POSITION] + _area(state[POSITION]) * _NOISE
    return result


def _area(places: F32) -> F32:
    """Return width * height (M,) of places (4, M), at least one pixel."""
    result: F32 = places[2] * places[3]
    return np.maximum(result, 1, out=result)
