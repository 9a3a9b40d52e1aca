"""Filters against brute force, where the engine's own tests do not go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from embedstore import grid
from embedstore.errors import FilterError
from query import Engine
from query.filters import Filter
from query.predicate import Predicate
from query.searcher import Searcher
from query.sieve import expand, sift
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

    from embedstore.snapshot import Snapshot

ROWS = 1500


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """Rows close together, so that one cell of the rows' own resolution holds several; some of unknown time."""
    store = make.store(tmp_path_factory.mktemp("filters") / "s")
    chips = make.chips(list(range(ROWS)), box=(10.0, 45.0, 10.03, 45.03))
    for name, every in (("datetime", 7), ("datetime_end", 5)):
        when = [None if i % every == 0 else t for i, t in enumerate(chips[name].to_pylist())]
        field = chips.schema.field(name)
        chips = chips.set_column(chips.schema.get_field_index(name), field, [when])
    store.append(chips)
    return store.snapshot()


def passing(snapshot: Snapshot, **asked: Any) -> list[int]:
    (piece,) = snapshot.pieces
    found = sift(Filter.parse(**asked), piece, Predicate())
    assert found is not None
    assert (np.diff(found.rows) > 0).all()
    assert sorted(found.numbers.tolist()) == found.rows.tolist()
    assert found.count == len(found.rows)
    return found.rows.tolist()


def column(snapshot: Snapshot, name: str) -> np.ndarray:
    return snapshot.pieces[0].segment.column(name)


def test_a_cell_finer_than_the_rows_holds_only_its_own(snapshot: Snapshot) -> None:
    lon, lat = column(snapshot, "lon"), column(snapshot, "lat")
    assert len(np.unique(column(snapshot, "h3"))) < ROWS / 4
    for resolution in (9, 10, 12, 15):
        cells = grid.cells(lon, lat, resolution)
        for cell in cells[::100].tolist():
            assert passing(snapshot, cells=[cell]) == np.flatnonzero(cells == cell).tolist()
    fine, coarse = grid.cells(lon, lat, 11), grid.parents(column(snapshot, "h3"), 8)
    either = (fine == fine[3]) | (coarse == coarse[900]) | (fine == fine[901])
    assert passing(snapshot, cells=[int(fine[3]), int(coarse[900]), int(fine[901])]) == np.flatnonzero(either).tolist()
    assert passing(snapshot, cells=[]) == []
    assert passing(snapshot, cells=np.array([fine[3]])) == np.flatnonzero(fine == fine[3]).tolist()


def test_boxes_and_polygons_take_zones_whole_and_rows_on_the_edge(snapshot: Snapshot) -> None:
    lon, lat = column(snapshot, "lon"), column(snapshot, "lat")
    rng = np.random.default_rng(0)
    for _ in range(60):
        a, b = rng.integers(0, ROWS, 2)  # corners are rows, which lie on the edge
        w, e, s, n = *sorted((lon[a], lon[b])), *sorted((lat[a], lat[b]))
        inside = (lon >= w) & (lon <= e) & (lat >= s) & (lat <= n)
        assert inside[a]
        assert passing(snapshot, bbox=(w, s, e, n)) == np.flatnonzero(inside).tolist()
        assert passing(snapshot, within=shapely.box(w, s, e, n)) == np.flatnonzero(inside).tolist()
        both = passing(snapshot, bbox=(w, s, 180, 90), within=shapely.box(-100, -90, e, n))
        assert both == np.flatnonzero(inside).tolist()
    hole = shapely.box(9, 44, 11, 46) - shapely.box(10.01, 45.01, 10.02, 45.02)
    assert passing(snapshot, within=hole) == np.flatnonzero(shapely.intersects_xy(hole, lon, lat)).tolist()


DAY = np.datetime64("2020-06-01")
EAST = timezone(timedelta(hours=14))


@pytest.mark.parametrize(
    ("between", "first", "last"),
    [
        ("2020-06-01/2020-06-30", DAY, DAY + 30),
        ((DAY, DAY + 29), DAY, DAY + 30),
        ((date(2020, 6, 1), date(2020, 6, 30)), DAY, DAY + 30),
        (["2020-06-01", None], DAY, DAY + 10_000),
        ("../2020-06-01", DAY - 10_000, DAY + 1),
        ("20200601/20200630", DAY, DAY + 30),
        ("2020-W23/2020-W23-2", DAY, DAY + 2),
        (("", datetime(2020, 6, 1, 12)), DAY - 10_000, DAY + np.timedelta64(12, "h")),  # noqa: DTZ001
        ((datetime(2020, 6, 1, tzinfo=UTC), ".."), DAY, DAY + 10_000),
        ((datetime(2020, 6, 2, 13, tzinfo=EAST), ".."), DAY + np.timedelta64(23, "h"), DAY + 10_000),
        ((DAY.astype("M8[s]"), (DAY + 3).astype("M8[ns]")), DAY, DAY + 3 + np.timedelta64(1, "us")),
        (("0001-01-01", "9999-12-31"), DAY - 10_000, DAY + 10_000),
    ],
)
def test_times_as_people_write_them(snapshot: Snapshot, between: Any, first: Any, last: Any) -> None:
    """A row passes if its observation touches the span; days count whole; rows of unknown time do not pass."""
    start, end = column(snapshot, "datetime"), column(snapshot, "datetime_end")
    end = np.where(np.isnat(end), start, end)
    touching = (start < last) & ((end > first) | (start >= first))
    assert passing(snapshot, between=between) == np.flatnonzero(touching).tolist()


def test_a_year_that_ends_as_the_next_begins_is_not_of_the_next(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    for year in (2022, 2023, 2024):
        chips = make.chips(list(range(10 * year, 10 * year + 3)))
        for name, when in (("datetime", year), ("datetime_end", year + 1)):
            column = pa.array([datetime(when, 1, 1, tzinfo=UTC)] * 3, chips.schema.field(name).type)
            chips = chips.set_column(chips.schema.get_field_index(name), chips.schema.field(name), column)
        store.append(chips)
    with Engine(store.path) as engine:
        for between, years in (
            ("2024-01-01/2024-12-31", {2024}),
            ("2022-06-01/2023-01-01", {2022, 2023}),
            ("2023-12-31/2024-01-01", {2023, 2024}),
        ):
            hits = engine.search(np.ones(16), k=20, between=between)
            assert {int(str(when)[:4]) for when in hits.column("datetime")} == years


@pytest.mark.parametrize(
    "between",
    [
        5,
        {"2020-01-01": 1, "2021-01-01": 2},
        {"2020-01-01", "2021-01-01"},
        "2020-01-01/2020-02-01/2020-03-01",
        (datetime(1, 1, 1, tzinfo=EAST), None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, "9999-12-31T23:00:00-14:00"),
        (np.datetime64("NaT"), None),
        (5, 6),
    ],
)
def test_times_that_are_none_are_refused(between: Any) -> None:
    with pytest.raises(FilterError, match="time"):
        Filter.parse(between=between)


def test_predicates_see_every_column_and_only_the_rows_given(snapshot: Snapshot) -> None:
    lon, when = column(snapshot, "lon"), column(snapshot, "datetime")
    predicate, segment = Predicate(), snapshot.pieces[0].segment
    some = np.arange(0, ROWS, 3)
    assert predicate.rows(segment, "lon > 10.01", some).tolist() == some[lon[some] > 10.01].tolist()
    assert predicate.rows(segment, "datetime IS NULL", None).tolist() == np.flatnonzero(np.isnat(when)).tolist()
    late = (when >= np.datetime64("2021-01-01T00:00")).nonzero()[0]
    assert predicate.rows(segment, "datetime >= '2021-01-01'", None).tolist() == late.tolist()
    noon = np.datetime64("2021-01-01T12:00")
    for text in (
        "'2021-01-01T14:00:00+02:00'",
        "'2021-01-01 07:00:00.000-05'",
        "'2021-01-01T12:00:00Z'",
        "TIMESTAMPTZ '2021-01-01 12:00:00'",
        "TIMESTAMPTZ '2021-01-01 02:30:00-0930'",
        "TIMESTAMP '2021-01-01 12:00:00'",
    ):
        assert predicate.rows(segment, f"datetime >= {text}", None).tolist() == (when >= noon).nonzero()[0].tolist()
    one = bytes(column(snapshot, "id")[77]).hex()
    assert predicate.rows(segment, f"id = from_hex('{one}') AND modalities = 1 AND h3 > 0", None).tolist() == [77]
    assert predicate.rows(segment, "valid_fraction < 1", some).tolist() == []
    for bad in ("", "lon >", "n = 1; SELECT 1", "geometry IS NULL", "lon / 0 = 'x'", "sum(lon) > 1"):
        with pytest.raises(FilterError, match="Columns are id, lon"):
            predicate.rows(segment, bad, None)


def test_filters_are_told_apart_by_what_they_mean() -> None:
    """Polygons and long arrays print alike."""
    ring = np.column_stack([np.cos(np.linspace(0, 6, 40)), np.sin(np.linspace(0, 6, 40))])
    one, other = (shapely.Polygon(ring + np.array([10 + shift, 45])) for shift in (0.0, 1e-9))
    assert Filter.parse(within=one).key != Filter.parse(within=other).key
    assert Filter.parse(within=one).key == Filter.parse(within=shapely.to_wkt(one, -1)).key
    assert Filter.parse(bbox=(1, 2, 3, 4)).key == Filter.parse(bbox=[1.0, 2.0, 3.0, 4.0]).key
    keys = {Filter.parse(**{name: value}).key for name, value in (
        ("bbox", (1, 2, 3, 4)), ("within", (1, 2, 3, 4)), ("cells", []), ("where", "true"), ("between", "../..")
    )}  # fmt: skip
    assert len(keys | {Filter.parse().key}) == 6


def test_a_repeated_filter_is_compiled_once(snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedstore.catalog import Catalog

    searcher = Searcher(snapshot, Catalog(snapshot.root / "_index"))
    compiled, real = [], sift

    def counting(filter_: Filter, piece: Any, predicate: Predicate) -> Any:
        compiled.append(filter_)
        return real(filter_, piece, predicate)

    monkeypatch.setattr("query.sieve.sift", counting)
    first = searcher.select(Filter.parse(bbox=(10, 45, 10.01, 45.01)))
    assert searcher.select(Filter.parse(bbox=(10, 45, 10.01, 45.01))) is first
    assert len(compiled) == 1
    for i in range(16):
        searcher.select(Filter.parse(where=f"lon > {i}"))
    assert searcher.select(Filter.parse(bbox=(10, 45, 10.01, 45.01))) is not first, "the oldest is forgotten"


def test_ranges_one_after_another() -> None:
    assert expand(np.array([3, 7, 7]), np.array([5, 7, 9])).tolist() == [3, 4, 7, 8]
    assert expand(np.array([], np.int64), np.array([], np.int64)).tolist() == []


ELSEWHERE = """
import sys
from embedstore.store import Store
from query.predicate import Predicate
segment = Store.open(sys.argv[1]).snapshot().pieces[0].segment
print([Predicate().rows(segment, where, None).tolist() for where in sys.argv[2:]])
"""


def test_conditions_on_times_mean_the_same_in_every_time_zone(snapshot: Snapshot) -> None:
    asked = [f"datetime >= {kind} '2021-01-01 00:00:00'" for kind in ("", "TIMESTAMP", "TIMESTAMPTZ")]
    expected = [Predicate().rows(snapshot.pieces[0].segment, where, None).tolist() for where in asked]
    assert expected[0]
    assert expected[0] == expected[1] == expected[2]
    command = [sys.executable, "-c", ELSEWHERE, str(snapshot.root), *asked]
    found = subprocess.run(command, env=os.environ | {"TZ": "America/New_York"}, check=True, capture_output=True)
    assert json.loads(found.stdout) == expected
