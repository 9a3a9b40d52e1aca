"""The questions that an index is calibrated with, and their true answers.

A query is a stored vector, but the rows around it on the ground, which overlap it in pixels, are neither searched nor
counted as true. Without that, each query would find itself and its overlaps in the nearest list, and every recall would
be flattered: people ask about places that were not stored.

With a filter, the hard question is the one from elsewhere: a row asks for its likes in a stretch of the Earth that does
not hold it, and the harder the farther off that is. There all rows are about equally unlike it, so that more codes must
be re-ranked to find the best. Questions are of the far kind, since a recall is promised for every filter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstore import exact
from embedstore.vectors import to_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstore.lists import Coarse, Lists
    from embedstore.segment import Segment

QUERIES = 512
K = 10
SEED = 21
TIE = 1e-5
"""A hit counts when its exact score is at least the true k-th minus this."""
AROUND = 0.005
"""Share of a segment's rows, on either side of a query in H3 order, that count as the query's own place."""
TRIES = 4
"""Stretches drawn for a question, of which the farthest is taken."""
BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class Part:
    """A segment with lists, and which of its rows are live (all if None)."""

    segment: Segment
    alive: NDArray[np.bool_] | None
    lists: Lists

    @property
    def rows(self) -> NDArray[np.int64]:
        """The live rows, in H3 order."""
        return np.arange(self.segment.rows) if self.alive is None else np.flatnonzero(self.alive)


@dataclass(frozen=True, eq=False)
class Query:
    """A question: its vector, the vector in the codebook's axes, and its own place, rows [first, last) of a part."""

    vector: NDArray[np.float32]
    rotated: NDArray[np.float32]
    part: int
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Stretch:
    """Neighbouring live rows far from a query's place, how many are in each list, and the true k-th best score."""

    query: Query
    rows: NDArray[np.int64]
    counts: NDArray[np.int64]
    kth: float


def draw(parts: Sequence[Part], coarse: Coarse) -> list[Query]:
    """Return queries from all parts, seeded."""
    rng = np.random.default_rng(SEED)
    sizes = np.array([p.segment.rows for p in parts])
    share = rng.multinomial(QUERIES, sizes / sizes.sum())
    queries = []
    for number, (part, n) in enumerate(zip(parts, share.tolist(), strict=True)):
        rows = part.rows
        chosen = rng.choice(rows, min(n, len(rows)), replace=False)
        vectors = to_unit(part.segment.take_vectors(chosen).astype(np.float32))
        around = int(AROUND * part.segment.rows)
        for row, vector in zip(chosen.tolist(), vectors, strict=True):
            one = vector[None]
            queries.append(Query(one, coarse.rotate(one), number, max(0, row - around), row + around + 1))
    return queries


def stretches(part: Part, queries: Sequence[Query], length: int, count: int) -> list[Stretch]:
    """Return that many questions into stretches of that many rows."""
    rng = np.random.default_rng(SEED)
    live, made = part.rows, []
    for i in rng.integers(0, len(queries), count).tolist():
        query = queries[i]
        rows = _elsewhere(live, query, length, rng)
        if len(rows) >= K:
            kth = float(exact.best(part.segment, query.vector, rows, K)[1][-1])
            made.append(Stretch(query, rows, part.lists.counts(rows), kth))
    return made


def _elsewhere(live: NDArray[np.int64], query: Query, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return that many neighbouring rows far from the query's place, or as many as there are on one side of it."""
    before = int(np.searchsorted(live, query.first))
    after = len(live) - int(np.searchsorted(live, query.last))
    left, right = max(0, before - length + 1), max(0, after - length + 1)  # places for a stretch on either side
    if not left + right:
        return live[:before] if before > after else live[len(live) - after :]
    place = max(rng.integers(left + right, size=TRIES).tolist(), key=lambda p: p if p < left else p - left)
    start = before - length - place if place < left else len(live) - after + place - left
    return live[start : start + length]


def true_kth(parts: Sequence[Part], queries: Sequence[Query], k: int = K) -> NDArray[np.float32]:
    """Return the exact k-th best score of each query outside its own place, by blocks of matrix products."""
    vectors = np.concatenate([q.vector for q in queries])
    best = np.full((len(queries), k), -np.inf, np.float32)
    for number, part in enumerate(parts):
        for start in range(0, part.segment.rows, BLOCK):
            stop = min(start + BLOCK, part.segment.rows)
            scores = vectors @ part.segment.read_vectors(start, stop).astype(np.float32).T
            if part.alive is not None:
                scores[:, ~part.alive[start:stop]] = -np.inf
            for i, query in enumerate(queries):
                if query.part == number and query.first < stop and query.last > start:
                    scores[i, max(0, query.first - start) : query.last - start] = -np.inf
            news = (scores > best.min(axis=1)[:, None]).any(axis=0)  # few, once many blocks have been seen
            joined = np.concatenate([best, scores[:, news]], axis=1)
            best = np.partition(joined, -k, axis=1)[:, -k:]
    kth: NDArray[np.float32] = best.min(axis=1)
    return kth


def recall(ranked: Sequence[Sequence[NDArray[np.float32]]], depth: int, kth: Sequence[float], k: int = K) -> float:
    """Return recall@k less two standard errors, when each part re-ranks that many codes of each query.

    The queries to come are others, and the cheapest of many efforts is chosen, which is often one that was lucky: what
    is promised lies below what was measured, by as much as chance may have added.

    Parameters
    ----------
    ranked
        For each query and part, the exact scores of the best codes, in the order of the codes.
    """
    shares = np.empty(len(ranked))
    for i, parts in enumerate(ranked):
        good = sum(int((scores[:depth] >= kth[i] - TIE).sum()) for scores in parts)
        shares[i] = min(good, k) / k
    return round(max(0.0, float(shares.mean() - 2 * shares.std() / len(shares) ** 0.5)), 4)
