"""What searching takes on this machine, measured on the store itself by the code that answers questions."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from embedstore import exact
from embedstore.candidates import Numbered
from embedstore.catalog import Costs
from indexer.questions import K

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from embedstore.lists import Coarse
    from embedstore.segment import Segment
    from indexer.questions import Part, Query

TIMED = 16
"""Questions that each kind of work is timed on, one at a time."""
EXACT_TIMED = 32_768
"""Rows whose exact scan is timed."""
COUNTS = (4_096, 32_768)
"""Candidates of the probes that are timed, once neighbours and once scattered over all lists."""
SHARES = (0.05, 0.3)
DEPTHS = (10, 400)


def measure(part: Part, coarse: Coarse, queries: Sequence[Query]) -> Costs:
    """Return the costs of a segment with lists; `queries` are of its own rows."""
    queries = queries[:TIMED]
    return Costs(*_exact(part.segment, queries), *_probing(part, coarse, queries))


def seconds(asks: Sequence[Callable[[], object]]) -> float:
    """Return the median time of some questions, each asked before: reading from disk is not what is compared."""
    times = []
    for ask in asks:
        ask()
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _exact(segment: Segment, queries: Sequence[Query]) -> list[float]:
    """Return the nanoseconds that a row takes to be scored: in a stretch, in runs, and apart from others."""
    length = min(segment.rows, EXACT_TIMED)
    stretch, scattered = np.arange(length), np.arange(0, min(segment.rows, 8 * length), 8)
    kinds = ((exact.best, stretch), (exact.rerank, stretch), (exact.best, scattered))
    return [
        round(1e9 * seconds([partial(score, segment, q.vector, rows, K) for q in queries]) / len(rows), 2)
        for score, rows in kinds
    ]


def _probing(part: Part, coarse: Coarse, queries: Sequence[Query]) -> list[float]:
    """Return the nanoseconds of a filtered probe: at least, and for each candidate, list, code and re-ranked code."""
    work, took = [], []
    for count in (c for c in COUNTS if 2 * c <= part.segment.rows):
        start = (part.segment.rows - count) // 2
        for rows in (np.arange(start, start + count), np.linspace(0, part.segment.rows - 1, count).astype(np.int64)):
            counts = part.lists.counts(rows)
            for share in SHARES:
                enough = int(share * count)
                lists = np.mean([coarse.holding(q.rotated, counts, enough)[0].shape[1] for q in queries])
                for depth in DEPTHS:
                    work.append([1.0, count, lists, enough, depth])
                    took.append(seconds([partial(_ask, part, coarse, rows, enough, depth, q) for q in queries]))
    if not work:
        return [0.0] * 5
    return [round(1e9 * cost, 2) for cost in _fit(np.array(work), np.array(took)).tolist()]


def _ask(part: Part, coarse: Coarse, rows: NDArray[np.int64], enough: int, depth: int, query: Query) -> None:
    """Do what a search does with a filter that it has not seen before."""
    candidates = Numbered(part.segment.rows, rows)
    lists, scores = coarse.holding(query.rotated, part.lists.counts(rows), enough)
    found = part.lists.search(query.rotated, lists, scores, depth, candidates.selector)[0]
    exact.rerank(part.segment, query.vector, found[found >= 0], K)


def _fit(work: NDArray[np.float64], took: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a unit of each kind of work takes, never less than nothing: least squares of relative errors."""
    costs = np.zeros(work.shape[1])
    kinds = np.arange(work.shape[1])
    while len(kinds):
        fitted = np.linalg.lstsq(work[:, kinds] / took[:, None], np.ones(len(took)), rcond=None)[0]
        if (fitted >= 0).all():
            costs[kinds] = fitted
            break
        kinds = np.delete(kinds, fitted.argmin())
    return costs
