"""k nearest labelled neighbours of every chip, and the class that most of them have.

The labels are few and the chips many, so the labels are the database: each block of vectors is one matrix product with
them, of which FAISS keeps the k best of each row as it goes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedstore import schema
from embedstore.errors import QueryError
from embedstore.extras import faiss
from query import stream
from query.output import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from query.labels import Labels
    from query.searcher import Searcher
    from query.selection import Selection
    from query.stream import Block

NEAREST = 1e-6
"""Least distance that counts: a labelled chip's own label outweighs all others, and no weight is infinite."""

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("class", pa.dictionary(pa.int32(), pa.string())),
        ("confidence", pa.float32()),
        ("distance", pa.float32()),
        ("h3", pa.int64()),
        ("datetime", schema.TIME),
        ("geometry", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class Classified:
    """What became of all chips.

    Parameters
    ----------
    chips
        How many were classified.
    classes
        How many of each class.
    neighbours
        Labels asked for each.
    labels
        Labels there were.
    """

    chips: int
    classes: dict[str, int]
    neighbours: int
    labels: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def tally(
    codes: NDArray[np.int64],
    distances: NDArray[np.floating[Any]],
    classes: int,
    weights: NDArray[np.floating[Any]] | None = None,
) -> NDArray[np.float32]:
    """Return the votes for each class, shape (n, classes), each neighbour's being its weight over its distance.

    Parameters
    ----------
    codes, distances
        Classes of the neighbours and their distances, shape (n, k).
    classes
        How many classes there are.
    weights
        Of the neighbours, shape (n, k); one each if None.
    """
    nearness = 1 / np.maximum(distances, NEAREST, dtype=np.float32)
    if weights is not None:
        nearness *= weights
    at = np.arange(len(codes))
    votes = np.zeros((len(codes), classes), np.float32)
    for neighbour in range(codes.shape[1]):
        votes[at, codes[:, neighbour]] += nearness[:, neighbour]
    return votes


def vote(
    codes: NDArray[np.int64], distances: NDArray[np.float32], classes: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the class of the most votes, and its share of them.

    Parameters
    ----------
    codes, distances, classes
        See :func:`tally`.

    Returns
    -------
    Class and confidence (0 to 1), each of shape (n,). Of equal classes the first wins.
    """
    votes = tally(codes, distances, classes)
    won = votes.argmax(axis=1)
    return won, votes[np.arange(len(codes)), won] / votes.sum(axis=1)


def write(searcher: Searcher, selections: list[Selection], labels: Labels, k: int, path: Path) -> Classified:
    """Classify the chips of a filter and write them as GeoParquet, which appears whole or not at all.

    Columns: id, class, confidence (share of the vote), distance (cosine, to the nearest label), h3, datetime, geometry
    (centre of the chip).

    Raises
    ------
    QueryError
        If there are fewer labels than neighbours are asked for.
    StorageError
        If the file cannot be written.
    DamageError
        If a segment is damaged.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= len(labels):
        raise QueryError(f"k = {k!r} neighbours make no sense with {len(labels)} labels; ask for 1 to {len(labels)}.")
    counts = np.zeros(len(labels.names), np.int64)
    described = COLUMNS.with_metadata({"geo": json.dumps(geo(searcher.snapshot.pieces, selections))})

    def fill(draft: Path) -> None:
        with pq.ParquetWriter(draft, described, compression="zstd", use_dictionary=["class"]) as writer:
            for block, codes, distances in _neighbours(searcher, selections, labels, k):
                won, confidence = vote(codes, distances, len(labels.names))
                np.add(counts, np.bincount(won, minlength=len(counts)), out=counts)
                writer.write_table(
                    _table(block, won, confidence, distances[:, 0], labels.names).replace_schema_metadata(
                        described.metadata
                    )
                )

    replace_file(path, fill)
    of = dict(zip(labels.names, counts.tolist(), strict=True))
    return Classified(int(counts.sum()), of, int(k), len(labels))


def _neighbours(
    searcher: Searcher, selections: list[Selection], labels: Labels, k: int
) -> Iterator[tuple[Block, NDArray[np.int64], NDArray[np.float32]]]:
    """Yield blocks with the classes and cosine distances of each row's k nearest labels, nearest first."""
    index = faiss().IndexFlatIP(labels.vectors.shape[1])
    index.add(labels.vectors)
    for block in stream.blocks(searcher.snapshot.pieces, selections):
        scores, at = index.search(block.vectors, k)
        yield block, labels.codes[at], np.maximum(1 - scores, 0)


def _table(
    block: Block,
    won: NDArray[np.int64],
    confidence: NDArray[np.float32],
    distance: NDArray[np.float32],
    names: tuple[str, ...],
) -> pa.Table:
    segment, rows = block.piece.segment, block.rows
    return pa.table(
        {
            "id": hex_ids(segment.take("id", rows)),
            "class": pa.DictionaryArray.from_arrays(pa.array(won, pa.int32()), pa.array(names, pa.string())),
            "confidence": pa.array(confidence, pa.float32()),
            "distance": pa.array(distance, pa.float32()),
            "h3": pa.array(segment.take("h3", rows)),
            "datetime": pa.array(segment.take("datetime", rows), schema.TIME),
            "geometry": points(segment.take("lon", rows), segment.take("lat", rows)),
        },
        schema=COLUMNS,
    )


def hex_ids(ids: NDArray[Any]) -> pa.StringArray:
    """Return 16-byte ids as 32 hexadecimal digits each."""
    digits = np.array([f"{byte:02x}".encode() for byte in range(256)], "S2")
    text = digits[np.ascontiguousarray(ids).view(np.uint8)]
    return pa.StringArray.from_buffers(len(ids), _offsets(len(ids), 32), pa.py_buffer(text))


def points(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> pa.BinaryArray:
    """Return positions as WKB points."""
    wkb = np.zeros(len(lon), np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")]))
    wkb["order"], wkb["type"], wkb["x"], wkb["y"] = 1, 1, lon, lat
    return pa.BinaryArray.from_buffers(pa.binary(), len(lon), [None, _offsets(len(lon), 21), pa.py_buffer(wkb)])


def _offsets(count: int, width: int) -> pa.Buffer:
    return pa.py_buffer(np.arange(count + 1, dtype=np.int32) * np.int32(width))


def geo(pieces: Sequence[Piece], selections: Sequence[Selection]) -> dict[str, Any]:
    """Return the ``geo`` footer of a file of the centres of a filter's chips."""
    bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
    for piece, selection in zip(pieces, selections, strict=True):
        if selection.count:
            lon, lat = (
                piece.segment.column(name) if selection.rows is None else piece.segment.take(name, selection.rows)
                for name in ("lon", "lat")
            )
            bounds[:2] = np.minimum(bounds[:2], [lon.min(), lat.min()])
            bounds[2:] = np.maximum(bounds[2:], [lon.max(), lat.max()])
    footer = schema.geo_key((0.0, 0.0, 0.0, 0.0), ["Point"])
    column = footer["columns"]["geometry"]
    del column["covering"], column["bbox"]  # points are their own boxes
    return footer | {
        "columns": {"geometry": {**column, "bbox": bounds.tolist()} if np.isfinite(bounds).all() else column}
    }
