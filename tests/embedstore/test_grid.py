from __future__ import annotations

from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedstore import grid
from embedstore.errors import FilterError, SpecError
from embedstore.spec import GridSpec

lon, lat = st.floats(-180, 180), st.floats(-90, 90)


@given(lon, lat, st.integers(0, 15), st.integers(0, 15))
def test_parents_are_those_of_h3(x: float, y: float, fine: int, coarse: int) -> None:
    fine, coarse = max(fine, coarse), min(fine, coarse)
    cell = grid.cells(np.array([x]), np.array([y]), fine)
    assert cell[0] == h3.latlng_to_cell(y, x, fine)
    assert grid.parents(cell, coarse)[0] == h3.cell_to_parent(int(cell[0]), coarse)


@given(lon, lat, st.integers(0, 12), st.integers(0, 3))
def test_descendants_are_one_range(x: float, y: float, of: int, deeper: int) -> None:
    cell = h3.latlng_to_cell(y, x, of)
    first, last = grid.child_range(cell, of + deeper)
    children = h3.cell_to_children(cell, of + deeper)
    assert all(first <= child <= last for child in children)
    neighbour = next(c for c in h3.grid_disk(cell, 1) if c != cell)
    assert not any(first <= child <= last for child in h3.cell_to_children(neighbour, of + deeper))


def test_a_pentagon_has_a_range_too() -> None:
    for pentagon in h3.get_pentagons(3):
        first, last = grid.child_range(pentagon, 6)
        assert all(first <= child <= last for child in h3.cell_to_children(pentagon, 6))


def test_cells_are_parsed_as_people_write_them() -> None:
    cell = h3.latlng_to_cell(45.0, 13.0, 5)
    assert grid.parse_cells([cell, grid.to_text(cell)]) == [cell, cell]
    assert grid.parse_cells([np.int64(cell), np.uint64(cell), grid.to_text(cell).upper()]) == [cell] * 3
    assert all(type(value) is int for value in grid.parse_cells(np.array([cell])))
    bad: tuple[Any, ...] = ("", "xyz", "ffff", "-1", "f" * 20, 7, -1, -cell, cell + 2**64, 1e17, None, [cell], True)
    for wrong in bad:
        with pytest.raises(FilterError, match="H3"):
            grid.parse_cells([wrong])


@given(lon, lat, st.integers(0, 15))
def test_a_cell_knows_its_resolution(x: float, y: float, of: int) -> None:
    assert grid.resolution(h3.latlng_to_cell(y, x, of)) == of


@given(st.floats(10, 100_000))
def test_a_grid_fits_its_chips(side: float) -> None:
    made = GridSpec.for_chips(side)
    assert 0 <= made.partition_resolution <= made.h3_resolution <= 15
    assert GridSpec.from_dict(made.to_dict()) == made


def test_a_grid_refuses_what_makes_no_sense() -> None:
    with pytest.raises(SpecError):
        GridSpec(3, 5)
    with pytest.raises(SpecError):
        GridSpec(16, 2)
