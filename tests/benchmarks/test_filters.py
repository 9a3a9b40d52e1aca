"""Filters hold as many rows as they were asked to, and the query or not as they were asked to."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from benchmarks.filters import CORRELATIONS, KINDS, Cell, Maker, Own
from benchmarks.peers.base import PeerError
from benchmarks.peers.rows import Rows, Where

N = 20_000
DAY = 86_400_000_000


def rows(kind: str, count: int, seed: int) -> Rows:
    """Return rows anywhere, or on a grid as windows of a scene are."""
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(5, 17, count), rng.uniform(42, 52, count)
    if kind == "grid":
        lon, lat = 5 + np.floor(rng.uniform(0, 300, count)) * 2e-3, 42 + np.floor(rng.uniform(0, 200, count)) * 2e-3
    when = rng.integers(0, 1000 * DAY, count).view("M8[us]")
    return Rows(np.zeros((count, 2), np.float32), lon, lat, when, rng.random(count, dtype=np.float32))


@pytest.fixture(scope="module", params=["anywhere", "grid"])
def stored(request: pytest.FixtureRequest) -> Rows:
    return rows(request.param, N, 1)


@pytest.fixture(scope="module")
def asked(stored: Rows) -> Rows:
    return rows("grid" if stored.lon.max() < 6 else "anywhere", 12, 2)


def holds(where: Where, own: Own, kind: str) -> bool:
    """Tell whether a filter lets through what the query has of that kind."""
    if kind == "time":
        assert where.between
        return where.between[0] <= own.time <= where.between[1]
    if kind == "share":
        assert where.share
        return bool(np.float32(where.share[0]) <= own.share < np.float32(where.share[1]))
    one = Rows(
        np.zeros((1, 2), np.float32),
        np.array([own.lon]),
        np.array([own.lat]),
        np.zeros(1, "M8[us]"),
        np.zeros(1, np.float32),
    )
    return bool(Where(bbox=where.bbox, polygon=where.polygon).rows(one)[0])


@pytest.mark.parametrize("wanted", [2, 10, 200, 2000])
@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_holds_what_was_wanted(kind: str, correlation: str, wanted: int, stored: Rows, asked: Rows) -> None:
    maker, rng = Maker(stored), np.random.default_rng(3)
    for number in range(len(asked)):
        own = Own.of(asked, number)
        where = maker.make(Cell(kind, correlation, wanted), own, rng)
        count = int(where.rows(stored).sum())
        # On a grid rows lie in lines, and several have the same place.
        grid = stored.lon.max() < 6 and kind in ("bbox", "polygon")
        assert wanted <= count <= wanted + (8 + 2 * wanted**0.5 if grid else 1), (number, count)
        if correlation != "anywhere":
            assert holds(where, own, kind) == (correlation == "inside"), number


def test_a_box_around_a_gap_in_a_grid_takes_no_whole_line_of_rows() -> None:
    grid = rows("grid", N, 1)
    kept = np.abs(grid.lon - 5.3) > 0.1
    stored = Rows(grid.vectors[kept], grid.lon[kept], grid.lat[kept], grid.when[kept], grid.share[kept])
    own = Own(5.3001, 42.2001, 0, np.float32(0))
    for wanted in (2, 10, 100):
        where = Maker(stored).make(Cell("bbox", "inside", wanted), own, np.random.default_rng(wanted))
        assert wanted <= where.rows(stored).sum() <= wanted + 8
        assert holds(where, own, "bbox")


def test_a_polygon_has_two_hundred_vertices_and_is_sound(stored: Rows, asked: Rows) -> None:
    where = Maker(stored).make(Cell("polygon", "inside", 500), Own.of(asked, 0), np.random.default_rng(0))
    area = shapely.from_wkt(where.polygon)
    assert area.is_valid
    assert shapely.get_num_coordinates(area) == 201
    assert area.area < 0.95 * shapely.convex_hull(area).area


def test_polygon_and_time_both_take_part(stored: Rows, asked: Rows) -> None:
    where = Maker(stored).make(Cell("polygon and time", "anywhere", 200), Own.of(asked, 0), np.random.default_rng(0))
    area, time = Where(polygon=where.polygon).rows(stored).sum(), Where(between=where.between).rows(stored).sum()
    assert N / 12 < area < N / 8
    assert time < N / 4


def test_the_same_seed_makes_the_same_filters(stored: Rows, asked: Rows) -> None:
    for kind in KINDS:
        one, two = (
            Maker(stored).make(Cell(kind, "outside", 50), Own.of(asked, 1), np.random.default_rng(9)) for _ in range(2)
        )
        assert one == two


def test_a_query_that_no_filter_can_leave_out(stored: Rows, asked: Rows) -> None:
    for kind in ("time", "share"):
        with pytest.raises(PeerError, match="leaves out"):
            Maker(stored).make(Cell(kind, "outside", N), Own.of(asked, 0), np.random.default_rng(0))
