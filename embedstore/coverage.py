"""Coverage: which segments hold the rows of one version of the table, and where.

Which files a segment covers stands in its manifest; files that were rewritten are followed through their row maps to
the rows that they came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from embedstore import rowmap
from embedstore.errors import DamageError
from embedstore.geoparquet import name_batch
from embedstore.piece import Piece
from embedstore.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from embedstore.catalog import Catalog
    from embedstore.home import Home
    from embedstore.spec import EncoderSpec
    from embedstore.table import DataFile

    Found = list[tuple[str, NDArray[np.int64], NDArray[np.int64]]]
    """Segment, its rows, and the rows of a file that they are."""


MAPS = 8
"""Row maps kept in memory while files are gone through: those of one commit share one."""


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


class Coverage:
    """The segments that hold the rows of some files.

    Parameters
    ----------
    home, catalog
        Of the store.
    encoder
        Segments of any other are not used.
    files
        The table's, of one version.
    without
        Names of segments not to use: those in which damage was found.

    Attributes
    ----------
    lost
        Files whose rows are not all in segments that can be used.
    degraded
        What is damaged or missing, for people.
    used_batches
        Commits whose flat segment or row map is needed.
    """

    def __init__(
        self, home: Home, catalog: Catalog, encoder: EncoderSpec, files: Sequence[DataFile], without: frozenset[str]
    ) -> None:
        self.degraded: list[str] = []
        self.used_batches: set[str] = set()
        self.lost: list[DataFile] = []
        self._home = home
        self._catalog = catalog
        self._encoder = encoder
        self._files = files
        self._without = without
        self._building: dict[str, _Building] = {}
        self._owner: dict[str, str] = {}
        self._number = {f.path: i for i, f in enumerate(files)}
        self._located: dict[str, Found | None] = {}
        self._maps = catalog.row_maps()
        here = home.here
        self._read_map = lru_cache(MAPS)(lambda path: rowmap.read(here(path)))

    def resolve(self, segments: Iterable[str]) -> list[Piece]:
        """Return what the files hold of an index's segments and of those that their commits wrote."""
        for name in segments:
            self._open(name)
        self.lost = [f for f in self._files if not self._place(f)]
        self._read_map.cache_clear()
        return [self._piece(b) for b in self._building.values() if b.direct or b.moved_rows]

    def _open(self, name: str) -> bool:
        """Open a segment and note the files that it covers; return whether it can be used."""
        if name in self._building:
            return True
        folder = self._catalog.segments / name
        if name in self._without or not self._home.whole(folder):
            if name not in self._without:
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
        if segment.manifest.encoder != self._encoder.fingerprint or segment.dimension != self._encoder.dimension:
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

    def _locate(self, path: str) -> Found | None:
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

    def _follow(self, origin: rowmap.Origin) -> Found | None:
        """Find a file's rows where the rows that they came from are: in segments, or in files located before."""
        found: Found = []
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
