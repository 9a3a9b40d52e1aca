"""Chips of a filter as Arrow tables: all of them for a tile, or page by page in the order of the ground."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore.segment import COLUMNS
from query import sieve
from query.classify import hex_ids
from query.hits import SCALARS
from query.predicate import Predicate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from query.api.shelf import Shelf
    from query.filters import Filter
    from query.searcher import Searcher

Cursor = tuple[int, str]
"""H3 cell and id of the last chip of a page: where the next one goes on, whatever is added or deleted meanwhile."""


@dataclass(frozen=True, eq=False)
class Page:
    """Some chips of a filter.

    Parameters
    ----------
    table
        Columns id, lon, lat, h3, datetime, datetime_end, modalities, valid_fraction, and those asked for of the files.
    matched
        Chips that pass the filter.
    after
        Where the next page begins; None after the last.
    """

    table: pa.Table
    matched: int
    after: Cursor | None


def page(searcher: Searcher, shelf: Shelf, filter_: Filter, limit: int, after: Cursor | None) -> Page:
    """Return the next chips of a filter, by H3 cell and id, with footprint and inputs."""
    selections = searcher.select(filter_)
    picked = []
    for piece, selection in zip(searcher.snapshot.pieces, selections, strict=True):
        if selection.count:
            rows = np.arange(piece.segment.rows) if selection.rows is None else selection.rows
            picked.append((piece, _next(piece, rows, limit, after)))
    found = _scalars(searcher.snapshot, picked).sort_by([("h3", "ascending"), ("id", "ascending")])
    if after is not None:
        found = found.filter(pa.array([key > after for key in _keys(found)], pa.bool_()))
    table = _with_files(shelf, found.slice(0, limit), ("geometry", "inputs"))
    more = found.num_rows > limit
    return Page(table, sum(s.count for s in selections), _keys(table)[-1] if more else None)


def _next(piece: Piece, rows: NDArray[np.int64], limit: int, after: Cursor | None) -> NDArray[np.int64]:
    """Return rows, in H3 order, that hold the `limit` + 1 first chips after a place; cells are taken whole."""
    cells = piece.segment.column("h3")

    def cell(at: int) -> int:
        return int(cells[rows[at]])

    first = tied = 0
    if after is not None:
        first = bisect_left(range(len(rows)), after[0], key=cell)
        tied = bisect_right(range(len(rows)), after[0], key=cell) - first
    stop = min(first + tied + limit + 1, len(rows))
    if stop > first:
        stop = bisect_right(range(len(rows)), cell(stop - 1), key=cell)
    return rows[first:stop]


def _keys(table: pa.Table) -> list[Cursor]:
    return list(zip(table["h3"].to_pylist(), table["id"].to_pylist(), strict=True))


def of_ids(
    snapshot: Snapshot, shelf: Shelf, found: Sequence[tuple[Piece, NDArray[np.int64]]], *columns: str
) -> pa.Table:
    """Return rows of pieces with columns of the table's files."""
    return _with_files(shelf, _scalars(snapshot, found), columns)


def passing(searcher: Searcher, filter_: Filter) -> list[tuple[Piece, NDArray[np.int64]]]:
    """Return the rows that pass a filter without a predicate; unlike a search's, it is not remembered."""
    found = []
    for piece in searcher.snapshot.pieces:
        candidates = sieve.sift(filter_, piece, Predicate())
        rows = np.arange(piece.segment.rows) if candidates is None else candidates.rows
        if len(rows):
            found.append((piece, rows))
    return found


def _scalars(snapshot: Snapshot, found: Sequence[tuple[Piece, NDArray[np.int64]]]) -> pa.Table:
    """Return the segments' columns of rows, and where they stand in the table: columns file and place."""
    parts = []
    for piece, rows in found:
        data: dict[str, Any] = {"id": hex_ids(piece.segment.take("id", rows))}
        data |= {name: pa.array(piece.segment.take(name, rows), COLUMNS[name]) for name in SCALARS}
        files, places = snapshot.place(piece, rows)
        parts.append(pa.table({**data, "file": pa.array(files, pa.string()), "place": pa.array(places)}))
    return pa.concat_tables(parts) if parts else _EMPTY


_EMPTY = pa.schema(
    [("id", pa.string()), *((name, COLUMNS[name]) for name in SCALARS), ("file", pa.string()), ("place", pa.int64())]
).empty_table()


def _with_files(shelf: Shelf, table: pa.Table, columns: Sequence[str]) -> pa.Table:
    read = shelf.take(table["file"].to_pylist(), table["place"].to_numpy(), columns)
    table = table.drop_columns(["file", "place"])
    for name, column in zip(columns, read, strict=True):
        table = table.append_column(name, column)
    return table
