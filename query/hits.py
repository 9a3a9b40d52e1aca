"""What a search answers: hits, best first, and how they were found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore.segment import COLUMNS, DTYPES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot
    from query.searcher import Found

FETCHED = ("geometry", "bbox", "inputs", "thumbnail")
SCALARS = ("lon", "lat", "h3", "datetime", "datetime_end", "modalities", "valid_fraction")


@dataclass(frozen=True, slots=True)
class Report:
    """How an answer was made.

    Parameters
    ----------
    plan
        ``exact``, ``ivf``, ``filtered ivf``, or several joined by "+" where segments differ; ``empty`` if nothing
        passed the filter.
    exact
        Whether every candidate was scored exactly.
    candidates
        Rows that passed the filter.
    scanned
        Rows scored, by code or exactly.
    lists_probed
        Inverted lists looked into.
    warnings
        What the caller should know, e.g. that k exceeds the candidates.
    """

    plan: str
    exact: bool
    candidates: int
    scanned: int
    lists_probed: int
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "warnings": list(self.warnings)}


@dataclass(eq=False)
class Hits:
    """Hits, best first, as columns.

    Attributes
    ----------
    scores
        Cosine similarity to the query, float32, shape (n,).
    report
        How the answer was made.
    """

    scores: NDArray[np.float32]
    report: Report
    _snapshot: Snapshot
    _found: list[Found]
    _piece: NDArray[np.int64]
    _rows: NDArray[np.int64]

    def __post_init__(self) -> None:
        # damage must show while the engine can still go round it
        for i, found in enumerate(self._found):
            rows = self._rows if len(self._found) == 1 else self._rows[self._piece == i]
            found.piece.segment.check_columns(rows)

    def __len__(self) -> int:
        return len(self.scores)

    def column(self, name: str) -> NDArray[Any]:
        """Return one of the scalar columns: id, lon, lat, h3, datetime, datetime_end, modalities, valid_fraction."""
        return gather(self._found, self._piece, self._rows, name)

    @property
    def ids(self) -> list[str]:
        """Ids as 32 hexadecimal digits."""
        raw = self.column("id").tobytes().hex()
        return [raw[i : i + 32] for i in range(0, len(raw), 32)]

    @property
    def lon(self) -> NDArray[np.float64]:
        """Longitude of the chips' centres in degrees."""
        return self.column("lon")

    @property
    def lat(self) -> NDArray[np.float64]:
        """Latitude of the chips' centres in degrees."""
        return self.column("lat")

    @property
    def datetime(self) -> NDArray[np.datetime64]:
        """Acquisition time, UTC, NaT where unknown."""
        return self.column("datetime")

    def to_arrow(self, *, geometry: bool = False) -> pa.Table:
        """Return the hits as an Arrow table.

        Parameters
        ----------
        geometry
            Whether to read footprint, bbox, inputs and thumbnail from the table too.
        """
        data: dict[str, pa.Array] = {"id": pa.array(self.ids, pa.string()), "score": pa.array(self.scores)}
        for name in SCALARS:
            data[name] = pa.array(self.column(name), COLUMNS[name])
        table = pa.table(data)
        if geometry:
            files, rows = self.places()
            fetched = self._snapshot.fetch(files, rows, FETCHED, self.ids)
            for name in fetched.column_names:
                table = table.append_column(fetched.schema.field(name), fetched[name])
        return table

    def places(self) -> tuple[list[str], NDArray[np.int64]]:
        """Return the table file and row of every hit."""
        files, places = [""] * len(self), np.zeros(len(self), np.int64)
        for i, found in enumerate(self._found):
            here = np.flatnonzero(self._piece == i)
            names, rows = self._snapshot.place(found.piece, self._rows[here])
            places[here] = rows
            for at, name in zip(here.tolist(), names, strict=True):
                files[at] = name
        return files, places


def gather(found: list[Found], piece: NDArray[np.int64], rows: NDArray[np.int64], name: str) -> NDArray[Any]:
    """Return a column of rows that stand in several pieces; `piece` counts in `found`."""
    if len(found) == 1:
        return found[0].piece.segment.take(name, rows)
    out: NDArray[Any] = np.empty(len(rows), DTYPES[name])
    for i, f in enumerate(found):
        here = piece == i
        out[here] = f.piece.segment.take(name, rows[here])
    return out
