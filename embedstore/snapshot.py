"""A snapshot: one version of the table seen through one index.

Which rows the segments cover, which they lack and which are gone are set differences of file lists. What no healthy
segment covers is read from the table itself, so a missing or damaged index costs speed and never an answer.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from embedstore import deadline, schema, segment_rows
from embedstore.coverage import Coverage
from embedstore.errors import DamageError
from embedstore.piece import Piece
from embedstore.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from embedstore.catalog import Catalog, Index
    from embedstore.table import DataFile, Table


class DegradedIndexWarning(UserWarning):
    """Part of the index is damaged or missing; answers stay right and come slower."""


class Snapshot:
    """One version of the table, its files found in segments.

    Parameters
    ----------
    table
        The version.
    catalog
        The store's index folder.
    without
        Names of segments not to use: those in which damage was found.

    Notes
    -----
    ``pieces`` holds every row of the version exactly once.
    """

    def __init__(self, table: Table, catalog: Catalog, without: frozenset[str] = frozenset()) -> None:
        self.home = table.home
        self.root = table.root
        self.version = table.version
        self.encoder = table.encoder
        self.files: list[DataFile] = table.files()
        self.rows = sum(f.rows for f in self.files)
        self.without = without
        self.degraded: list[str] = []
        self.index = self._index(catalog)
        coverage = Coverage(self.home, catalog, self.encoder, self.files, without)
        self.pieces = coverage.resolve(self.index.segments if self.index else ())
        self.uncovered = coverage.lost
        self.used_batches = coverage.used_batches
        self.degraded += coverage.degraded

    def _index(self, catalog: Catalog) -> Index | None:
        """Return the live index, None if it is damaged or another encoder's."""
        try:
            index = catalog.current()
        except DamageError as error:
            self.degraded.append(str(error))
            return None
        if index and index.encoder != self.encoder.fingerprint:
            self.degraded.append(f"the index {index.name} was made for another encoder. Run `embedstore index`.")
            return None
        return index

    def rescue(self) -> None:
        """Make a temporary segment of the rows that no healthy segment covers, and warn.

        Raises
        ------
        DamageError
            If the table's own files are damaged.
        """
        if not self.uncovered:
            return
        count = sum(f.rows for f in self.uncovered)
        reasons = list(dict.fromkeys(self.degraded)) or ["their index is missing."]
        others = f" ({len(reasons) - 1} more of its kind.)" if len(reasons) > 1 else ""
        warnings.warn(
            f"{count} rows of {self.home} are read from the table because {reasons[0]}{others} Answers stay right; "
            "run `embedstore index` to be fast again.",
            DegradedIndexWarning,
            stacklevel=3,
        )
        scratch = tempfile.mkdtemp(prefix="embedstore-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        paths = [f.path for f in self.uncovered]
        folder = segment_rows.from_files(self.home, paths, self.encoder, Path(scratch), uuid.uuid4().hex)
        self.pieces.append(Piece(Segment(folder)))
        self.uncovered = []

    def place(self, piece: Piece, rows: NDArray[np.int64]) -> tuple[list[str], NDArray[np.int64]]:
        """Return the table file and row of segment rows."""
        names = piece.segment.manifest.files
        files = [names[f] for f in piece.segment.take("file", rows).tolist()]
        places = piece.segment.take("row", rows).astype(np.int64)
        if piece.moved is not None:
            for i in np.flatnonzero(piece.moved[0][rows] >= 0).tolist():
                files[i] = self.files[int(piece.moved[0][rows[i]])].path
                places[i] = piece.moved[1][rows[i]]
        return files, places

    def find(self, ids: NDArray[Any]) -> list[tuple[Piece, NDArray[np.int64], NDArray[np.int64]]]:
        """Find ids: for each piece that holds any, their positions in `ids` and the segment's rows.

        Parameters
        ----------
        ids
            16-byte ids, dtype V16.
        """
        found = []
        for piece in self.pieces:
            rows = piece.segment.find(ids)
            hit = rows >= 0
            if piece.alive is not None:
                hit &= piece.alive[rows]
            if hit.any():
                found.append((piece, np.flatnonzero(hit), rows[hit]))
        return found

    def fetch(
        self, files: Sequence[str], rows: NDArray[np.int64], columns: Iterable[str], ids: Sequence[str]
    ) -> pa.Table:
        """Read columns of scattered rows of the table, in the order given.

        Parameters
        ----------
        files, rows
            Where the rows stand; see :meth:`place`.
        columns
            Of :data:`embedstore.schema.FILE`.
        ids
            Of the rows, which those in the files must have: of a large file only its pages are checked, and not what
            says where they are.

        Raises
        ------
        DamageError
            If a file cannot be read, or holds other rows.
        """
        names = list(columns)
        pieces, order = [], []
        paths = np.array(files, object)
        for path in dict.fromkeys(files):
            deadline.check()
            at = np.flatnonzero(paths == path)
            found = _read_rows(self.home.readable(self.root / path), rows[at], list(dict.fromkeys(["id", *names])))
            if found["id"].to_pylist() != [ids[i] for i in at.tolist()]:
                raise DamageError(
                    f"the data file {self.home}/{path} holds other rows than the index says. Run `embedstore verify`."
                )
            pieces.append(found.select(names))
            order.append(at)
        if not pieces:
            return pa.schema([schema.FILE.field(name) for name in names]).empty_table()
        return pa.concat_tables(pieces).take(pa.array(np.argsort(np.concatenate(order))))


def _read_rows(path: Path | BinaryIO, rows: NDArray[np.int64], columns: list[str]) -> pa.Table:
    """Read rows of one file, opening only the row groups that hold them; other writers' groups have other sizes."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - pyarrow.parquet is slow to import and only needed here

    try:
        remote = not isinstance(path, Path)  # then what lies close is read at once
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=remote) as file:
            sizes = np.array([file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)], np.int64)
            ends = np.cumsum(sizes)
            group = np.searchsorted(ends, rows, "right")
            wanted, at = np.unique(group, return_inverse=True)
            table = file.read_row_groups(wanted.tolist(), columns=columns).select(columns)
    except (OSError, KeyError, IndexError, UnicodeDecodeError, pa.ArrowException) as error:
        raise DamageError(f"the data file {path} cannot be read ({error}). Run `embedstore verify`.") from error
    starts = np.cumsum(sizes[wanted]) - sizes[wanted]
    return table.take(pa.array(starts[at] + rows - (ends - sizes)[group]))


def id_bytes(ids: Iterable[str]) -> NDArray[Any]:
    """Return hexadecimal ids as 16-byte values; an id that is no 32 hex digits becomes one that nothing has."""
    out = []
    for text in ids:
        try:
            raw = bytes.fromhex(text)
        except ValueError:
            raw = b""
        out.append(raw if len(raw) == 16 else b"\xff" * 16)
    return np.frombuffer(b"".join(out), "V16")
