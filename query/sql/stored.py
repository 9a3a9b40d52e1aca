"""The stored vectors of rows that SQL selected, read from the index where they lie rather than from Parquet pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError
from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment
    from embedstore.snapshot import Piece, Snapshot


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
        if not len(missing):
            break
        rows = _rows(piece, ids[missing], cells[missing])
        held = np.flatnonzero(rows >= 0)
        if len(held):
            out[missing[held]] = _single(piece.segment, rows[held])
            known[missing[held]] = True
    if not known.all():
        raise DamageError(
            f"{np.count_nonzero(~known)} rows of {snapshot.root} are in no segment; run `embedstore verify`."
        )
    return out


def _rows(piece: Piece, ids: NDArray[Any], cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the piece's row of each id, -1 where it has none."""
    segment = piece.segment
    rows = np.searchsorted(segment.column("h3"), cells).astype(np.int64)
    rows = np.minimum(rows, segment.rows - 1)
    # the first row of the cell is the one where a place was seen once; else the id decides
    other = np.flatnonzero(segment.take("id", rows) != ids)
    if len(other):
        rows[other] = segment.find(ids[other])
    if piece.alive is not None:
        rows[~piece.alive[rows]] = -1
    return rows


def _single(segment: Segment, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return vectors in single precision; FAISS decodes them with the processor's own instruction, numpy does not."""
    quantiser = faiss().ScalarQuantizer
    codec = faiss().IndexScalarQuantizer(segment.dimension, quantiser.QT_fp16, faiss().METRIC_INNER_PRODUCT)
    out: NDArray[np.float32] = codec.sa_decode(segment.take_vectors(rows).view(np.uint8))
    return out
