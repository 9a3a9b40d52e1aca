"""How like the query each place is: every chip's similarity, summed up by H3 cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore import grid
from embedstore.errors import QueryError
from query import stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from query.searcher import Searcher
    from query.selection import Selection
    from query.stream import Block

FINEST = 15
"""Finest resolution of H3."""
Sums = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.float64]", "NDArray[np.float32]"]


def heat_map(searcher: Searcher, selections: list[Selection], query: NDArray[np.float32], resolution: int) -> pa.Table:
    """Return the cells that hold chips of a filter, in H3 order.

    Parameters
    ----------
    query
        Unit vector, shape (1, d).
    resolution
        Of the cells, 0 to 15; a chip belongs to the cell of its centre.

    Returns
    -------
    Columns h3 (int64), chips (int64), mean and best (float32, cosine similarity).

    Raises
    ------
    QueryError
        If there is no such resolution.
    DamageError
        If a segment is damaged.
    """
    if isinstance(resolution, bool) or not isinstance(resolution, int) or not 0 <= resolution <= FINEST:
        raise QueryError(f"resolution = {resolution!r} makes no sense; H3 has 0 to {FINEST}.")
    parts: list[Sums] = []
    for block in stream.blocks(searcher.snapshot.pieces, selections):
        scores = block.vectors @ query[0]
        ones = np.ones(len(scores), np.int64)
        parts.append(_sum_up(_cells(block, resolution), ones, scores.astype(np.float64), scores))
    empty: Sums = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0, np.float32))
    columns: Any = (np.concatenate(c) for c in zip(*parts, strict=True)) if parts else empty
    cells, chips, total, best = _sum_up(*columns)
    mean = (total / np.maximum(chips, 1)).astype(np.float32)
    return pa.table({"h3": cells, "chips": chips, "mean": mean, "best": best})


def _cells(block: Block, resolution: int) -> NDArray[np.int64]:
    segment = block.piece.segment
    fine = segment.take("h3", block.rows)
    if resolution <= grid.resolution(int(fine[0])):
        return grid.parents(fine, resolution)
    return grid.cells(segment.take("lon", block.rows), segment.take("lat", block.rows), resolution)


def _sum_up(
    cells: NDArray[np.int64], chips: NDArray[np.int64], total: NDArray[np.float64], best: NDArray[np.float32]
) -> Sums:
    """Join the entries of each cell."""
    if not len(cells):
        return cells, chips, total, best
    order = np.argsort(cells, kind="stable")
    sorted_ = cells[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_[1:] != sorted_[:-1]]))
    return (
        sorted_[starts],
        np.add.reduceat(chips[order], starts),
        np.add.reduceat(total[order], starts),
        np.maximum.reduceat(best[order], starts),
    )
