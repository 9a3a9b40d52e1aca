"""A polygon as a raster of cells: inside, outside, or crossed by its edge.

A filter asks about thousands of points that lie close together. One look at the cell answers for all but those in a
cell that the edge crosses; only they are tested against the geometry itself, so the answer is exact. Sums over the
raster answer for whole boxes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 128
"""Cells along each side of the polygon's bounds."""
OUTSIDE, INSIDE, EDGE = 0, 1, 2
SLACK = 1e-6
"""In cells: an edge this near to a cell counts as crossing it, whatever rounding says."""


class Cover:
    """The raster of one polygon.

    Parameters
    ----------
    shape
        Prepared shapely polygon or multipolygon, degrees.
    """

    def __init__(self, shape: Any) -> None:
        self._shape = shape
        west, south, east, north = shape.bounds
        self._origin = np.array([west, south])
        self._scale = SIDE / np.maximum([east - west, north - south], 1e-300)
        self.cells = self._edge_cells()
        self._fill()
        self._inside = _sums(self.cells == INSIDE)
        self._touched = _sums(self.cells != OUTSIDE)

    def contains(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points the polygon holds, edge included."""
        x, y = ((lon - self._origin[0]) * self._scale[0], (lat - self._origin[1]) * self._scale[1])
        near = (x > -SLACK) & (x < SIDE + SLACK) & (y > -SLACK) & (y < SIDE + SLACK)
        col, row = (np.clip(v, 0, SIDE - 1).astype(np.int32) for v in (x, y))
        kind = self.cells.ravel()[row * SIDE + col]
        held: NDArray[np.bool_] = near & (kind == INSIDE)
        unsure = np.flatnonzero(near & (kind == EDGE))
        held[unsure] = shapely.intersects_xy(self._shape, lon[unsure], lat[unsure])
        return held

    def boxes(self, boxes: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Tell which boxes lie inside for certain, and which may touch the polygon.

        Parameters
        ----------
        boxes
            West, south, east, north, shape (n, 4).
        """
        low = (boxes[:, :2] - self._origin) * self._scale
        high = (boxes[:, 2:] - self._origin) * self._scale
        within = ((low >= 0) & (high < SIDE)).all(axis=1)
        apart = ((high < -SLACK) | (low > SIDE + SLACK)).any(axis=1)
        first = np.clip(np.floor(low - SLACK), 0, SIDE - 1).astype(np.int64)
        last = np.clip(np.floor(high + SLACK), 0, SIDE - 1).astype(np.int64) + 1
        area = (last - first).prod(axis=1)
        return within & (_total(self._inside, first, last) == area), ~apart & (_total(self._touched, first, last) > 0)

    def _edge_cells(self) -> NDArray[np.uint8]:
        """Mark every cell that an edge crosses: edges are cut into pieces shorter than half a cell."""
        rings = shapely.get_rings(shapely.get_parts(self._shape))
        points, ring = shapely.get_coordinates(rings, return_index=True)
        points = (points - self._origin) * self._scale
        same = ring[1:] == ring[:-1]
        start, end = points[:-1][same], points[1:][same]
        pieces = np.maximum(1, np.ceil(2 * np.abs(end - start).max(axis=1))).astype(np.int64)
        of = np.repeat(np.arange(len(pieces)), pieces)
        number = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        step = (end - start)[of] / pieces[of][:, None]
        one = start[of] + step * number[:, None]
        other = one + step
        low = np.clip(np.floor(np.minimum(one, other) - SLACK), 0, SIDE - 1).astype(np.int64)
        high = np.clip(np.floor(np.maximum(one, other) + SLACK), 0, SIDE - 1).astype(np.int64)
        cells = np.zeros((SIDE, SIDE), np.uint8)
        for x in (low[:, 0], high[:, 0]):
            for y in (low[:, 1], high[:, 1]):
                cells[y, x] = EDGE
        return cells

    def _fill(self) -> None:
        """Tell inside from outside: between two crossed cells of a row nothing changes, one point answers for all."""
        free = self.cells != EDGE
        begins = free.copy()
        begins[:, 1:] &= ~free[:, :-1]
        row, col = np.nonzero(begins)
        held = shapely.intersects_xy(
            self._shape,
            self._origin[0] + (col + 0.5) / self._scale[0],
            self._origin[1] + (row + 0.5) / self._scale[1],
        )
        run = np.cumsum(begins.ravel()).reshape(begins.shape) - 1
        self.cells[free] = held[run[free]]


def _sums(cells: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return how many cells are set below and left of each corner."""
    sums = np.zeros((SIDE + 1, SIDE + 1), np.int32)
    np.cumsum(cells, axis=0, dtype=np.int32, out=sums[1:, 1:])
    np.cumsum(sums[1:, 1:], axis=1, out=sums[1:, 1:])
    return sums


def _total(sums: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return how many cells are set in boxes of cells [first, last), as x and y."""
    (left, low), (right, high) = first.T, last.T
    total: NDArray[np.int32] = sums[high, right] - sums[low, right] - sums[high, left] + sums[low, left]
    return total
