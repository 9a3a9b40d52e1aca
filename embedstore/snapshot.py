"""A snapshot: one version of the table seen through one index.

Which rows the segments cover, which they lack and which are gone are set differences of file lists; files that were
rewritten are followed through their row maps. What no healthy segment covers is read from the table itself, so a
missing or damaged index costs speed and never an answer.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
import weakref
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from embedstore import rowmap, schema, segment_rows
from embedstore.errors import DamageError
from embedstore.geoparquet import name_batch
from embedstore.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from embedstore.catalog import Catalog, Index
    from embedstore.table import DataFile, Table


MAPS = 8
"""Row maps kept in memory while a snapshot is resolved: files of one commit share one."""


class DegradedIndexWarning(UserWarning):
    """Part of the index is damaged or missing; answers stay right and come slower."""


@dataclass(eq=False)
class Piece:
    """A segment as one version of the table sees it.

    Parameters
    ----------
    segment
        The segment.
    alive
        Which of its rows the version holds; None if all.
    moved
        For rows of rewritten files: (file number in the snapshot, row) of each row, -1 where the row was not moved.
    """

    segment: Segment
    alive: NDArray[np.bool_] | None = None
    moved: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    @property
    def count(self) -> int:
        """Rows of the segment that the version holds."""
        return self.segment.rows if self.alive is None else int(np.count_nonzero(self.alive))

    def live_rows(self) -> NDArray[np.int64]:
        """Return the rows that the version holds, in H3 order."""
        return np.arange(self.segment.rows) if self.alive is None else np.flatnonzero(self.alive)


@dataclass(eq=False)
class _Building:
    """A piece while the files are being gone through."""

    segment: Segment
    files: dict[str, int]
    direct: set[int] = field(default_factory=set)
    moved_rows: list[NDArray[np.int64]] = field(default_factory=list)
    moved_to: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)

    def rows_of(self, path: str) -> NDArray[np.int64]:
        """Return the segment's row for each row of a table file that it covers."""
        at = np.flatnonzero(self.segment.column("file") == self.files[path])
        places = self.segment.column("row")[at]
        rows = np.full(int(places.max()) + 1, -1, np.int64)
        rows[places] = at
        return rows


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
        self.index: Index | None = None
        self.degraded: list[str] = []
        self.used_batches: set[str] = set()
        self._catalog = catalog
        self._building: dict[str, _Building] = {}
        self._owner: dict[str, str] = {}
        self._number = {f.path: i for i, f in enumerate(self.files)}
        self._located: dict[str, list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] | None] = {}
        self._maps = catalog.row_maps()
        here = self.home.here
        self._read_map = lru_cache(MAPS)(lambda path: rowmap.read(here(path)))
        self._resolve()
        self._read_map.cache_clear()

    def _resolve(self) -> None:
        try:
            self.index = self._catalog.current()
        except DamageError as error:
            self.degraded.append(str(error))
        if self.index and self.index.encoder != self.encoder.fingerprint:
            self.degraded.append(f"the index {self.index.name} was made for another encoder. Run `embedstore index`.")
            self.index = None
        for name in self.index.segments if self.index else ():
            self._open(name)
        lost = [f for f in self.files if not self._place(f)]
        self.uncovered = lost
        self.pieces = [self._piece(b) for b in self._building.values() if b.direct or b.moved_rows]

    def _open(self, name: str) -> bool:
        """Open a segment and note the files that it covers; return whether it can be used."""
        if name in self._building:
            return True
        folder = self._catalog.segments / name
        if name in self.without or not self.home.whole(folder):
            if name not in self.without:
                self.degraded.append(f"the segment {folder} is missing. Run `embedstore index` to rebuild it.")
            return False
        try:
            segment = Segment(folder)
            if any(path not in self._number for path in segment.manifest.files):
                # where its rows stand will be read to tell which are left: damage there must show now
                segment.column("file")
                segment.column("row")
        except DamageError as error:
            self.degraded.append(str(error))
            return False
        if segment.manifest.encoder != self.encoder.fingerprint or segment.dimension != self.encoder.dimension:
            self.degraded.append(f"the segment {folder} was made by another encoder. Run `embedstore index`.")
            return False
        self._building[name] = _Building(segment, {f: i for i, f in enumerate(segment.manifest.files)})
        for path in segment.manifest.files:
            self._owner.setdefault(path, name)
        return True

    def _owned(self, path: str) -> bool:
        """Tell whether a segment covers a table file, opening the one that its commit wrote if need be."""
        if path in self._owner:
            return True
        batch = name_batch(path)
        if not batch or batch in self._maps:
            return False
        return self._open(batch) and path in self._owner

    def _place(self, file: DataFile) -> bool:
        """Find all rows of a file in segments; return whether they were found."""
        if self._owned(file.path):
            piece = self._building[self._owner[file.path]]
            piece.direct.add(piece.files[file.path])
            self.used_batches.add(piece.segment.name)
            return True
        found = self._locate(file.path)
        if found is None or sum(len(rows) for _, rows, _ in found) != file.rows:
            return False
        for name, rows, places in found:
            self._building[name].moved_rows.append(rows)
            self._building[name].moved_to.append((self._number[file.path], places))
        return True

    def _locate(self, path: str) -> list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] | None:
        """Follow row maps: (segment, its rows, the rows of the file that they are) for all rows, or None.

        The oldest files are located first, so that a file may have been rewritten any number of times.
        """
        waiting = [path]
        while waiting:
            file = waiting[-1]
            origin = None if file in self._located else self._origin(file)
            older = dict.fromkeys(origin.file.tolist()) if origin else ()
            unknown = [old for old in older if old not in self._located and not self._owned(old)]
            if unknown:
                waiting += unknown
                continue
            if file not in self._located:
                self._located[file] = self._follow(origin) if origin else None
            waiting.pop()
        return self._located[path]

    def _origin(self, path: str) -> rowmap.Origin | None:
        """Return where a file's rows came from, None if it was never rewritten or its map is damaged."""
        batch = name_batch(path)
        if batch not in self._maps:
            return None
        try:
            origin = self._read_map(self._maps[batch]).get(path)
        except DamageError as error:
            self.degraded.append(str(error))
            return None
        if origin:
            self.used_batches.add(batch)
        return origin

    def _follow(self, origin: rowmap.Origin) -> list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] | None:
        """Find a file's rows where the rows that they came from are: in segments, or in files located before."""
        found: list[tuple[str, NDArray[np.int64], NDArray[np.int64]]] = []
        for old in dict.fromkeys(origin.file.tolist()):
            here = np.flatnonzero(origin.file == old)
            wanted = origin.row[here]
            if self._owned(old):
                piece = self._building[self._owner[old]]
                self.used_batches.add(piece.segment.name)
                found.append((piece.segment.name, piece.rows_of(old)[wanted], here))
                continue
            earlier = self._located[old]
            if earlier is None:
                return None
            for name, rows, places in earlier:
                order = np.argsort(places)
                at = np.searchsorted(places, wanted, sorter=order)
                hit = (at < len(places)) & (places[order[np.minimum(at, len(places) - 1)]] == wanted)
                if hit.any():
                    found.append((name, rows[order[at[hit]]], here[hit]))
        return found if all((rows >= 0).all() for _, rows, _ in found) else None

    def _piece(self, building: _Building) -> Piece:
        segment = building.segment
        whole = len(building.direct) == len(building.files)
        if whole and not building.moved_rows:
            return Piece(segment)
        alive = (
            np.isin(segment.column("file"), list(building.direct)) if building.direct else np.zeros(segment.rows, bool)
        )
        moved = (np.full(segment.rows, -1, np.int32), np.full(segment.rows, -1, np.int32))
        for rows, (file, places) in zip(building.moved_rows, building.moved_to, strict=True):
            alive[rows] = True
            moved[0][rows] = file
            moved[1][rows] = places
        return Piece(segment, alive, moved if building.moved_rows else None)

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

    def fetch(self, files: Sequence[str], rows: NDArray[np.int64], columns: Iterable[str]) -> pa.Table:
        """Read columns of scattered rows of the table, in the order given."""
        names = list(columns)
        pieces, order = [], []
        paths = np.array(files, object)
        for path in dict.fromkeys(files):
            at = np.flatnonzero(paths == path)
            pieces.append(_read_rows(self.home.readable(self.root / path), rows[at], names))
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
            table = file.read_row_groups(wanted.tolist(), columns=columns)
    except (OSError, pa.ArrowException) as error:
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
