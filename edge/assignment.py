"""The cheapest way to give every row at most one column: the linear assignment problem with a price for "none".

Exact, in numpy alone: the shortest augmenting path method (R. Jonker and A. Volgenant, "A shortest augmenting
path algorithm for dense and sparse linear assignment problems", Computing 38, 1987), started from the rows whose
cheapest column nobody else wants. From frame to frame those are nearly all rows, so a call costs microseconds;
the searches run only inside knots of rows that compete.
"""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NONE = -1


def assign(cost: F64, limit: float) -> I64:
    """Assign rows to columns at the lowest total cost, where a row without a column costs `limit`.

    Args:
        cost: float64 (rows, columns); an entry of `limit` or more, or inf, is never used.
        limit: finite price of leaving a row without a column.

    Returns:
        int64 (rows,): the column of each row, or -1.
    """
    rows, columns = cost.shape
    column_of = np.full(rows, NONE, np.int64)
    if rows == 0 or columns == 0:
        return column_of
    allowed = cost < limit
    cheapest = np.where(allowed, cost, np.inf).argmin(axis=1)
    alive = allowed.any(axis=1)
    wanted = np.bincount(cheapest[alive], minlength=columns)
    easy = alive & (wanted[cheapest] == 1)
    column_of[easy] = cheapest[easy]
    knot = np.flatnonzero(alive & ~easy)
    if len(knot):
        _untangle(cost, limit, column_of, knot)
    return column_of


def _untangle(cost: F64, limit: float, column_of: I64, knot: I64) -> None:
    """Add the rows of `knot` one by one along shortest augmenting paths; `column_of` is changed in place.

    Every row also has a column of its own that stands for "none" and costs `limit`. A path that ends in one frees
    the real column it came through.
    """
    columns = cost.shape[1]
    price = np.zeros(columns)  # dual variable of each real column; that of a "none" column stays 0
    row_of = np.full(columns, NONE, np.int64)
    taken = np.flatnonzero(column_of != NONE)
    row_of[column_of[taken]] = taken
    bounded = np.where(cost < limit, cost, np.inf)
    for start in knot.tolist():
        reach = np.full(columns, np.inf)  # length of the shortest path found to each column
        before = np.full(columns, NONE, np.int64)  # row from which that path enters the column
        done = np.zeros(columns, bool)
        row, length = start, 0.0
        best_none, none_row = np.inf, NONE
        while True:
            # The reduced costs of `row`, relative to the edge it is assigned by now (0 on the path).
            base = 0.0 if row == start else bounded[row, column_of[row]] - price[column_of[row]]
            through = length + bounded[row] - price - base
            shorter = ~done & (through < reach)
            reach[shorter] = through[shorter]
            before[shorter] = row
            if length + limit - base < best_none:
                best_none, none_row = length + limit - base, row
            open_reach = np.where(done, np.inf, reach)
            column = int(open_reach.argmin())
            length = float(open_reach[column])
            if best_none <= length:
                end, length = NONE, best_none
                break
            done[column] = True
            if row_of[column] == NONE:
                end = column
                break
            row = int(row_of[column])
        price[done] += reach[done] - length
        _flip(column_of, row_of, before, end, none_row, start)


def _flip(column_of: I64, row_of: I64, before: I64, end: int, none_row: int, start: int) -> None:
    """Walk a path back from its end, giving every row on it the column the path entered after it."""
    if end == NONE:
        row = none_row
        end = int(column_of[row])
        column_of[row] = NONE
        if row == start:
            return
    while True:
        row = int(before[end])
        previous = int(column_of[row])
        column_of[row], row_of[end] = end, row
        if row == start:
            return
        end = previous
