from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedstore.candidates import Marked, Numbered
from embedstore.segment import ZONE

if TYPE_CHECKING:
    from embedstore.candidates import Candidates

SIZE = 5 * ZONE + 77


def numbered(rows: list[int]) -> Candidates:
    return Numbered(SIZE, np.random.default_rng(0).permutation(np.array(rows, np.int32)))


def marked(rows: list[int]) -> Candidates:
    """Zones of the rows, and one more that holds none."""
    zones = np.unique([*(r // ZONE for r in rows), 4])
    marks = np.zeros((len(zones), ZONE), bool)
    for row in rows:
        marks[np.searchsorted(zones, row // ZONE), row % ZONE] = True
    return Marked(SIZE, zones, marks)


@pytest.mark.parametrize("make", [numbered, marked])
@given(some=st.sets(st.integers(0, SIZE - 1), min_size=1), run=st.integers(0, SIZE - 1), length=st.integers(0, SIZE))
def test_exactly_the_rows_given_are_candidates(make: object, some: set[int], run: int, length: int) -> None:
    assert callable(make)
    for rows in (sorted(some), list(range(run, min(run + length + 1, SIZE)))):
        found: Candidates = make(rows)
        assert found.count == len(rows)
        assert found.rows.tolist() == sorted(found.numbers.tolist()) == rows
        assert found.ends[0] <= rows[0]
        assert rows[-1] <= found.ends[1] < SIZE
        starts = [r for r in rows if r - 1 not in set(rows)]
        assert found.runs == len(starts) if isinstance(found, Marked) else 1 <= found.runs <= 1 + len(rows)
        selector = found.selector
        for row in range(0, SIZE, 7):
            assert selector.is_member(row) == (row in found) == (row in rows)
        assert all(selector.is_member(row) and row in found for row in rows)


def test_none_at_all() -> None:
    nothing = Numbered(SIZE, np.empty(0, np.int64))
    assert (nothing.count, nothing.span, nothing.rows.tolist()) == (0, 0, [])
    none_marked = Marked(SIZE, np.array([2]), np.zeros((1, ZONE), bool))
    assert (none_marked.count, none_marked.span, none_marked.rows.tolist()) == (0, 0, [])
