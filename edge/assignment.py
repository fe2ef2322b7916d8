"""The cheapest way to give every row at most one column: the linear assignment problem with a price for "none".

Exact: the shortest augmenting path method (R. Jonker and A. Volgenant, "A shortest augmenting path algorithm for
dense and sparse linear assignment problems", Computing 38, 1987), started from the rows whose cheapest column nobody
else wants. From frame to frame those are nearly all rows; the searches run only inside knots of rows that compete.
Few pairs are possible at all, so this is plain Python over those: an array operation on a knot of three rows costs
more than the knot.
"""

import math
from collections import Counter
from collections.abc import Sequence


def choose(rows: Sequence[int], columns: Sequence[int], costs: Sequence[float], limit: float) -> list[int]:
    """Choose among possible pairs, no row and no column twice, at the lowest total cost.

    Args:
        rows: row of each pair.
        columns: column of each pair; no two pairs have the same row and column.
        costs: of each pair; one of `limit` or more, or inf, is never chosen.
        limit: finite price of leaving a row without a column.

    Returns:
        The chosen pairs, as positions in the three lists, ascending.
    """
    best: dict[int, int] = {}  # row -> its cheapest pair
    for pair, row in enumerate(rows):
        if costs[pair] < limit and (row not in best or costs[pair] < costs[best[row]]):
            best[row] = pair
    wanted = [columns[pair] for pair in best.values()]
    if len(set(wanted)) == len(wanted):
        return sorted(best.values())
    knot, suitors = _Knot(rows, columns, costs, limit), Counter(wanted)
    for pair in best.values():
        if suitors[columns[pair]] == 1:
            knot.take(pair)
    for row, pair in best.items():
        if suitors[columns[pair]] > 1:
            knot.add(row)
    return sorted(knot.pair_of_row.values())


class _Knot:
    """An optimal choice for the rows so far, to which rows are added one by one.

    Every row also has a column of its own that stands for "none" and costs `limit`. A path that ends in one frees
    the real column it came through.

    Attributes:
        pair_of_row: row -> chosen pair.
        pair_of_column: column -> chosen pair.
        price: dual variable of each real column, 0 where missing; that of a "none" column stays 0.
    """

    def __init__(self, rows: Sequence[int], columns: Sequence[int], costs: Sequence[float], limit: float) -> None:
        self._rows, self._columns, self._costs, self._limit = rows, columns, costs, limit
        self._pairs_of: dict[int, list[int]] = {}
        for pair, row in enumerate(rows):
            if costs[pair] < limit:
                self._pairs_of.setdefault(row, []).append(pair)
        self.pair_of_row: dict[int, int] = {}
        self.pair_of_column: dict[int, int] = {}
        self.price: dict[int, float] = {}

    def take(self, pair: int) -> None:
        """Choose a pair."""
        self.pair_of_row[self._rows[pair]] = self.pair_of_column[self._columns[pair]] = pair

    def add(self, start: int) -> None:
        """Add a row along the shortest augmenting path."""
        reach: dict[int, float] = {}  # column -> length of the shortest path found to it
        through: dict[int, int] = {}  # column -> pair by which that path enters it
        open_columns: set[int] = set()
        done: list[int] = []
        row, length = start, 0.0
        shortest_none, none_row = math.inf, start
        while True:
            # Reduced costs are relative to the pair that the row has now; on the path that is 0.
            mine = self.pair_of_row.get(row)
            base = length if mine is None else length - self._reduced(mine)
            for pair in self._pairs_of[row]:
                column, at = self._columns[pair], base + self._reduced(pair)
                if column not in reach or (column in open_columns and at < reach[column]):
                    reach[column], through[column] = at, pair
                    open_columns.add(column)
            if base + self._limit < shortest_none:
                shortest_none, none_row = base + self._limit, row
            nearest = min(open_columns, key=reach.__getitem__, default=None)
            if nearest is None or shortest_none <= reach[nearest]:
                length, end = shortest_none, None
                break
            length = reach[nearest]
            open_columns.remove(nearest)
            done.append(nearest)
            if nearest not in self.pair_of_column:
                end = nearest
                break
            row = self._rows[self.pair_of_column[nearest]]
        for column in done:
            self.price[column] = self.price.get(column, 0.0) + reach[column] - length
        self._flip(through, end, none_row, start)

    def _reduced(self, pair: int) -> float:
        """Return the cost of a pair less the price of its column."""
        return self._costs[pair] - self.price.get(self._columns[pair], 0.0)

    def _flip(self, through: dict[int, int], end: int | None, none_row: int, start: int) -> None:
        """Walk a path back from its end, giving every row on it the column that the path entered after it."""
        if end is None:
            if none_row == start:
                return
            end = self._columns[self.pair_of_row.pop(none_row)]
        while True:
            pair = through[end]
            row = self._rows[pair]
            previous = self.pair_of_row.get(row)
            self.take(pair)
            if previous is None:
                return
            end = self._columns[previous]
