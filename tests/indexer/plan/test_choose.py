"""Who owns which ground: as small cells alone would have it, each position once, nothing lost between neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from embedstore import area, grid
from indexer import cells
from indexer.plan import choose

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 2000.0
PLACES = {"plain": (13.0, 45.0), "antimeridian": (179.95, -16.5), "north": (20.0, 78.0)}


def scenes(place: str, seed: int) -> list[Any]:
    """Some rectangles that overlap, the best first."""
    random = np.random.default_rng(seed)
    west, south = PLACES[place]
    wide = 0.12 / np.cos(np.radians(south))
    out = []
    for _ in range(random.integers(1, 5)):
        x, y = west + random.uniform(0, wide), south + random.uniform(0, 0.12)
        x2, y2 = x + random.uniform(0.3, 1) * wide, y + random.uniform(0.03, 0.12)
        out.append(area.box((x + 180) % 360 - 180, y, (x2 + 180) % 360 - 180, y2))
    return out


def positions(place: str, seed: int, count: int = 300) -> tuple[NDArray[Any], NDArray[Any]]:
    random = np.random.default_rng(seed)
    west, south = PLACES[place]
    wide = 0.25 / np.cos(np.radians(south))
    return (west + random.uniform(0, wide, count) + 180) % 360 - 180, south + random.uniform(0, 0.25, count)


def whole_area(place: str) -> NDArray[np.int64]:
    west, south = PLACES[place]
    wide = 0.25 / np.cos(np.radians(south))
    shape = area.box(west, south, (west + wide + 180) % 360 - 180, south + 0.25)
    return cells.cover(shape, choose.unit_resolution(SIDE))


@pytest.mark.parametrize("place", PLACES)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=8)
def test_owners_are_those_that_the_smallest_cells_alone_would_have(place: str, seed: int) -> None:
    coverages = scenes(place, seed)
    owned = choose.owners(whole_area(place), coverages, SIDE)
    lon, lat = positions(place, seed + 1)
    claims = np.stack([cells.owned(lon, lat, mine.tolist()) for mine in owned.values()])
    assert (claims.sum(axis=0) == 1).all()  # those of nobody counted
    owner = np.array(list(owned))[claims.argmax(axis=0)]
    small = grid.parents(grid.cells(lon, lat, cells.FINEST), choose.owner_resolution(SIDE))
    discs = cells.discs(small.tolist(), SIDE)
    middle = shapely.points([h3.cell_to_latlng(cell)[::-1] for cell in small.tolist()])
    for i, expected in enumerate(owner.tolist()):
        whole = [n for n, c in enumerate(coverages) if shapely.covers(c, discs[i])]
        if whole:
            assert expected == whole[0]
        else:
            held = [n for n, c in enumerate(coverages) if shapely.intersects(c, middle[i])]
            assert expected == (held[0] if held else choose.NOBODY)


def test_cells_outside_an_area_are_nobodys_work() -> None:
    everywhere = area.box(12.9, 44.9, 13.4, 45.4)
    wanted = area.box(13.0, 45.0, 13.05, 45.05)
    owned = choose.owners(whole_area("plain"), [everywhere], SIDE, wanted)
    lon, lat = positions("plain", 3, 2000)
    mine = cells.owned(lon, lat, owned[0].tolist())
    assert mine[shapely.contains_xy(wanted, lon, lat)].all()
    assert not mine[shapely.distance(shapely.points(lon, lat), wanted) > 0.1].any()


def test_no_scene_at_all() -> None:
    (nobody,) = choose.owners(whole_area("plain"), [], SIDE)
    assert nobody == choose.NOBODY


def test_resolutions_follow_the_size_of_a_chip() -> None:
    assert choose.unit_resolution(640) == 4
    assert choose.owner_resolution(640) > choose.unit_resolution(640)
    assert choose.unit_resolution(1e9) == 0
    assert choose.owner_resolution(0.1) == 15


@pytest.mark.parametrize("side", [80.0, 320.0, 640.0, 2240.0])
def test_what_belongs_to_a_small_cell_is_less_than_half_a_chip_from_its_centre(side: float) -> None:
    random = np.random.default_rng(0)
    lon, lat = random.uniform(-180, 180, 400), np.degrees(np.arcsin(random.uniform(-1, 1, 400)))
    small = grid.parents(grid.cells(lon, lat, cells.FINEST), choose.owner_resolution(side))
    centre = np.array([h3.cell_to_latlng(c) for c in small.tolist()])
    apart = [h3.great_circle_distance((y, x), tuple(c), unit="m") for x, y, c in zip(lon, lat, centre, strict=True)]
    assert max(apart) < side / 2
