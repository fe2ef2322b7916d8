"""A constant-velocity Kalman filter over many boxes at once.

Centre x, centre y, width and height of a box move independently of each other, so the usual 8 x 8 covariance falls
apart into four 2 x 2 ones, and all tracks are one array. Time is in seconds, so dropped frames and sources of any
rate need no other constants, and all noise scales with the size of the box: sqrt(width * height).

The state of M tracks is float32 (M, 5, 4): for cx, cy, w, h the rows
POSITION (px), VELOCITY (px/s), and the variances VAR_POSITION, COVARIANCE, VAR_VELOCITY. Places go in and come out
as float32 (M, 4) centre x, centre y, width, height; see `boxes.xyxy_to_cxcywh`.
"""

import numpy as np

from edge.types import F32

POSITION, VELOCITY, VAR_POSITION, COVARIANCE, VAR_VELOCITY = range(5)

MEASURED = np.array([0.05, 0.05, 0.1, 0.1], np.float32)
"""Standard deviation of a detected box, in box sizes. The place is that of DeepSORT's filter (1/20,
arXiv:1703.07402 and its code); sides, which a detector cuts off at whatever hides a part, are twice as unsure."""
ACCELERATION = np.array([2.0, 2.0, 0.5, 0.5], np.float32)
"""Standard deviation of acceleration, box sizes / s^2. A standing adult's box has size 0.9 m (1.7 m x 0.5 m), and a
walker starts, stops and turns with 1 to 2 m/s^2. Sides change by distance alone, more slowly."""
FIRST_VELOCITY = np.array([1.5, 1.5, 0.4, 0.4], np.float32)
"""Standard deviation of the unknown velocity of a new track, box sizes / s: a walker's 1.4 m/s is 1.5."""
GATE = 13.28
"""Largest squared Mahalanobis distance of a detection to its track: 99 % of chi-square with 4 degrees of freedom."""


def start(places: F32) -> F32:
    """Return the state (N, 5, 4) of new tracks at these places (N, 4)."""
    area = _area(places)
    state = np.zeros((len(places), 5, 4), np.float32)
    state[:, POSITION] = places
    state[:, VAR_POSITION] = area * MEASURED**2
    state[:, VAR_VELOCITY] = area * FIRST_VELOCITY**2
    return state


def predict(state: F32, seconds: float) -> F32:
    """Return the state (M, 5, 4) after this time: constant velocity, pushed by white-noise acceleration."""
    t = seconds
    step = np.eye(5, dtype=np.float32)  # the new rows are this matrix times the old ones
    step[POSITION, VELOCITY] = step[COVARIANCE, VAR_VELOCITY] = t
    step[VAR_POSITION, COVARIANCE], step[VAR_POSITION, VAR_VELOCITY] = 2 * t, t * t
    push = np.array([[t**4 / 4], [t**3 / 2], [t * t]], np.float32) * ACCELERATION**2
    later: F32 = step @ state
    later[:, VAR_POSITION:] += _area(state[:, POSITION])[:, :, None] * push
    sides = later[:, POSITION, 2:]
    np.maximum(sides, 1, out=sides)
    return later


def update(state: F32, places: F32) -> F32:
    """Return the state (M, 5, 4) after each track has been seen at its place (M, 4)."""
    gain = state[:, VAR_POSITION:VAR_VELOCITY] / _expected(state)[:, None]  # of position and of velocity
    later = state.copy()
    later[:, :VAR_POSITION] += gain * (places - state[:, POSITION])[:, None]
    later[:, VAR_POSITION:] -= gain[:, (0, 0, 1)] * state[:, (VAR_POSITION, COVARIANCE, COVARIANCE)]
    return later


def surprise(state: F32, places: F32) -> tuple[F32, F32]:
    """Return how unlikely each place (N, 4) is as the next sight of each track.

    Returns:
        The squared Mahalanobis distance (M, N), and how much wider than a fresh detection's own error each track's
        uncertainty has grown (M, 1): the logarithm of the ratio of their determinants. Their sum is twice the
        negative log-likelihood, up to a constant: a track long unseen, which could be anywhere, claims a box with
        less force than one that is expected just there.
    """
    variance = _expected(state)
    off = places - state[:, None, POSITION]
    off *= off
    squared: F32 = (off @ (np.float32(1) / variance)[:, :, None])[:, :, 0]
    ratio = variance / (_area(state[:, POSITION]) * MEASURED**2)
    widened: F32 = np.log(ratio[:, 0] * ratio[:, 1] * ratio[:, 2] * ratio[:, 3])[:, None]
    return squared, widened


def _expected(state: F32) -> F32:
    """Return the variance (M, 4), px^2, with which the next detection is expected around the position."""
    result: F32 = state[:, VAR_POSITION] + _area(state[:, POSITION]) * MEASURED**2
    return result


def _area(places: F32) -> F32:
    """Return width * height of places (M, 4) as a column (M, 1), at least one pixel."""
    result: F32 = places[:, 2:3] * places[:, 3:4]
    return np.maximum(result, 1, out=result)
