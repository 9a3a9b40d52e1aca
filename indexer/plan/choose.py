"""Whose chips: the scene that owns each H3 cell.

A small cell, a third of a chip at most, goes to the best scene that covers it and a chip's side around it; where none
does, to the best that covers its centre. Chips belong to the scene that owns the cell of their centre, so that none is
encoded twice, and scenes that lie side by side without overlap lose none. Larger cells are asked first: where the best
scene that touches one covers all of it, it has all of its descendants at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import numpy as np
import shapely

from indexer import cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

UNIT = 1000
"""Chips that a unit's cell holds at least; at most seven times as many. 640 m chips get cells of resolution 4, in two
generations the children of the store's partitions, so that a unit is one data file of one commit."""
NOBODY = -1


def unit_resolution(side: float) -> int:
    """Return the H3 resolution of work units for square chips of a side in metres."""
    return max((r for r in range(16) if h3.average_hexagon_area(r, "m^2") >= UNIT * side * side), default=0)


def owner_resolution(side: float) -> int:
    """Return the H3 resolution at which scenes own ground: cells of a third of a chip's area or less.

    What belongs to one is less than half a side from its centre. So where two scenes meet without overlap, the cell
    of a chip's centre has its own centre in the same scene.
    """
    return next((r for r in range(16) if h3.average_hexagon_area(r, "m^2") <= side * side / 3), 15)


def owners(
    wanted: NDArray[np.int64], coverages: Sequence[Any], side: float, area: Any = None
) -> dict[int, NDArray[np.int64]]:
    """Give cells, or descendants of theirs, to scenes.

    Parameters
    ----------
    wanted
        H3 cells, int64, of any resolutions up to :func:`owner_resolution`.
    coverages
        What each scene covers (shapely, degrees, cut at the antimeridian), the best scene first.
    side
        Of a chip in metres.
    area
        Cells outside are left out, as far as that is quickly seen; none are if None.

    Returns
    -------
    By the scene's position in `coverages`, the cells that it owns; under :data:`NOBODY` those that no scene covers.
    """
    finest = owner_resolution(side)
    tree = shapely.STRtree(list(coverages))
    scenes = np.array([*coverages], object)
    levels = cells.by_resolution(wanted)
    given: dict[int, list[NDArray[np.int64]]] = {}
    level = np.empty(0, np.int64)
    for resolution in range(min(levels, default=finest), finest + 1):
        level = np.concatenate([level, levels.get(resolution, level[:0])])
        if area is not None and len(level):
            level = level[shapely.intersects(area, cells.discs(level.tolist()))]
        discs = cells.discs(level.tolist(), side)
        best = _first(tree.query(discs, predicate="intersects"), len(level))
        settled = best == NOBODY
        if resolution < finest:
            there = np.flatnonzero(~settled)
            settled[there] = shapely.covers(scenes[best[there]], discs[there])
        else:
            best = _finest(tree, scenes, level, discs)
            settled[:] = True
        for scene in np.unique(best[settled]).tolist():
            given.setdefault(scene, []).append(level[settled & (best == scene)])
        level = cells.children(level[~settled]) if resolution < finest else level[:0]
    return {scene: np.concatenate(parts) for scene, parts in sorted(given.items())}


def _finest(
    tree: shapely.STRtree, scenes: NDArray[Any], level: NDArray[np.int64], discs: NDArray[Any]
) -> NDArray[np.int64]:
    """Return the best scene of each of the smallest cells: of those that cover it whole, else its centre."""
    cell, scene = tree.query(discs, predicate="intersects")
    lat, lon = np.array([h3.cell_to_latlng(one) for one in level.tolist()]).reshape(-1, 2).T
    whole = shapely.covers(scenes[scene], discs[cell])
    centre = shapely.intersects_xy(scenes[scene], lon[cell], lat[cell])
    best = _first(np.stack([cell, scene])[:, centre], len(level))
    better = _first(np.stack([cell, scene])[:, whole], len(level))
    return np.where(better == NOBODY, best, better)


def _first(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return the first scene of each cell, given (cell, scene) of shape (2, n); :data:`NOBODY` where there is none."""
    best = np.full(count, np.iinfo(np.int64).max, np.int64)
    np.minimum.at(best, pairs[0], pairs[1])
    best[best == np.iinfo(np.int64).max] = NOBODY
    return best
