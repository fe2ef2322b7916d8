import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from edge.assignment import choose


def assign(cost: np.ndarray, limit: float) -> np.ndarray:
    """The column of each row, -1 = none, with all finite entries as possible pairs."""
    rows, columns = np.nonzero(np.isfinite(cost))
    chosen = choose(rows.tolist(), columns.tolist(), cost[rows, columns].tolist(), limit)
    assert chosen == sorted(set(chosen))
    assert len(set(rows[chosen])) == len(chosen), "a row has one column at most"
    column_of = np.full(len(cost), -1)
    column_of[rows[chosen]] = columns[chosen]
    return column_of


def total(cost: np.ndarray, columns: np.ndarray, limit: float) -> float:
    return sum(cost[row, column] if column >= 0 else limit for row, column in enumerate(columns))


def best_total(cost: np.ndarray, limit: float) -> float:
    """What scipy finds when every row has a column of its own that stands for "none"."""
    rows = len(cost)
    forbidden = 1e6
    square = np.hstack([np.where(cost < limit, cost, forbidden), np.where(np.eye(rows) > 0, limit, forbidden)])
    return float(square[linear_sum_assignment(square)].sum())


@settings(max_examples=400, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 12),
    st.integers(0, 12),
    st.sampled_from([0.2, 0.6, 1.0, 3.0]),
    st.sampled_from(["uniform", "sparse", "ties"]),
)
def test_it_is_as_cheap_as_scipys(seed: int, rows: int, columns: int, limit: float, kind: str) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(0, 4, (rows, columns)).astype(float) if kind == "ties" else rng.random((rows, columns))
    if kind == "sparse":
        cost[rng.random((rows, columns)) < 0.6] = np.inf
    got = assign(cost, limit)
    used = got[got >= 0]
    assert len(set(used.tolist())) == len(used)
    assert all(cost[row, column] < limit for row, column in enumerate(got) if column >= 0)
    assert total(cost, got, limit) == pytest.approx(best_total(cost, limit), abs=1e-9)


def test_a_row_gives_way_when_that_is_cheaper_for_all() -> None:
    # Row 0 likes column 0 a little better than row 1 does, but row 1 has no other.
    cost = np.array([[0.1, 0.2], [0.15, np.inf]])
    assert assign(cost, 1.0).tolist() == [1, 0]


def test_nothing_is_used_at_or_above_the_limit() -> None:
    assert assign(np.array([[1.0, 2.0]]), 1.0).tolist() == [-1]
