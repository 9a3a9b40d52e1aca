"""H3 cells as owners of ground: which chips are theirs, and the discs that hold all that is theirs.

A position belongs to a cell if the cell is an ancestor of its finest cell (resolution 15), never by the cell's outline:
children lie only about within their parent, and by ancestry every position has one owner whatever cells are mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import numpy as np
import shapely

from embedstore import footprint, grid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

FINEST = 15
SLACK = 1.1
"""What a rectangle of a map reaches beyond its corners, at most."""
REACH = 1.1
"""A disc of this many times a cell's radius holds all of its descendants and their discs. On the plane, children lie
√(3/7) radii away and are √7 times smaller, so that descendants reach 1.053 radii; the rest is for the sphere."""
STRIP = 60
"""Degrees of longitude: H3 takes an edge longer than half the world for the short way round."""
WIDEST = 1.11
"""No cell's radius is more average edges of its resolution: 1.104 was the most of 50,000 all over the Earth."""
CORNERS = 12
"""Of the polygon that stands for a disc."""
EARTH = 6_371_007.18
"""Metres: the radius of the sphere that H3 uses, of the same area as the ellipsoid."""


def owned(lon: NDArray[np.float64], lat: NDArray[np.float64], cells: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which positions belong to one of some cells, of any resolutions.

    Parameters
    ----------
    lon, lat
        Degrees, OGC:CRS84, shape (n,), finite.
    cells
        H3 cells.

    Returns
    -------
    bool, shape (n,).
    """
    fine = grid.cells(lon, lat, FINEST)
    inside = np.zeros(len(fine), bool)
    for resolution, members in by_resolution(cells).items():
        inside |= np.isin(grid.parents(fine, resolution), members)
    return inside


def near(lon: NDArray[np.float64], lat: NDArray[np.float64], cells: Sequence[int]) -> NDArray[np.bool_]:
    """Tell which rectangles can hold positions that belong to one of some cells: quickly, and never too few.

    Parameters
    ----------
    lon, lat
        Degrees, shape (n, 5): the middle of each rectangle, then its corners. One that is not finite is near.
    cells
        H3 cells.

    Returns
    -------
    bool, shape (n,).
    """
    centres = _directions(*np.array([h3.cell_to_latlng(cell)[::-1] for cell in cells]).T)
    middle = centres.mean(axis=0)
    middle /= np.linalg.norm(middle)
    reach = float((_angle(centres, middle) + REACH * _radii(cells)).max())
    corners = _directions(lon, lat)
    size = _angle(corners[:, 1:], corners[:, :1]).max(axis=1)
    found: NDArray[np.bool_] = ~(_angle(corners[:, 0], middle) > reach + SLACK * size)
    return found


def by_resolution(cells: Iterable[int]) -> dict[int, NDArray[np.int64]]:
    """Return cells by their resolution, the coarsest first."""
    all_ = np.fromiter(cells, np.int64)
    levels = (all_ >> 52) & 15
    return {int(level): all_[levels == level] for level in np.unique(levels)}


def children(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cells of the next finer resolution."""
    return np.fromiter((child for cell in cells.tolist() for child in h3.cell_to_children(cell)), np.int64)


def compact(cells: Iterable[int]) -> NDArray[np.int64]:
    """Return the fewest cells that own the same ground, sorted; cells may be of any resolutions, none in another."""
    levels = by_resolution(cells)
    kept = []
    carried = np.empty(0, np.int64)
    for resolution in range(max(levels, default=0), -1, -1):
        here = np.concatenate([levels.get(resolution, carried[:0]), carried])
        if not resolution or not len(here):
            kept.append(here)
            carried = here[:0]
            continue
        above, which, count = np.unique(grid.parents(here, resolution - 1), return_inverse=True, return_counts=True)
        whole = count == [h3.cell_to_children_size(parent) for parent in above.tolist()]
        kept.append(here[~whole[which]])
        carried = above[whole]
    return np.sort(np.concatenate(kept))


def circles(cells: Iterable[int], margin: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a polygon around each cell that holds all of its descendants.

    Parameters
    ----------
    cells
        H3 cells.
    margin
        Metres to add to the radius.

    Returns
    -------
    Longitudes (not brought back to ±180) and latitudes, degrees, float64 of shape (n, :data:`CORNERS`).
    """
    each = list(cells)
    lat, lon = np.radians([h3.cell_to_latlng(cell) for cell in each]).reshape(-1, 2).T[..., None]
    # The polygon's sides, not its corners, are to be as far away as the disc's edge.
    angle = (REACH * _radii(each)[:, None] + margin / EARTH) / np.cos(np.pi / CORNERS)
    bearing = np.arange(CORNERS) * (2 * np.pi / CORNERS)
    y = np.arcsin(np.clip(np.sin(lat) * np.cos(angle) + np.cos(lat) * np.sin(angle) * np.cos(bearing), -1, 1))
    x = lon + np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(lat), np.cos(angle) - np.sin(lat) * np.sin(y))
    return np.degrees(x), np.degrees(y)


def discs(cells: Iterable[int], margin: float = 0.0) -> NDArray[Any]:
    """Return :func:`circles` as shapely geometries, split at the antimeridian and closed over a pole."""
    lon, lat = circles(cells, margin)
    return footprint.footprints(lon, lat) if len(lon) else np.empty(0, object)


def cover(area: Any, resolution: int) -> NDArray[np.int64]:
    """Return cells that own all positions of an area, and some around it, sorted.

    Parameters
    ----------
    area
        Polygons in degrees, cut at the antimeridian (see :mod:`embedstore.area`).
    resolution
        Of the cells.
    """
    found: set[int] = set()
    strips = shapely.box(np.arange(-180, 180, STRIP), -90, np.arange(-180, 180, STRIP) + STRIP, 90)
    pieces = shapely.get_parts(shapely.get_parts(shapely.intersection(area, strips)))
    for polygon in pieces[shapely.area(pieces) > 0]:
        shape = h3.geo_to_h3shape(polygon)
        found.update(h3.h3shape_to_cells_experimental(shape, resolution, contain="overlap"))
    near = {neighbour for cell in found for neighbour in h3.grid_disk(cell, 1)}
    return np.sort(np.fromiter(near, np.int64))


def hull(cells: Iterable[int]) -> Any:
    """Return the convex hull of cells (shapely, degrees), split at the antimeridian: to look at, not to decide by."""
    lat, lon = np.array([corner for cell in cells for corner in h3.cell_to_boundary(cell)]).T
    near = lon[0] + (lon - lon[0] + 180) % 360 - 180  # all on one side of the antimeridian
    return footprint.split(shapely.convex_hull(shapely.MultiPoint(np.column_stack([near, lat]))))


def _directions(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions in degrees as unit vectors, shape (..., 3)."""
    x, y = np.radians(lon), np.radians(lat)
    with np.errstate(invalid="ignore"):  # positions off the Earth are infinite
        return np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=-1)


def _angle(a: NDArray[np.float64], b: NDArray[np.float64]) -> Any:
    """Return the angle between unit vectors in radians; from the chord, which is exact where it is small."""
    return 2 * np.arcsin(np.minimum(np.linalg.norm(a - b, axis=-1) / 2, 1))


def _radii(cells: Sequence[int]) -> NDArray[np.float64]:
    """Return the angle between each cell's centre and its farthest corner in radians, or somewhat more."""
    levels = (np.array(cells, np.int64) >> 52) & 15
    edges = np.array([h3.average_hexagon_edge_length(level, "m") for level in range(16)]) / EARTH
    radii: NDArray[np.float64] = WIDEST * edges[levels]
    return radii
