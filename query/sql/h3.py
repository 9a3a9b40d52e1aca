"""H3 functions for SQL: Arrow arrays in, Arrow arrays out.

Names are those of DuckDB's community extension ``h3``, where it has the function; cells are BIGINT, as in the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint, grid
from embedstore.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

CELLS = 10_000_000
"""Most cells that one polygon or disk may have."""
_EARTH_KM2 = 510_065_621.7
_DEGREE_KM = 111.2


def latlng_to_cell(lat: pa.ChunkedArray, lng: pa.ChunkedArray, resolution: pa.ChunkedArray) -> pa.Array:
    """Return the cell of each position in degrees."""
    x, y, r = (_numpy(a) for a in (lng, lat, resolution))
    _check_resolutions(r)
    if not (np.isfinite(x) & (np.abs(y) <= 90)).all():
        raise QueryError("h3_latlng_to_cell: a position is not in degrees; give latitude, then longitude.")
    out = np.empty(len(x), np.int64)
    for one in np.unique(r):
        at = r == one
        out[at] = grid.cells(x[at], y[at], int(one))
    return pa.array(out)


def cell_to_parent(cell: pa.ChunkedArray, resolution: pa.ChunkedArray) -> pa.Array:
    """Return the ancestor of each cell."""
    cells, r = _cells(cell), _numpy(resolution)
    _check_resolutions(r)
    if (r > (cells >> 52 & 15)).any():
        raise QueryError("h3_cell_to_parent: a parent's resolution is the cell's own or a coarser one.")
    out = np.empty(len(cells), np.int64)
    for one in np.unique(r):
        out[r == one] = grid.parents(cells[r == one], int(one))
    return pa.array(out)


def cell_to_boundary(cell: pa.ChunkedArray) -> pa.Array:
    """Return the outline of each cell as WKB, cut at the antimeridian."""
    cells, at = np.unique(_cells(cell), return_inverse=True)
    rings = [np.array(h3.cell_to_boundary(one))[:, ::-1] for one in cells.tolist()]
    shapes = np.array([footprint.ring(*ring.T.tolist()) for ring in rings], object)
    return pa.array(shapely.to_wkb(shapes)[at].tolist(), pa.binary())


def grid_disk(cell: pa.ChunkedArray, k: pa.ChunkedArray) -> pa.Array:
    """Return the cells within k steps of each cell, itself included."""
    steps = _numpy(k).tolist()
    if any(s < 0 or 3 * s * (s + 1) >= CELLS for s in steps):
        raise QueryError(f"h3_grid_disk: k is 0 or more, and a disk has at most {CELLS:,} cells.")
    return _lists([h3.grid_disk(one, s) for one, s in zip(_cells(cell).tolist(), steps, strict=True)])


def polygon_to_cells(wkb: pa.ChunkedArray, resolution: pa.ChunkedArray) -> pa.Array:
    """Return the cells whose centre each polygon holds."""
    r = _numpy(resolution)
    _check_resolutions(r)
    shapes = shapely.from_wkb(np.array(wkb.to_pylist(), object))
    found = []
    for shape, one in zip(shapes, r.tolist(), strict=True):
        polygons = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and not p.is_empty]
        if len(polygons) != shapely.get_num_geometries(shape) or not polygons:
            raise QueryError(f"h3_polygon_to_cells takes a Polygon or MultiPolygon, not {shape.geom_type}.")
        km2 = min(_EARTH_KM2, sum(_box_km2(p.bounds) for p in polygons))
        if km2 / h3.average_hexagon_area(one, "km^2") > CELLS:
            raise QueryError(f"h3_polygon_to_cells would return more than {CELLS:,} cells; take a coarser resolution.")
        found.append({cell for p in polygons for cell in h3.geo_to_cells(p, one)})
    return _lists(found)


def to_text(cell: pa.ChunkedArray) -> pa.Array:
    """Return cells as hexadecimal text."""
    return pa.array([grid.to_text(one) for one in _cells(cell).tolist()], pa.string())


def from_text(text: pa.ChunkedArray) -> pa.Array:
    """Return cells given as hexadecimal text."""
    return pa.array(grid.parse_cells(text.to_pylist()), pa.int64())


FUNCTIONS: dict[str, tuple[Any, list[str], str]] = {
    "h3_latlng_to_cell": (latlng_to_cell, ["DOUBLE", "DOUBLE", "BIGINT"], "BIGINT"),
    "h3_cell_to_parent": (cell_to_parent, ["BIGINT", "BIGINT"], "BIGINT"),
    "_h3_boundary": (cell_to_boundary, ["BIGINT"], "BLOB"),
    "h3_grid_disk": (grid_disk, ["BIGINT", "BIGINT"], "BIGINT[]"),
    "_h3_cells": (polygon_to_cells, ["BLOB", "BIGINT"], "BIGINT[]"),
    "h3_h3_to_string": (to_text, ["BIGINT"], "VARCHAR"),
    "h3_string_to_h3": (from_text, ["VARCHAR"], "BIGINT"),
}
"""Name to function, types of its arguments, type of its result."""


def _numpy(values: pa.ChunkedArray) -> NDArray[Any]:
    out: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return out


def _cells(values: pa.ChunkedArray) -> NDArray[np.int64]:
    cells = _numpy(values).astype(np.int64, copy=False)
    for one in np.unique(cells).tolist():
        if one < 0 or not h3.is_valid_cell(one):
            raise QueryError(f"{one} is no H3 cell.")
    return cells


def _check_resolutions(values: NDArray[Any]) -> None:
    if len(values) and not (values.min() >= 0 and values.max() <= 15):
        raise QueryError("an H3 resolution is 0 to 15.")


def _box_km2(bounds: tuple[float, float, float, float]) -> float:
    west, south, east, north = bounds
    if not -90 <= south <= north <= 90:
        raise QueryError("h3_polygon_to_cells: latitudes are -90 to 90; give degrees, longitude first.")
    wide = np.degrees(np.sin(np.radians(north)) - np.sin(np.radians(south)))
    return float((east - west) * wide * _DEGREE_KM**2)


def _lists(cells: Iterable[Iterable[int]]) -> pa.Array:
    return pa.array([sorted(one) for one in cells], pa.list_(pa.int64()))
