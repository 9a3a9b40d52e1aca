"""From a compiled filter and a query vector to hits: search, merge the pieces, thin out on the ground, add columns."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from embedstore.extras import faiss
from query import example
from query.hits import Hits, Report, gather
from query.plan import Goal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from query.searcher import Found, Searcher
    from query.selection import Selection

    Own = tuple[Piece, int]

SHARED = 128
"""Queries of a batch that are searched together."""


def answer(
    searcher: Searcher,
    query: NDArray[np.float32],
    selections: list[Selection],
    k: int,
    goal: Goal,
    metres: float,
    own: Own | None,
) -> Hits:
    """Return the k best chips, never fewer than pass the filter.

    Parameters
    ----------
    query
        Unit vector, shape (1, d).
    selections
        The filter, compiled for every piece.
    metres
        Least distance between two hits on the ground; 0 for any.
    own
        The stored chip that was asked about, if it was a single one.
    """
    candidates = sum(s.count for s in selections)
    wanted = k if not metres else 4 * k
    while True:
        (found,) = searcher.search(query, selections, min(wanted, max(candidates, 1)), goal)
        if own is not None:
            found = [
                _with_own(f, s, own, query) for f, s in zip(found, [s for s in selections if s.count], strict=True)
            ]
        hits = _merge(searcher.snapshot, found, candidates, k, wanted, metres, own)
        if len(hits) == min(k, candidates) or not metres or wanted >= candidates:
            return hits
        wanted *= 4
        if wanted >= candidates // 4:
            goal = Goal(None)  # so much is asked for that a scan is cheaper than probing for it


def answer_many(
    searcher: Searcher, queries: NDArray[np.float32], selections: list[Selection], k: int, goal: Goal
) -> list[Hits]:
    """Return the k best chips for each of some unit vectors, shape (n, d); the work is shared out over all cores."""
    candidates = sum(s.count for s in selections)
    cores = os.cpu_count() or 1
    size = max(1, min(SHARED, -(-len(queries) // cores)))

    def some(start: int) -> list[Hits]:
        found = searcher.search(queries[start : start + size], selections, min(k, max(candidates, 1)), goal)
        return [_merge(searcher.snapshot, of, candidates, k, k, 0.0, None) for of in found]

    with ThreadPoolExecutor(cores, initializer=faiss().omp_set_num_threads, initargs=(1,)) as pool:
        return [hits for part in pool.map(some, range(0, len(queries), size)) for hits in part]


def _merge(
    snapshot: Snapshot, found: list[Found], candidates: int, k: int, wanted: int, metres: float, own: Own | None
) -> Hits:
    """Join what the pieces gave, best first, and thin it out on the ground."""
    if len(found) == 1 and own is None and not metres:
        (one,) = found
        rows = one.rows[:k]
        return Hits(one.scores[:k], _report(found, candidates, k), snapshot, found, np.zeros(len(rows), np.int64), rows)
    if len(found) == 1:
        scores, rows = found[0].scores, found[0].rows
        piece = np.zeros(len(rows), np.int64)
        order = np.arange(len(rows))
    else:
        scores = np.concatenate([f.scores for f in found]) if found else np.empty(0, np.float32)
        piece = np.repeat(np.arange(len(found)), [len(f.rows) for f in found])
        rows = np.concatenate([f.rows for f in found]) if found else np.empty(0, np.int64)
        order = np.argsort(-scores, kind="stable")
    if own is not None and len(order) > 1:
        # near-duplicates may score the same to the last bit; the chip that was asked about goes before them
        mine = np.flatnonzero((rows[order] == own[1]) & (piece[order] == _position(found, own[0])))
        if len(mine) and scores[order[mine[0]]] >= scores[order[0]] - 1e-4:
            order = np.concatenate([order[mine], np.delete(order, mine)])
    order = order[:wanted]
    if metres:
        lon, lat = (gather(found, piece[order], rows[order], c) for c in ("lon", "lat"))
        order = order[example.spread(lon, lat, metres, k)]
    order = order[:k]
    report = _report(found, candidates, k)
    return Hits(scores[order], report, snapshot, found, piece[order], rows[order])


def _position(found: list[Found], piece: Piece) -> int:
    return next((i for i, f in enumerate(found) if f.piece is piece), -1)


def _with_own(found: Found, selection: Selection, own: Own, query: NDArray[np.float32]) -> Found:
    """Add the chip that was asked about where thousands of equal codes crowded it out."""
    piece, row = own
    if found.piece is not piece or (found.rows == row).any():
        return found
    if selection.candidates is not None and row not in selection.candidates:
        return found
    score = query @ piece.segment.take_vectors(np.array([row]))[0].astype(np.float32)
    scores = np.append(score, found.scores).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return replace(found, rows=np.append(row, found.rows)[order], scores=scores[order])


def _report(found: list[Found], candidates: int, k: int) -> Report:
    plans = list(dict.fromkeys(f.plan for f in found)) if len(found) != 1 else [found[0].plan]
    notes = []
    if candidates == 0:
        notes.append("no chip passes the filter")
    elif k > candidates:
        notes.append(f"k = {k}, but only {candidates} chips pass the filter")
    return Report(
        plan="+".join(plans) or "empty",
        exact=plans in ([], ["exact"]),
        candidates=candidates,
        scanned=sum(f.scanned for f in found),
        lists_probed=sum(f.lists for f in found),
        warnings=tuple(notes),
    )
