"""Search over the pieces of one snapshot: filter, plan, probe, score exactly, merge."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedstore import deadline, exact
from embedstore.lists import Coarse, Lists
from query import sieve
from query.nearby import Lookup
from query.predicate import Predicate
from query.selection import Selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstore.catalog import Catalog
    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from query.filters import Filter
    from query.plan import Goal

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


@dataclass(frozen=True, eq=False, slots=True)
class Probe:
    """What the lists of one piece gave for some queries.

    Parameters
    ----------
    rows
        Those of the best codes, best first, -1 where there are fewer; shape (n, depth).
    lists
        The lists probed, -1 where there are fewer; shape (n, p).
    sizes
        How many may answer in each list.
    plan
        ``ivf`` or ``filtered ivf``.
    """

    rows: NDArray[np.int64]
    lists: NDArray[np.int64]
    sizes: NDArray[np.int64]
    plan: str

    def effort(self, number: int) -> tuple[int, int]:
        """Return how many candidates were scanned for a query, in how many lists."""
        lists = self.lists[number]
        lists = lists if lists[-1] >= 0 else lists[lists >= 0]
        return int(self.sizes[lists].sum()), len(lists)


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
        self._selections: OrderedDict[tuple[object, ...] | None, list[Selection]] = OrderedDict()
        self._lock = threading.Lock()
        codebook = snapshot.index.codebook if snapshot.index else None
        self._calibration = snapshot.index.calibration if snapshot.index else None
        self._codebook = codebook.name if codebook else None
        self._coarse = Coarse(catalog.codebook_file(codebook)) if codebook else None
        self._lists: dict[str, Lists] = {}

    def select(self, filter_: Filter) -> list[Selection]:
        """Compile a filter for every piece, or recall it."""
        key = filter_.key if filter_.selective else None
        with self._lock:
            if key in self._selections:
                self._selections.move_to_end(key)
                return self._selections[key]
        compiled = []
        for piece in self.snapshot.pieces:
            deadline.check()
            found = sieve.sift(filter_, piece, self._predicate)
            count = piece.segment.rows if found is None else found.count
            compiled.append(Selection(found, count, filter_.selective))
        with self._lock:
            self._selections[key] = compiled
            while len(self._selections) > REMEMBERED:
                self._selections.popitem(last=False)
        return compiled

    def search(
        self, queries: NDArray[np.float32], selections: list[Selection], k: int, goal: Goal
    ) -> list[list[Found]]:
        """Return for each query the best rows of every piece.

        Parameters
        ----------
        queries
            Unit vectors, shape (n, d).
        selections
            The filter, compiled.
        k
            How many rows each piece is asked for: never fewer come than that or its candidates.
        goal
            The recall to reach.
        """
        rotated = self._coarse.rotate(queries) if self._coarse and goal.recall is not None else None
        answers: list[list[Found]] = [[] for _ in queries]
        for piece, selection in zip(self.snapshot.pieces, selections, strict=True):
            deadline.check()
            if selection.count:
                probe = None if rotated is None else self._probe(piece, selection, rotated, k, goal)
                found = _reranked(piece, selection, queries, k, probe) if probe else [None] * len(queries)
                for i, (answer, one) in enumerate(zip(answers, found, strict=True)):
                    answer.append(one or _scan(piece, selection, queries[i : i + 1], k))
        return answers

    def _probe(
        self, piece: Piece, selection: Selection, rotated: NDArray[np.float32], k: int, goal: Goal
    ) -> Probe | None:
        """Search a piece's lists; None where a scan is cheaper, or alone reaches the recall."""
        if piece.segment.manifest.codebook != self._codebook:
            return None
        assert self._coarse is not None
        assert self._calibration is not None
        lists = self._open_lists(piece)
        near = Lookup(self._coarse, self._calibration, lists, selection, rotated, k, goal).nearby()
        if near is None:
            return None
        depth = min(max(near.depth, k), selection.count)
        allowed = None if selection.candidates is None else selection.candidates.selector
        rows = lists.search(rotated, near.lists, near.scores, depth, allowed)
        return Probe(rows, near.lists, selection.in_list(lists), "filtered ivf" if selection.filtered else "ivf")

    def _open_lists(self, piece: Piece) -> Lists:
        name = piece.segment.name
        if name not in self._lists:
            assert self._coarse is not None
            self._lists[name] = Lists(piece.segment, self._coarse)
        return self._lists[name]


def _reranked(
    piece: Piece, selection: Selection, queries: NDArray[np.float32], k: int, probe: Probe
) -> list[Found | None]:
    """Score exactly what a probe found for each query; None where it found too few."""
    wanted = min(k, selection.count)
    if len(queries) == 1:
        rows = probe.rows[0]
        rows = rows if rows[-1] >= 0 else rows[rows >= 0]
        if len(rows) < wanted:
            return [None]
        best, scores = exact.rerank(piece.segment, queries, rows, wanted)
        return [Found(piece, best, scores, probe.plan, *probe.effort(0))]
    best, scores = exact.rerank_many(piece.segment, queries, probe.rows, wanted)
    return [
        Found(piece, best[i], scores[i], probe.plan, *probe.effort(i)) if best[i, -1] >= 0 else None
        for i in range(len(queries))
    ]


def _scan(piece: Piece, selection: Selection, query: NDArray[np.float32], k: int) -> Found:
    """Score every candidate of a piece."""
    rows, scores = exact.best(piece.segment, query, selection.rows, k)
    return Found(piece, rows, scores, "exact", selection.count, 0)
