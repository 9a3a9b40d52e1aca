"""Rows for segments: from an append's chips, from table files, and from other segments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint
from embedstore.geoparquet import read_part
from embedstore.segment import COLUMNS, DTYPES
from embedstore.segment_draft import SegmentDraft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.home import Home
    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from embedstore.spec import EncoderSpec

CHUNK = 65_536
NEEDED = ("id", "geometry", "h3", "datetime", "datetime_end", "modalities", "valid_fraction", "embedding")
"""Columns of the table that a segment is made of."""


def columns_of(rows: pa.Table) -> dict[str, NDArray[Any]]:
    """Return a segment's columns, without ``file`` and ``row``, from rows of the table."""
    lon, lat = footprint.centres(shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False)))
    ids = np.frombuffer(bytes.fromhex("".join(rows["id"].to_pylist())), "V16")
    out: dict[str, NDArray[Any]] = {"id": ids, "lon": lon, "lat": lat}
    for name in ("h3", "datetime", "datetime_end", "modalities", "valid_fraction"):
        values = rows[name].combine_chunks()
        if pa.types.is_timestamp(values.type):
            values = values.cast(pa.int64()).fill_null(np.iinfo(np.int64).min)
        out[name] = values.to_numpy(zero_copy_only=False).astype(np.int64 if DTYPES[name].kind == "M" else DTYPES[name])
        if DTYPES[name].kind == "M":
            out[name] = out[name].view(DTYPES[name])
    return out


def matrix(embeddings: pa.ChunkedArray, dimension: int) -> NDArray[np.float32]:
    """Return a list column as a float32 matrix, shape (n, dimension)."""
    chunks = [c.flatten().to_numpy(zero_copy_only=False) for c in embeddings.chunks if len(c)]
    flat = np.concatenate(chunks) if chunks else np.empty(0, np.float32)
    return flat.astype(np.float32, copy=False).reshape(-1, dimension)


def from_files(home: Home, files: Sequence[str], encoder: EncoderSpec, parent: Path, name: str) -> Path:
    """Write a flat segment of whole table files, read one at a time.

    Raises
    ------
    DamageError
        If a file is damaged.
    """
    parts: list[dict[str, NDArray[Any]]] = []
    vectors: list[NDArray[np.float16]] = []
    for number, path in enumerate(files):
        rows = read_part(home.readable(home.folder / path), NEEDED)
        columns = columns_of(rows)
        columns["file"] = np.full(len(rows), number, np.int32)
        columns["row"] = np.arange(len(rows), dtype=np.int32)
        parts.append(columns)
        vectors.append(matrix(rows["embedding"], encoder.dimension).astype(np.float16))
    joined = {c: np.concatenate([p[c] for p in parts]) for c in COLUMNS}
    order = np.argsort(joined["h3"], kind="stable")
    everything = np.concatenate(vectors)
    with SegmentDraft(parent, name) as draft:
        draft.write_rows({c: v[order] for c, v in joined.items()})
        draft.write_vectors(everything[order[i : i + CHUNK]] for i in range(0, len(order), CHUNK))
        return draft.seal(len(order), encoder.dimension, encoder.fingerprint, files)


def merge(snapshot: Snapshot, pieces: Sequence[Piece], draft: SegmentDraft) -> tuple[int, list[str]]:
    """Write the live rows of several pieces into one draft, in H3 order; return how many and the files covered.

    Vectors stream through in chunks, so memory holds the columns and not the vectors. The new segment knows where
    each row stands in the snapshot's table, so it needs no row maps.
    """
    live = [p.live_rows() for p in pieces]
    source = np.repeat(np.arange(len(pieces)), [len(r) for r in live])
    row = np.concatenate(live)
    number = {f.path: i for i, f in enumerate(snapshot.files)}
    columns: dict[str, NDArray[Any]] = {}
    for name in COLUMNS:
        if name not in ("file", "row"):
            columns[name] = np.concatenate([p.segment.column(name)[r] for p, r in zip(pieces, live, strict=True)])
    placed = [_numbered_places(p, r, number) for p, r in zip(pieces, live, strict=True)]
    columns["file"] = np.concatenate([f for f, _ in placed])
    columns["row"] = np.concatenate([r for _, r in placed])
    covered, columns["file"] = np.unique(columns["file"], return_inverse=True)
    order = np.argsort(columns["h3"], kind="stable")
    draft.write_rows({c: v[order] for c, v in columns.items()})
    draft.write_vectors(_gather(pieces, source[order], row[order]))
    return len(order), [snapshot.files[i].path for i in covered.tolist()]


def _numbered_places(
    piece: Piece, rows: NDArray[np.int64], number: dict[str, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    own = np.array([number.get(f, -1) for f in piece.segment.manifest.files], np.int64)
    file, place = own[piece.segment.column("file")[rows]], piece.segment.column("row")[rows].astype(np.int64)
    if piece.moved is not None:
        moved = piece.moved[0][rows] >= 0
        file = np.where(moved, piece.moved[0][rows], file)
        place = np.where(moved, piece.moved[1][rows], place)
    return file, place


def _gather(
    pieces: Sequence[Piece], source: NDArray[np.int64], row: NDArray[np.int64]
) -> Iterator[NDArray[np.float16]]:
    for start in range(0, len(row), CHUNK):
        from_, at = source[start : start + CHUNK], row[start : start + CHUNK]
        chunk = np.empty((len(at), pieces[0].segment.dimension), np.float16)
        for i, piece in enumerate(pieces):
            here = from_ == i
            if here.any():
                chunk[here] = piece.segment.take_vectors(at[here])
        yield chunk
