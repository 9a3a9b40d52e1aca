"""Exact answers, and how much of them an answer holds.

Recall is that of scores: a hit counts if its exact score is at least that of the true k-th less :data:`TIE`, so that
near-duplicates are worth the same. Beside it stands the recall of ids, where they are not. Queries with more than
:data:`MANY` rows within :data:`TIE` of the k-th are no test of an index and stand apart.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from benchmarks.peers.rows import Rows

TIE = 1e-5
MANY = 100
BLOCK = 16_384
"""Rows in one matrix product."""
FEW = 0.05
"""Below this share of rows that pass, they are picked out and compared alone."""


class Best:
    """The best rows seen so far for some queries: the k nearest, and enough more to tell whether there are many ties.

    Parameters
    ----------
    queries
        How many.
    k
        Neighbours wanted of each.
    """

    def __init__(self, queries: int, k: int) -> None:
        self.k = k
        self._keep = k + MANY + 1
        self.scores = np.full((queries, self._keep), -np.inf, np.float32)
        self.ids = np.full((queries, self._keep), -1, np.int64)

    def add(self, first: int, scores: NDArray[np.float32]) -> None:
        """Take the scores of rows ``first, first + 1, ...``, shape (queries, rows); -inf if a row does not pass."""
        better = scores > self.scores[:, -1:]
        for query in np.flatnonzero(better.any(axis=1)).tolist():
            found = np.flatnonzero(better[query])
            self.add_some(query, first + found, scores[query, found])

    def add_some(self, query: int, ids: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """Take scores of chosen rows for one query."""
        both = np.concatenate([self.scores[query], scores])
        every = np.concatenate([self.ids[query], ids])
        if len(both) > 4 * self._keep:
            cut = np.argpartition(-both, self._keep)[: self._keep]
            both, every = both[cut], every[cut]
        order = np.argsort(-both, kind="stable")[: self._keep]
        self.scores[query], self.ids[query] = both[order], every[order]

    def ties(self) -> NDArray[np.int64]:
        """Return how many rows lie within a tie of the k-th best, that one left out; no more than can be kept."""
        near = np.abs(self.scores - self.scores[:, self.k - 1 : self.k]) <= TIE
        count: NDArray[np.int64] = np.maximum(near.sum(axis=1) - 1, 0)
        return count


@dataclass(frozen=True)
class Truth:
    """Exact answers to m queries.

    Parameters
    ----------
    kth
        Exact score of the k-th best, float32 (m,), or of the last where fewer rows pass; -inf where none does.
    ids
        The best rows, int64 (m, k), -1 where there are no more.
    wanted
        min(k, rows that pass), int64 (m,).
    tied
        bool (m,): more than :data:`MANY` rows lie within a tie of the k-th.
    """

    kth: NDArray[np.float32]
    ids: NDArray[np.int64]
    wanted: NDArray[np.int64]
    tied: NDArray[np.bool_]

    @classmethod
    def of(cls, best: Best) -> Self:
        """Read off what was collected."""
        k = best.k
        wanted = (best.ids[:, :k] >= 0).sum(axis=1)
        kth = best.scores[np.arange(len(wanted)), np.maximum(wanted - 1, 0)]
        with np.errstate(invalid="ignore"):
            tied = best.ties() > MANY
        return cls(kth, best.ids[:, :k].copy(), wanted, tied & (wanted == k))

    def __getitem__(self, part: slice) -> Truth:
        return Truth(self.kth[part], self.ids[part], self.wanted[part], self.tied[part])

    @classmethod
    def join(cls, parts: Sequence[Truth]) -> Self:
        """Put the answers to several lots of queries together."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("kth", "ids", "wanted", "tied")))


def truth(rows: Rows, queries: NDArray[np.float32], k: int, masks: Sequence[NDArray[np.bool_]] | None = None) -> Truth:
    """Compare every query with every row.

    Parameters
    ----------
    queries
        float32 (m, d).
    k
        Neighbours wanted.
    masks
        For each query the rows that pass, bool (n,); all rows if None.
    """
    best = Best(len(queries), k)
    few = np.array([m.mean() < FEW for m in masks]) if masks is not None else np.zeros(len(queries), np.bool_)
    for query in np.flatnonzero(few).tolist():
        assert masks is not None
        passing = np.flatnonzero(masks[query])
        best.add_some(query, passing, rows.vectors[passing] @ queries[query])
    rest = np.flatnonzero(~few)
    # Two threads, each with half the queries: comparing the scores takes as long as the product.
    with ThreadPoolExecutor(2) as pool:
        for part, done in pool.map(_compare(rows, queries, k, masks), np.array_split(rest, 2)):
            best.scores[part], best.ids[part] = done.scores, done.ids
    return Truth.of(best)


def _compare(
    rows: Rows, queries: NDArray[np.float32], k: int, masks: Sequence[NDArray[np.bool_]] | None
) -> Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], Best]]:
    """Return what finds the best rows for some of the queries, by blocks."""

    def compare(part: NDArray[np.int64]) -> tuple[NDArray[np.int64], Best]:
        best, some = Best(len(part), k), queries[part]
        for start in range(0, len(rows) if len(part) else 0, BLOCK):
            stop = min(start + BLOCK, len(rows))
            scores = some @ rows.vectors[start:stop].T
            if masks is not None:
                scores[~np.stack([masks[q][start:stop] for q in part])] = -np.inf
            best.add(start, scores)
        return part, best

    return compare


@dataclass(frozen=True)
class Recall:
    """How good some answers are.

    Parameters
    ----------
    recall
        Mean over the queries without many ties (over all, if all have many).
    id_recall
        The same by ids.
    short
        Answers with fewer hits than min(k, rows that pass).
    tied
        Queries with many ties.
    tied_recall
        Mean recall of those; 1 if there are none.
    """

    recall: float
    id_recall: float
    short: int
    tied: int
    tied_recall: float


def recall(
    rows: Rows,
    queries: NDArray[np.float32],
    answers: Sequence[NDArray[np.int64]],
    exact: Truth,
    masks: Sequence[NDArray[np.bool_]] | None = None,
) -> Recall:
    """Hold answers (row numbers) against the exact ones; a row that does not pass, or comes twice, counts nothing."""
    by_score, by_id = np.ones(len(queries)), np.ones(len(queries))
    short = 0
    for i, answer in enumerate(answers):
        wanted = int(exact.wanted[i])
        hits = np.unique(answer)
        if masks is not None:
            hits = hits[masks[i][hits]]
        short += len(hits) < wanted
        if wanted:
            right = rows.vectors[hits] @ queries[i] >= exact.kth[i] - TIE
            by_score[i] = min(int(np.count_nonzero(right)), wanted) / wanted
            by_id[i] = np.isin(hits, exact.ids[i]).sum() / wanted
    plain = ~exact.tied if not exact.tied.all() else np.ones(len(queries), np.bool_)
    tied = by_score[exact.tied]
    return Recall(
        float(by_score[plain].mean()),
        float(by_id[plain].mean()),
        short,
        len(tied),
        float(tied.mean()) if len(tied) else 1.0,
    )
