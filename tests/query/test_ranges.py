from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from query import ranges
from query.filters import Filter
from query.predicate import Predicate
from query.sieve import sift
from tests.embedstore import make

if TYPE_CHECKING:
    from embedstore.piece import Piece

NUMBERS = st.one_of(
    st.decimals(-20, 60, places=3).map(str),
    st.floats(0, 1, width=32).map(lambda v: f"{v:.20f}"),
    st.floats(0, 60).map(lambda v: f"{v:.17f}"),
    st.integers(-5, 60).map(str),
)
TERMS = st.builds(
    "{} {} {}".format,
    st.sampled_from(["lon", "LAT", "valid_fraction", "modalities", "h3"]),
    st.sampled_from(["<", "<=", ">", ">=", "="]),
    NUMBERS,
)


@pytest.fixture(scope="module")
def piece(tmp_path_factory: pytest.TempPathFactory) -> Piece:
    store = make.store(tmp_path_factory.mktemp("ranges") / "s")
    store.append(make.chips(list(range(400))))
    (only,) = store.snapshot().pieces
    return only


@given(terms=st.lists(TERMS, min_size=1, max_size=3), some=st.none() | st.sets(st.integers(0, 399), min_size=1))
def test_ranges_hold_the_rows_that_sql_holds(piece: Piece, terms: list[str], some: set[int] | None) -> None:
    where = " AND ".join(terms)
    among = None if some is None else np.array(sorted(some))
    found = ranges.parse(where)
    if found is None:
        return
    rows: Any = among
    for one in found:
        rows = one.rows(piece.segment) if rows is None else rows[one.passes(piece.segment.take(one.column, rows))]
    assert sorted(rows.tolist()) == Predicate().rows(piece.segment, where, among).tolist()


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.booleans())
def test_edges_that_rows_stand_on(piece: Piece, low: float, high: float, pick: bool) -> None:
    values = piece.segment.column("valid_fraction")
    if pick:
        low, high = float(values[int(low * 399)]), float(values[int(high * 399)])
    where = f"valid_fraction >= {low!r} and valid_fraction < {high!r}"
    found = ranges.parse(where)
    if found is not None:
        (one,) = found
        expected = np.flatnonzero((values >= np.float32(low)) & (values < np.float32(high)))
        assert np.sort(one.rows(piece.segment)).tolist() == expected.tolist()
        assert one.count(piece.segment) == len(expected)


@pytest.mark.parametrize(
    "where",
    [
        "lon > lat",
        "lon > 1 OR lat > 2",
        "abs(lon) > 1",
        "modalities >= 1.5",
        "valid_fraction = 0.12345678901",
        "1 < lon",
        "",
    ],
)
def test_what_is_more_than_ranges_is_left_to_sql(where: str) -> None:
    assert ranges.parse(where) is None


def test_unordered_columns_are_scanned(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Filter.parse(between="2019-03-01/2020-06-30", where="lat >= 46.5 AND lat < 47.5")
    ordered = sift(question, piece, Predicate())
    monkeypatch.setattr(ranges, "ORDERED_ROWS", 0)
    scanned = sift(question, piece, Predicate())
    assert ordered is not None
    assert scanned is not None
    assert 0 < scanned.count < 400
    assert ordered.rows.tolist() == scanned.rows.tolist()
