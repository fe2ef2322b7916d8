"""A constant-velocity Kalman filter over many boxes at once.

Centre x, centre y, width and height of a box move independently of each other, so the usual 8 x 8 covariance falls
apart into four 2 x 2 ones, and all tracks are one array. Time is in seconds, so dropped frames and sources of any
rate need no other constants, and all noise scales with the size of the box: sqrt(width * height).

The state of M tracks is float32 (5, 4, M): for cx, cy, w, h the layers POSITION (px), VELOCITY (px/s), and the
variances VAR_POSITION, COVARIANCE, VAR_VELOCITY. Tracks lie along the last axis, so that every operation runs over
them and not over four numbers at a time. Places go in and come out as float32 (4, M), rows centre x, centre y, width,
height; see `boxes.xyxy_to_cxcywh`.
"""

from functools import lru_cache

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
LONGEST_S = 1e4
"""A longer step counts as this one, beyond which float32 overflows: no track is kept unseen for longer
(`config.Track.keep_ms`), and only a damaged film tells such times."""

_NOISE = MEASURED**2
_PUSH = ACCELERATION**2
_SUM = np.ones(4, np.float32)
_PIXEL = np.ones((), np.float32)  # an array: to convert a Python number costs numpy as much as to use it


def start(places: F32) -> F32:
    """Return the state (5, 4, N) of new tracks at these places (4, N)."""
    area = np.maximum(_area(places), _PIXEL)
    state = np.zeros((5, *places.shape), np.float32)
    state[POSITION] = places
    state[VAR_POSITION] = area * _NOISE
    state[VAR_VELOCITY] = area * FIRST_VELOCITY**2
    return state


def predict(state: F32, seconds: float) -> F32:
    """Return the state (5, 4, M) after this time: constant velocity, pushed by white-noise acceleration."""
    step, growth = _passage(min(seconds, LONGEST_S))
    later: F32 = np.dot(step, state.reshape(5, -1)).reshape(state.shape)
    area = _area(state[POSITION])
    later[VAR_POSITION:] += np.dot(growth, np.maximum(area, _PIXEL, out=area)).reshape(3, 4, -1)
    sides = later[POSITION, 2:]
    np.maximum(sides, _PIXEL, out=sides)
    return later


@lru_cache(maxsize=16)
def _passage(t: float) -> tuple[F32, F32]:
    """Return what `t` seconds do: the matrix (5, 5) from old to new layers, and how the variances grow (12, 1)."""
    step = np.eye(5, dtype=np.float32)
    step[POSITION, VELOCITY] = step[COVARIANCE, VAR_VELOCITY] = t
    step[VAR_POSITION, COVARIANCE], step[VAR_POSITION, VAR_VELOCITY] = 2 * t, t * t
    growth = np.array([t**4 / 4, t**3 / 2, t * t], np.float32)[:, None, None] * _PUSH
    return step, growth.reshape(12, 1)


def expect(state: F32) -> tuple[F32, F32]:
    """Return how surely the next sight of each track is known; the state is one that `predict` gave.

    Returns:
        The variance (4, M), px^2, with which it is expected around the position, and how much wider than a fresh
        detection's own error that has grown (M,): the logarithm of the ratio of their determinants.
    """
    noise = np.dot(_NOISE, _area(state[POSITION]))  # `predict` left no side below one pixel
    variance: F32 = state[VAR_POSITION] + noise
    ratio = variance / noise
    widened: F32 = np.add.reduce(np.log(ratio, out=ratio), axis=0)  # the ratios' product leaves float32 in 10 minutes
    return variance, widened


def squared_distance(off: F32, variance: F32) -> F32:
    """Return the squared Mahalanobis distance (P,) of places that lie so far off (4, P) what was expected.

    With `widened` of the track it sums up to twice the negative log-likelihood, but for a constant: a track long
    unseen, which could be anywhere, claims a box with less force than one that is expected just there.
    """
    share = off * off
    share /= variance
    squared: F32 = np.dot(_SUM, share)
    return squared


def update(state: F32, variance: F32, places: F32) -> None:
    """Correct the state (5, 4, M) in place: each track, expected with this variance (4, M), was seen here (4, M)."""
    spread = state[VAR_POSITION:VAR_VELOCITY]
    covariance = state[COVARIANCE]
    gain = spread / variance  # of position and of velocity
    state[:VAR_POSITION] += gain * (places - state[POSITION])
    state[VAR_VELOCITY] -= gain[1] * covariance
    spread -= gain[0] * spread


def _area(places: F32) -> F32:
    """Return width * height (1, M) of places (4, M)."""
    result: F32 = places[2:3] * places[3:]
    return result
