"""Search over the pieces of one snapshot: filter, plan, probe, score exactly, merge."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from query import exact, plan
from query.predicate import Predicate
from query.probe import Coarse, Lists

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.catalog import Catalog, Effort
    from embedstore.snapshot import Piece, Snapshot
    from query.filters import Filter

REMEMBERED = 16
"""Compiled filters kept, so that a repeated filter costs nothing."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rows found in one piece, best first, and what it took."""

    piece: Piece
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    plan: str
    scanned: int
    lists: int


@dataclass(eq=False, slots=True)
class Selection:
    """A filter compiled for one piece.

    Parameters
    ----------
    rows
        Rows that may answer, ascending; None if all.
    count
        How many.
    """

    rows: NDArray[np.int64] | None
    count: int
    bits: NDArray[np.uint8] | None = None
    in_list: NDArray[np.int64] | None = None


class Searcher:
    """Searches one snapshot.

    Parameters
    ----------
    snapshot
        With no row uncovered.
    catalog
        Where its codebook is.

    Raises
    ------
    DamageError
        If the codebook is damaged.
    """

    def __init__(self, snapshot: Snapshot, catalog: Catalog) -> None:
        self.snapshot = snapshot
        self._predicate = Predicate()
        self._selections: OrderedDict[tuple[object, ...], list[Selection]] = OrderedDict()
        self._lock = threading.Lock()
        codebook = snapshot.index.codebook if snapshot.index else None
        self._codebook = codebook.name if codebook else ""
        self._coarse = Coarse(catalog.codebook_file(codebook)) if codebook else None
        self._lists: dict[str, Lists] = {}

    def select(self, filter_: Filter) -> list[Selection]:
        """Compile a filter for every piece, or recall it."""
        key = filter_.key
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        compiled = []
        for piece in self.snapshot.pieces:
            rows = filter_.rows(piece, self._predicate)
            compiled.append(Selection(rows, piece.segment.rows if rows is None else len(rows)))
        with self._lock:
            self._selections[key] = compiled
            while len(self._selections) > REMEMBERED:
                self._selections.popitem(last=False)
        return compiled

    def search(
        self,
        query: NDArray[np.float32],
        selections: list[Selection],
        k: int,
        effort: Effort | None,
        share: float = 1.0,
    ) -> list[Found]:
        """Return the best rows of every piece.

        Parameters
        ----------
        query
            Unit vector, shape (1, d).
        selections
            The filter, compiled.
        k
            How many rows each piece is asked for: never fewer come than that or its candidates.
        effort
            Probes and candidates; None for an exact scan.
        share
            Under a filter, share of the candidates whose codes are scanned at least.
        """
        rotated = self._coarse.rotate(query) if self._coarse and effort else None
        found = []
        for piece, selection in zip(self.snapshot.pieces, selections, strict=True):
            if selection.count == 0:
                continue
            listed = piece.segment.manifest.codebook == self._codebook != ""
            enough = plan.EXACT_ROWS if selection.rows is None else plan.exact_rows(share)
            if effort is None or rotated is None or not listed or selection.count <= enough:
                rows, scores = exact.best(piece.segment, query, selection.rows, k)
                found.append(Found(piece, rows, scores, "exact", selection.count, 0))
            else:
                found.append(self._probe(piece, selection, query, rotated, k, effort, share))
        return found

    def _probe(
        self,
        piece: Piece,
        selection: Selection,
        query: NDArray[np.float32],
        rotated: NDArray[np.float32],
        k: int,
        effort: Effort,
        share: float,
    ) -> Found:
        """Search a piece's lists; widen until enough rows came, which a scan of all of them ends."""
        assert self._coarse is not None
        lists = self._open_lists(piece)
        depth = min(max(effort.candidates, k), selection.count)
        if selection.rows is None:
            near, scores = self._coarse.nearest(rotated, effort.probes)
            scanned = int(lists.sizes[near[0]].sum())
        else:
            self._count(piece, selection)
            assert selection.in_list is not None
            all_scores = (self._coarse.centroids @ rotated[0]).astype(np.float32)
            enough = max(depth, int(share * selection.count))
            chosen = plan.lists_with_candidates(all_scores, selection.in_list, effort.probes, enough)
            scanned = int(selection.in_list[chosen].sum())
            near, scores = chosen[None], np.ascontiguousarray(all_scores[chosen][None])
        codes = lists.search(rotated, np.ascontiguousarray(near), scores, depth, selection.bits)[0]
        codes = codes[codes >= 0]
        if len(codes) < min(k, selection.count):
            rows, exact_scores = exact.best(piece.segment, query, selection.rows, k)
            return Found(piece, rows, exact_scores, "exact", selection.count, 0)
        at, exact_scores = exact.top(piece.segment.take_vectors(codes), query, min(k, len(codes)))
        name = "ivf" if selection.rows is None else "filtered ivf"
        return Found(piece, codes[at], exact_scores, name, scanned, near.shape[1])

    def _count(self, piece: Piece, selection: Selection) -> None:
        """Count a selection's candidates in each list, once."""
        rows = selection.rows
        if selection.bits is None and rows is not None:
            assert self._coarse is not None
            selection.in_list = np.bincount(piece.segment.list_of_row(rows), minlength=self._coarse.lists)
            selection.bits = plan.bitmap(rows, piece.segment.rows)

    def _open_lists(self, piece: Piece) -> Lists:
        name = piece.segment.name
        if name not in self._lists:
            assert self._coarse is not None
            self._lists[name] = Lists(piece.segment, self._coarse)
        return self._lists[name]
