"""Cells as owners of ground: every position has one, and the discs around cells hold all that is theirs."""

from __future__ import annotations

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from embedstore import area, grid
from indexer import cells

PENTAGON = h3.get_pentagons(4)[3]


def around(cell: int, count: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions in and around a cell."""
    random = np.random.default_rng(seed)
    lat, lon = h3.cell_to_latlng(cell)
    reach = np.degrees(3 * h3.average_hexagon_edge_length(h3.get_resolution(cell), "m") / cells.EARTH)
    y = np.clip(lat + random.uniform(-reach, reach, count), -90, 90)
    x = lon + random.uniform(-reach, reach, count) / max(np.cos(np.radians(lat)), 0.01)
    return (x + 180) % 360 - 180, y


@pytest.mark.parametrize("position", [(13.4, 45.8), (179.99, -16.5), (-60.0, 89.5)])
@pytest.mark.parametrize("resolution", [1, 4, 9])
def test_what_belongs_to_a_cell_lies_in_its_disc(position: tuple[float, float], resolution: int) -> None:
    cell = h3.latlng_to_cell(position[1], position[0], resolution)
    lon, lat = around(cell)
    mine = cells.owned(lon, lat, [cell])
    assert 20 < mine.sum() < 300
    assert shapely.intersects_xy(cells.discs([cell])[0], lon[mine], lat[mine]).all()


def test_the_twelve_pentagons_are_no_exception() -> None:
    lon, lat = around(PENTAGON)
    mine = cells.owned(lon, lat, [PENTAGON])
    assert mine.any()
    assert shapely.intersects_xy(cells.discs([PENTAGON])[0], lon[mine], lat[mine]).all()
    assert len(cells.children(np.array([PENTAGON]))) == 6
    assert cells.compact(cells.children(np.array([PENTAGON])).tolist()).tolist() == [PENTAGON]


@given(seed=st.integers(0, 2**32 - 1))
def test_a_position_has_one_owner_whatever_cells_are_mixed(seed: int) -> None:
    random = np.random.default_rng(seed)
    top = h3.latlng_to_cell(random.uniform(-80, 80), random.uniform(-180, 180), 3)
    mixed = [top]
    for _ in range(6):
        split = mixed.pop(int(random.integers(len(mixed))))
        mixed += [int(c) for c in h3.cell_to_children(split)]
    lon, lat = around(top, 60, seed)
    owners = np.stack([cells.owned(lon, lat, [cell]) for cell in mixed]).sum(axis=0)
    assert (owners == cells.owned(lon, lat, [top])).all()
    assert (cells.owned(lon, lat, mixed) == (owners > 0)).all()
    assert cells.compact(mixed).tolist() == [top]


@pytest.mark.parametrize("resolution", [0, 3, 8, 13])
def test_no_cell_is_wider_than_its_disc_is_made_for(resolution: int) -> None:
    random = np.random.default_rng(0)
    lon, lat = random.uniform(-180, 180, 300), np.degrees(np.arcsin(random.uniform(-1, 1, 300)))
    edge = h3.average_hexagon_edge_length(resolution, "m")
    for cell in [*grid.cells(lon, lat, resolution).tolist(), *h3.get_pentagons(resolution)]:
        centre = h3.cell_to_latlng(cell)
        farthest = max(h3.great_circle_distance(centre, corner, unit="m") for corner in h3.cell_to_boundary(cell))
        assert farthest < cells.WIDEST * edge


def test_compact_keeps_what_is_not_whole() -> None:
    top = h3.latlng_to_cell(45, 13, 5)
    first, *rest = (int(c) for c in h3.cell_to_children(top))
    grandchildren = [int(c) for c in h3.cell_to_children(first)]
    assert cells.compact(rest).tolist() == sorted(rest)
    assert cells.compact([*rest, *grandchildren[1:]]).tolist() == sorted([*rest, *grandchildren[1:]])
    assert cells.compact([*rest, *grandchildren]).tolist() == [top]


@pytest.mark.parametrize("box", [(13, 45, 13.5, 45.4), (179.6, -17, -179.5, -16), (-180, 88, 180, 90)])
def test_a_cover_owns_every_position_of_an_area(box: tuple[float, float, float, float]) -> None:
    shape = area.parse(box)
    random = np.random.default_rng(1)
    west, south, east, north = box
    lon = (random.uniform(west, east + (360 if east < west else 0), 500) + 180) % 360 - 180
    lat = random.uniform(south, north, 500)
    for resolution in (2, 4):
        assert cells.owned(lon, lat, cells.cover(shape, resolution).tolist()).all()


def test_rectangles_that_hold_chips_of_a_cell_are_near() -> None:
    cell = h3.latlng_to_cell(-16.5, 179.99, 6)
    lon, lat = around(cell, 2000)
    step = 0.02
    corners = np.array([[0, 0], [-1, -1], [-1, 1], [1, -1], [1, 1]]) * step / 2
    x, y = lon[:, None] + corners[:, 0], lat[:, None] + corners[:, 1]
    near = cells.near(x, y, [cell])
    inside = cells.owned(lon, lat, [cell])
    assert near[inside].all()
    assert not near.all()
    assert cells.near(np.full((1, 5), np.inf), np.full((1, 5), np.inf), [cell]).all()


def test_parents_are_those_of_the_library() -> None:
    fine = grid.cells(np.array([13.4]), np.array([45.8]), cells.FINEST)
    assert grid.parents(fine, 4)[0] == h3.cell_to_parent(int(fine[0]), 4)
