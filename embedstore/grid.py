"""H3 cells as 64-bit integers, by the array.

An H3 index of resolution r holds r base-7 digits of three bits each, from the top; unused digits are 7. So the
children of a cell at one resolution are contiguous as integers, and a parent is a matter of bits
(https://h3geo.org/docs/core-library/h3Indexing).
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import numpy as np

from embedstore.errors import FilterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def cells(lon: NDArray[np.float64], lat: NDArray[np.float64], resolution: int) -> NDArray[np.int64]:
    """Return the cell of each position.

    Parameters
    ----------
    lon, lat
        Degrees, OGC:CRS84, shape (n,).
    resolution
        0 to 15.

    Returns
    -------
    int64, shape (n,).
    """
    of = h3.latlng_to_cell
    found = (of(y, x, resolution) for x, y in zip(lon.tolist(), lat.tolist(), strict=True))
    return np.fromiter(found, np.int64, len(lon))


def parents(cell: NDArray[np.int64], resolution: int) -> NDArray[np.int64]:
    """Return the ancestor of each cell at a coarser (or the same) resolution."""
    unused = np.int64((1 << (3 * (15 - resolution))) - 1)
    return (cell & ~np.int64(0xF << 52)) | np.int64(resolution << 52) | unused


def resolution(cell: int) -> int:
    """Return the resolution of a cell."""
    return (cell >> 52) & 15


def around(cell: int, resolution: int) -> list[int]:
    """Return the cells of a coarser resolution that positions in a cell can have.

    Children do not lie within their parent to the last metre: near its edge a position has a neighbour's cell.
    """
    return [int(near) for near in h3.grid_disk(h3.cell_to_parent(cell, resolution), 1)]


def child_range(cell: int, resolution: int) -> tuple[int, int]:
    """Return the first and last integer that a descendant of `cell` at `resolution` can have, both included.

    Raises
    ------
    FilterError
        If `cell` is no H3 cell. A cell finer than `resolution` has no descendants there: its ancestor is used.
    """
    if not h3.is_valid_cell(cell):
        raise FilterError(f"{cell!r} is no H3 cell; give cells as hexadecimal text or integers.")
    of = h3.get_resolution(cell)
    if of > resolution:
        cell, of = h3.cell_to_parent(cell, resolution), resolution
    first = (cell & ~(0xF << 52)) | (resolution << 52)
    last = first
    for r in range(of + 1, resolution + 1):
        digit = 3 * (15 - r)
        first &= ~(7 << digit)
        last = (last & ~(7 << digit)) | (6 << digit)
    return first, last


def parse_cells(cells_: Iterable[str | int]) -> list[int]:
    """Return H3 cells given as hexadecimal text or integers, checked.

    Raises
    ------
    FilterError
        If one is no H3 cell.
    """
    out = []
    for cell in cells_:
        try:
            value = int(cell, 16) if isinstance(cell, str) else index(cell)
        except (TypeError, ValueError):
            value = 0
        if not (0 < value < 1 << 63 and h3.is_valid_cell(value)):
            raise FilterError(f"{cell!r} is no H3 cell; give cells as hexadecimal text or integers.")
        out.append(value)
    return out


def to_text(cell: int) -> str:
    """Return a cell as the hexadecimal text by which people know it."""
    return f"{cell:x}"
