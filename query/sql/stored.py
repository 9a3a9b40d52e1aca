"""The stored vectors of rows that SQL selected, read from the index where they lie rather than from Parquet pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError
from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from embedstore.segment import Segment
    from embedstore.snapshot import Snapshot


DEEP = 64
"""Chips of one place up to which they are looked through; of more the id is searched for."""


def vectors(snapshot: Snapshot, ids: NDArray[Any], cells: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return stored vectors as they are kept, shape (n, d).

    Parameters
    ----------
    snapshot
        That holds every row asked for.
    ids
        16-byte ids, dtype V16, shape (n,).
    cells
        The rows' fine H3 cells: segments stand in their order, so a row is found without a search for its id.

    Raises
    ------
    DamageError
        If a row is in no segment.
    """
    out = np.empty((len(ids), snapshot.encoder.dimension), np.float32)
    known = np.zeros(len(ids), bool)
    for piece in snapshot.pieces:
        missing = np.flatnonzero(~known)
        at, rows = _in_cells(piece, ids[missing], cells[missing])
        if len(at):
            out[missing[at]] = _single(piece.segment, rows)
            known[missing[at]] = True
    missing = np.flatnonzero(~known)
    if len(missing):
        for piece, at, rows in snapshot.find(ids[missing]):
            out[missing[at]] = _single(piece.segment, rows)
            known[missing[at]] = True
    if not known.all():
        raise DamageError(
            f"{np.count_nonzero(~known)} rows of {snapshot.home} are in no segment; run `embedstore verify`."
        )
    return out


def _in_cells(piece: Piece, ids: NDArray[Any], cells: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which ids are among the piece's rows of their cells, and those rows."""
    segment = piece.segment
    # not checked for damage, which would read all of it: the ids say whether the rows are the right ones
    column = segment.columns["h3"]
    first = np.searchsorted(column, cells)
    count = np.searchsorted(column, cells, "right") - first
    count[count > DEEP] = 0
    of = np.repeat(np.arange(len(ids)), count)
    rows = np.arange(len(of)) + np.repeat(first - np.cumsum(count) + count, count)
    hit = segment.take("id", rows) == ids[of]
    if piece.alive is not None:
        hit &= piece.alive[rows]
    return of[hit], rows[hit]


def _single(segment: Segment, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return vectors in single precision; FAISS decodes them with the processor's own instruction, numpy does not."""
    quantiser = faiss().ScalarQuantizer
    codec = faiss().IndexScalarQuantizer(segment.dimension, quantiser.QT_fp16, faiss().METRIC_INNER_PRODUCT)
    out: NDArray[np.float32] = codec.sa_decode(segment.take_vectors(rows).view(np.uint8))
    return out
