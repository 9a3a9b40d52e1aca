"""From a compiled filter and a query vector to hits: search, merge the pieces, thin out on the ground, add columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.segment import DTYPES as _EMPTY
from query import example
from query.hits import Hits, Report

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Piece, Snapshot
    from query.plan import Goal
    from query.searcher import Found, Searcher, Selection

    Own = tuple[Piece, int]

COLUMNS = ("id", "lon", "lat", "h3", "datetime", "datetime_end", "modalities", "valid_fraction")


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
    index = searcher.snapshot.index
    filtered = any(s.rows is not None for s in selections)
    effort = goal.filtered_effort(index) if filtered else goal.effort(index)
    wanted = k if not metres else 4 * k
    while True:
        found = searcher.search(query, selections, min(wanted, max(candidates, 1)), effort, goal.share)
        if own is not None:
            found = [
                _with_own(f, s, own, query) for f, s in zip(found, [s for s in selections if s.count], strict=True)
            ]
        hits = _merge(searcher.snapshot, found, candidates, k, wanted, metres, own)
        if len(hits) == min(k, candidates) or not metres or wanted >= candidates:
            return hits
        wanted *= 4
        if wanted >= candidates // 4:
            effort = None  # so much is asked for that a scan is cheaper than probing for it


def _merge(
    snapshot: Snapshot, found: list[Found], candidates: int, k: int, wanted: int, metres: float, own: Own | None
) -> Hits:
    """Join what the pieces gave, best first, thin it out on the ground, and add the columns."""
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
        lon, lat = (_gather(found, piece[order], rows[order], c) for c in ("lon", "lat"))
        order = order[example.spread(lon, lat, metres, k)]
    order = order[:k]
    columns = {c: _gather(found, piece[order], rows[order], c) for c in COLUMNS}
    return Hits(scores[order], columns, _report(found, candidates, k), snapshot, found, piece[order], rows[order])


def _position(found: list[Found], piece: Piece) -> int:
    return next((i for i, f in enumerate(found) if f.piece is piece), -1)


def _with_own(found: Found, selection: Selection, own: Own, query: NDArray[np.float32]) -> Found:
    """Add the chip that was asked about where thousands of equal codes crowded it out."""
    piece, row = own
    if found.piece is not piece or (found.rows == row).any():
        return found
    if selection.rows is not None and not (selection.rows == row).any():
        return found
    score = query @ piece.segment.take_vectors(np.array([row]))[0].astype(np.float32)
    return replace(found, rows=np.append(row, found.rows), scores=np.append(score, found.scores).astype(np.float32))


def _gather(found: list[Found], piece: NDArray[np.int64], rows: NDArray[np.int64], name: str) -> NDArray[Any]:
    """Return a column of hits that stand in several pieces."""
    if len(found) == 1:
        return found[0].piece.segment.take(name, rows)
    out: NDArray[Any] | None = None
    for i, f in enumerate(found):
        here = piece == i
        values = f.piece.segment.take(name, rows[here])
        out = np.empty(len(rows), values.dtype) if out is None else out
        out[here] = values
    return out if out is not None else np.empty(0, _EMPTY[name])


def _report(found: list[Found], candidates: int, k: int) -> Report:
    plans = list(dict.fromkeys(f.plan for f in found))
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
