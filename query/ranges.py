"""Rows by ranges of their scalar columns: what most predicates come down to, without SQL.

A predicate that is nothing but comparisons of numeric columns with numbers, joined by AND, becomes one range a column;
whatever else it says is DuckDB's. Rows of a range are a slice of the column's sorted order, which is worked out when it
is first needed.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.segment import DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment

ORDERED_ROWS = 1 << 24
"""Rows of a segment up to which a column's order is worked out: a tenth of a microsecond a row, once."""
_TERM = re.compile(
    r"\s*(lon|lat|h3|modalities|valid_fraction)\s*(<=|>=|<|>|=)\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+))\s*", re.IGNORECASE
)
_AND = re.compile(r"\band\b", re.IGNORECASE)
DIGITS = 9
"""Literals of up to so many digits are compared with single-precision columns in single precision, as DuckDB does."""


@dataclass(frozen=True, slots=True)
class Range:
    """Values of a column from `low` to `high` (None: without end), the edges included or not."""

    column: str
    low: Any = None
    high: Any = None
    with_low: bool = True
    with_high: bool = True

    def passes(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Tell which values lie in the range."""
        low, high = self.low, self.high
        if values.dtype.kind == "M":  # numbers compare five times faster; a time that is not known is below any other
            values = values.view(np.int64)
            low, high = (None if v is None else v.astype("M8[us]").astype(np.int64) for v in (low, high))
            low = np.iinfo(np.int64).min + 1 if low is None else low
        passing = np.ones(values.shape, bool)
        if low is not None:
            passing &= values >= low if self.with_low else values > low
        if high is not None:
            passing &= values <= high if self.with_high else values < high
        return passing

    def count(self, segment: Segment) -> int:
        """Return how many rows of a segment lie in the range; all, if its columns are not put in order."""
        start, stop = self._bounds(segment)
        return stop - start

    def rows(self, segment: Segment) -> NDArray[Any]:
        """Return the rows of a segment in the range, in any order."""
        if segment.rows > ORDERED_ROWS:
            return np.flatnonzero(self.passes(segment.column(self.column)))
        start, stop = self._bounds(segment)
        return segment.order(self.column)[start:stop].astype(np.int64)

    def _bounds(self, segment: Segment) -> tuple[int, int]:
        """Return where the range begins and ends in the column's order."""
        if segment.rows > ORDERED_ROWS:
            return 0, segment.rows
        values, order = segment.column(self.column), segment.order(self.column)
        start, stop = 0, len(order)
        if self.low is not None:
            start = (bisect_left if self.with_low else bisect_right)(order, self.low, key=values.__getitem__)
        if self.high is not None:
            stop = (bisect_right if self.with_high else bisect_left)(order, self.high, key=values.__getitem__)
        return start, max(start, stop)


def parse(where: str) -> list[Range] | None:
    """Return a predicate as ranges, or None if it says more than ranges can."""
    ranges = []
    for term in _AND.split(where):
        found = _TERM.fullmatch(term)
        if found is None:
            return None
        column, sign, literal = found[1].lower(), found[2], found[3]
        number = _number(column, literal)
        if number is None:
            return None
        if sign == "=":
            ranges.append(Range(column, number, number))
        elif sign[0] == ">":
            ranges.append(Range(column, low=number, with_low=sign == ">="))
        else:
            ranges.append(Range(column, high=number, with_high=sign == "<="))
    return _joined(ranges)


def _number(column: str, literal: str) -> Any:
    """Return a literal as a column compares it; None where that is DuckDB's to say."""
    dtype = DTYPES[column]
    if dtype.kind == "i":
        return int(literal) if literal.lstrip("+-").isdigit() else None
    exact = float(literal)
    if dtype.itemsize == 8:
        return np.float64(exact)
    single = np.float32(exact)
    digits = sum(c.isdigit() for c in literal)
    return single if digits <= DIGITS or float(single) == exact else None


def _joined(ranges: list[Range]) -> list[Range]:
    """Join a lower and an upper edge of the same column, which is what a window is written as."""
    joined: list[Range] = []
    for one in ranges:
        last = joined[-1] if joined else None
        if last and last.column == one.column and last.high is None and one.low is None:
            joined[-1] = Range(one.column, last.low, one.high, last.with_low, one.with_high)
        else:
            joined.append(one)
    return joined
