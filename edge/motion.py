"""A constant-velocity Kalman filter over many boxes at once.

Centre x, centre y, width and height of a box move independently of each other, so the usual 8 x 8 covariance falls
apart into four 2 x 2 ones, and all tracks are one array. Time is in seconds, so dropped frames and sources of any
rate need no other constants, and all noise scales with the size of the box: sqrt(width * height).

The state of M tracks is float32 (M, 5, 4): for cx, cy, w, h the rows
POSITION (px), VELOCITY (px/s), and the variances VAR_POSITION, COVARIANCE, VAR_VELOCITY.
"""

import numpy as np

from edge.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh
from edge.types import F32

POSITION, VELOCITY, VAR_POSITION, COVARIANCE, VAR_VELOCITY = range(5)

MEASURED = np.array([0.05, 0.05, 0.05, 0.05], np.float32)
"""Standard deviation of a detected box, in box sizes: 1/20, as in SORT's successor (arXiv:1703.07402, its code)."""
ACCELERATION = np.array([1.0, 1.0, 0.25, 0.25], np.float32)
"""Standard deviation of acceleration, box sizes / s^2. A walker of 1.7 m starts and stops with 1 to 2 m/s^2; size
changes by distance alone, more slowly."""
FIRST_VELOCITY = np.array([1.0, 1.0, 0.25, 0.25], np.float32)
"""Standard deviation of the unknown velocity of a new track, box sizes / s: a walker's 1.4 m/s is 0.8."""
GATE = 13.28
"""Largest squared Mahalanobis distance of a detection to its track: 99 % of chi-square with 4 degrees of freedom."""


def start(boxes: F32) -> F32:
    """Return the state (N, 5, 4) of new tracks at these boxes (N, 4) xyxy."""
    place = xyxy_to_cxcywh(boxes)
    size = _size(place)
    state = np.zeros((len(boxes), 5, 4), np.float32)
    state[:, POSITION] = place
    state[:, VAR_POSITION] = (MEASURED * size) ** 2
    state[:, VAR_VELOCITY] = (FIRST_VELOCITY * size) ** 2
    return state


def predict(state: F32, seconds: float) -> F32:
    """Return the state (M, 5, 4) after this time: white-noise acceleration, constant velocity."""
    t = np.float32(seconds)
    noise = (ACCELERATION * _size(state[:, POSITION])) ** 2
    later = state.copy()
    later[:, POSITION] += state[:, VELOCITY] * t
    later[:, VAR_POSITION] += 2 * t * state[:, COVARIANCE] + t * t * state[:, VAR_VELOCITY] + noise * (t**4 / 4)
    later[:, COVARIANCE] += t * state[:, VAR_VELOCITY] + noise * (t**3 / 2)
    later[:, VAR_VELOCITY] += noise * (t * t)
    later[:, POSITION, 2:] = np.maximum(later[:, POSITION, 2:], 1)
    return later


def update(state: F32, boxes: F32) -> F32:
    """Return the state (M, 5, 4) after each track has been seen at its box (M, 4) xyxy."""
    seen = xyxy_to_cxcywh(boxes)
    variance = state[:, VAR_POSITION] + (MEASURED * _size(seen)) ** 2
    gain_position = state[:, VAR_POSITION] / variance
    gain_velocity = state[:, COVARIANCE] / variance
    surprise = seen - state[:, POSITION]
    later = state.copy()
    later[:, POSITION] += gain_position * surprise
    later[:, VELOCITY] += gain_velocity * surprise
    later[:, VAR_POSITION] *= 1 - gain_position
    later[:, COVARIANCE] *= 1 - gain_position
    later[:, VAR_VELOCITY] -= gain_velocity * state[:, COVARIANCE]
    return later


def mahalanobis2(state: F32, boxes: F32) -> F32:
    """Return how unlikely each box (N, 4) is as the next sight of each track: squared distance, (M, N)."""
    seen = xyxy_to_cxcywh(boxes)
    variance = state[:, VAR_POSITION] + (MEASURED * _size(state[:, POSITION])) ** 2
    surprise = seen[None] - state[:, None, POSITION]
    result: F32 = (surprise * surprise / variance[:, None]).sum(axis=2)
    return result


def boxes(state: F32) -> F32:
    """Return where the tracks are: boxes (M, 4) xyxy."""
    return cxcywh_to_xyxy(state[:, POSITION])


def _size(place: F32) -> F32:
    """Return the size sqrt(width * height) of boxes (M, 4) cxcywh, as a column (M, 1) in pixels."""
    result: F32 = np.sqrt(np.maximum(place[:, 2:3] * place[:, 3:4], 1))
    return result
