import numpy as np
import pytest

from edge import motion


def textbook(states: list[np.ndarray], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """A Kalman filter in matrices, for one coordinate: predict with F and Q, update with H and R, for each seen."""
    first, *rest = states
    size = 100.0  # boxes of 100 x 100
    place, push, speed = (float(c[0, 0]) for c in (motion.MEASURED, motion.ACCELERATION, motion.FIRST_VELOCITY))
    x, p = np.array([first, 0.0]), np.diag([(place * size) ** 2, (speed * size) ** 2])
    f = np.array([[1, seconds], [0, 1]])
    q = (push * size) ** 2 * np.array([[seconds**4 / 4, seconds**3 / 2], [seconds**3 / 2, seconds**2]])
    h, r = np.array([[1.0, 0.0]]), (place * size) ** 2
    for seen in rest:
        x, p = f @ x, f @ p @ f.T + q
        gain = p @ h.T / (h @ p @ h.T + r)
        x = x + (gain * (seen - h @ x)).ravel()
        p = (np.eye(2) - gain @ h) @ p
    return x, p


def distance_to(state: np.ndarray, place: np.ndarray) -> float:
    return float(motion.squared_distance(place - state[motion.POSITION], motion.expect(state)[0])[0])


def place_at(x: float) -> np.ndarray:
    return np.array([[x], [300], [100], [100]], np.float32)


def test_it_is_the_kalman_filter_of_the_textbook() -> None:
    path = [200.0, 209.0, 222.0, 228.0, 241.0]
    state = motion.start(place_at(path[0]))
    for x in path[1:]:
        state = motion.predict(state, 0.1)
        motion.update(state, motion.expect(state)[0], place_at(x))
    mean, covariance = textbook(path, 0.1)
    got = state[:, 0, 0]
    np.testing.assert_allclose(got[:2], mean, rtol=1e-4)
    np.testing.assert_allclose(got[2:], [covariance[0, 0], covariance[0, 1], covariance[1, 1]], rtol=1e-3)


def test_one_long_step_predicts_the_place_of_many_short_ones() -> None:
    state = motion.start(place_at(100))
    state[motion.VELOCITY] = 30
    short = state
    for _ in range(10):
        short = motion.predict(short, 0.05)
    np.testing.assert_allclose(motion.predict(state, 0.5)[motion.POSITION], short[motion.POSITION], rtol=1e-4)


def test_the_gate_opens_with_time_unseen() -> None:
    soon, late = (distance_to(motion.predict(motion.start(place_at(100)), t), place_at(200)) for t in (0.1, 1.0))
    assert soon > motion.GATE > late


def test_what_was_not_seen_is_left_alone_by_infinite_variance() -> None:
    state = motion.predict(motion.start(np.hstack([place_at(100), place_at(300)])), 0.1)
    before, variance = state.copy(), motion.expect(state)[0]
    variance[:, 1] = np.inf
    motion.update(state, variance, np.hstack([place_at(110), place_at(110)]))
    assert (state[motion.POSITION, 0, 0], state[motion.POSITION, 0, 1]) == (pytest.approx(105, abs=5), 300)
    np.testing.assert_array_equal(state[..., 1], before[..., 1])


def test_surprise_is_the_log_likelihood_of_the_textbook() -> None:
    state = motion.predict(motion.start(place_at(100)), 0.5)
    squared, widened = distance_to(state, place_at(130)), motion.expect(state)[1][0]
    variance = state[motion.VAR_POSITION, :, 0].astype(float) + (motion.MEASURED[:, 0] * 100.0) ** 2
    off = np.array([30.0, 0, 0, 0])
    likelihood = np.exp(-(off**2) / variance / 2).prod() / np.sqrt(variance.prod())
    best = 1 / np.sqrt(((motion.MEASURED[:, 0] * 100.0) ** 2).prod())
    np.testing.assert_allclose(squared + widened, -2 * np.log(likelihood / best), rtol=1e-4)


@pytest.mark.parametrize("seconds", [600.0, 1e15])
def test_times_that_only_a_damaged_film_tells_overflow_nothing(seconds: float) -> None:
    with np.errstate(all="raise"):
        state = motion.predict(motion.start(place_at(100)), seconds)
        variance, widened = motion.expect(state)
    noise = (motion.MEASURED[:, 0].astype(float) * 100.0) ** 2
    assert widened[0] == pytest.approx(np.log(variance[:, 0].astype(float) / noise).sum(), rel=1e-4)


def test_a_step_counts_in_full_up_to_the_longest_that_a_track_is_kept() -> None:
    state = motion.start(place_at(100))
    state[motion.VELOCITY] = 1
    assert motion.predict(state, 1e4)[motion.POSITION, 0, 0] == pytest.approx(1e4 + 100)
    assert motion.predict(state, 2e4)[motion.POSITION, 0, 0] == pytest.approx(1e4 + 100)
