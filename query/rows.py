"""Chips of a snapshot by where they stand, whatever pieces they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

from embedstore.segment import DTYPES
from embedstore.snapshot import id_bytes
from embedstore.vectors import to_unit
from query.classify import hex_ids
from query.example import EARTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from embedstore.candidates import Candidates
    from embedstore.snapshot import Snapshot


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """Chips of a snapshot.

    Parameters
    ----------
    snapshot
        Whose.
    piece
        Number of each one's piece, int64, shape (n,).
    row
        Its row there, int64, shape (n,).
    """

    snapshot: Snapshot
    piece: NDArray[np.int64]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(cls, snapshot: Snapshot, candidates: Sequence[Candidates | None]) -> Self:
        """Return what passed a filter in each piece; None means all."""
        rows = [
            np.arange(piece.segment.rows) if found is None else found.rows
            for piece, found in zip(snapshot.pieces, candidates, strict=True)
        ]
        number = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        return cls(snapshot, number, np.concatenate([np.empty(0, np.int64), *rows]))

    @classmethod
    def find(cls, snapshot: Snapshot, ids: Sequence[str]) -> Self:
        """Return the chips of ids; the piece is -1 where there is none."""
        piece, row = np.full(len(ids), -1), np.zeros(len(ids), np.int64)
        number = {id(p): i for i, p in enumerate(snapshot.pieces)}
        for one, at, rows in snapshot.find(id_bytes(ids)):
            piece[at], row[at] = number[id(one)], rows
        return cls(snapshot, piece, row)

    def take(self, at: NDArray[Any] | slice) -> Rows:
        """Return some of them, by position or mark."""
        return Rows(self.snapshot, self.piece[at], self.row[at])

    def column(self, name: str) -> NDArray[Any]:
        """Return a scalar column."""
        values: NDArray[Any] = np.empty(len(self), DTYPES[name])
        for number, here in self._pieces():
            values[here] = self.snapshot.pieces[number].segment.take(name, self.row[here])
        return values

    def ids(self) -> pa.StringArray:
        """Return ids as 32 hexadecimal digits each."""
        return hex_ids(self.column("id"))

    def vectors(self) -> NDArray[np.float32]:
        """Return unit vectors, shape (n, d)."""
        vectors = np.empty((len(self), self.snapshot.encoder.dimension), np.float32)
        for number, here in self._pieces():
            vectors[here] = self.snapshot.pieces[number].segment.take_vectors(self.row[here])
        return to_unit(vectors)

    def footprints(self) -> NDArray[Any]:
        """Return footprints from the table, shapely geometries in degrees."""
        shapes, ids = np.empty(len(self), object), np.array(self.ids().to_pylist(), object)
        for number, here in self._pieces():
            files, places = self.snapshot.place(self.snapshot.pieces[number], self.row[here])
            fetched = self.snapshot.fetch(files, places, ["geometry"], ids[here].tolist())["geometry"]
            shapes[here] = shapely.from_wkb(np.array(fetched.to_pylist(), object))
        return shapes

    def on_sphere(self) -> NDArray[np.float64]:
        """Return centres as points in space; see :func:`on_sphere`."""
        return on_sphere(self.column("lon"), self.column("lat"))

    def _pieces(self) -> Iterator[tuple[int, NDArray[np.bool_]]]:
        for number in np.unique(self.piece).tolist():
            yield number, self.piece == number


def on_sphere(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions in degrees as points in space, in metres, shape (n, 3); short chords are distances."""
    x, y = np.radians(lon), np.radians(lat)
    return EARTH * np.stack([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)], axis=1)
