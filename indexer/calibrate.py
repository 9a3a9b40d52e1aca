"""Calibration: what each recall costs, measured on the store itself by the code that answers questions."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from embedstore import exact
from embedstore.candidates import Numbered
from embedstore.catalog import Calibration, Effort, FilteredEffort
from embedstore.errors import QueryError
from embedstore.extras import faiss
from embedstore.lists import Coarse, Lists
from indexer import questions
from indexer.costs import TIMED, measure, seconds
from indexer.questions import K, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.catalog import Costs
    from embedstore.segment import Segment
    from indexer.questions import Query, Stretch

DEPTHS = (10, 20, 30, 50, 100, 200, 400, 800)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
LENGTHS = (4_096, 32_768, 262_144)
"""Rows that the stretches of filtered questions hold: what share of them must be scanned falls with their number."""
INTO_STRETCHES = 128
"""Questions into stretches of each length."""
MANY = {100: ((100, 200, 400, 800, 1_600, 3_200), 64), 1_000: ((1_000, 2_000, 4_000, 8_000), 32)}
"""More hits than K for which efforts are measured: how many codes are re-ranked, and how many queries ask. Many hits
lie in other lists than the nearest few, how many more depends on the vectors; who asks for many tells more at once."""
GOOD_ENOUGH = 0.997
NO_BETTER = 0.0005
"""More is not tried once twice the probes gain less recall than this; for many hits four times as much."""


def check_recall(recall: float) -> None:
    """Refuse a recall that is no share.

    Raises
    ------
    QueryError
        If it is not above 0 and up to 1.
    """
    if not 0 < recall <= 1:
        raise QueryError(f"recall {recall!r} makes no sense; give a number above 0 and up to 1.")


def calibrate(segments: list[Segment], alive: list[NDArray[np.bool_] | None], codebook: Path) -> Calibration:
    """Return what each recall@10 costs.

    Parameters
    ----------
    segments
        With lists of one codebook, or flat (which are always scanned exactly, and left out).
    alive
        For each segment, which rows count; None if all.
    codebook
        Its checked file.
    """
    coarse = Coarse(codebook)
    parts = [Part(s, a, Lists(s, coarse)) for s, a in zip(segments, alive, strict=True) if s.manifest.codebook]
    one = partial(faiss().omp_set_num_threads, 1)
    threads = faiss().omp_get_max_threads()
    one()
    try:
        with ThreadPoolExecutor(os.cpu_count(), initializer=one) as pool:
            queries = questions.draw(parts, coarse)
            few = _unfiltered(parts, coarse, queries, pool)
            number = max(range(len(parts)), key=lambda i: parts[i].segment.rows)
            largest, own = parts[number], [q for q in queries if q.part == number]
            costs = measure(largest, coarse, own)
            many = [e for k in MANY for e in _many_hits(parts, coarse, queries, k, costs, pool)]
            filtered = _filtered(largest, coarse, own, costs, pool)
    finally:
        faiss().omp_set_num_threads(threads)
    return Calibration((*few, *many), filtered, costs)


def _unfiltered(
    parts: Sequence[Part], coarse: Coarse, queries: Sequence[Query], pool: ThreadPoolExecutor
) -> list[Effort]:
    """Return the cheapest efforts for rising recall without a filter."""
    kth = questions.true_kth(parts, queries).tolist()
    largest = max(parts, key=lambda p: p.segment.rows)
    efforts: list[list[Effort]] = []
    took: list[list[float]] = []
    for probes in _steps(coarse.lists):
        ranked = list(pool.map(partial(_ranked, parts, coarse, probes, DEPTHS[-1]), queries))
        cost = _by_depth(partial(_ask, largest, coarse, probes), queries[:TIMED])
        took.append([cost(depth) for depth in DEPTHS])
        efforts.append([Effort(probes, depth, questions.recall(ranked, depth, kth)) for depth in DEPTHS])
        reached = [of[-1].recall for of in efforts]
        if reached[-1] >= GOOD_ENOUGH or (len(reached) > 2 and reached[-1] - reached[-3] < NO_BETTER):
            break
    # more probes never cost less: where they seem to, something else held up the fewer
    costs = np.minimum.accumulate(np.array(took)[::-1])[::-1]
    return _frontier([point for pair in zip(costs.tolist(), efforts, strict=True) for point in zip(*pair, strict=True)])


def _many_hits(
    parts: Sequence[Part], coarse: Coarse, queries: Sequence[Query], k: int, costs: Costs, pool: ThreadPoolExecutor
) -> list[Effort]:
    """Return the same for k hits, asked by some of the queries; what each effort costs is foretold."""
    depths, asking = MANY[k]
    queries = queries[:: max(1, len(queries) // asking)]  # of all parts
    kth = questions.true_kth(parts, queries, k).tolist()
    rows = sum(part.segment.rows for part in parts)
    points: list[tuple[float, Effort]] = []
    before = 0.0
    for probes in _powers(coarse.lists):
        ranked = list(pool.map(partial(_ranked, parts, coarse, probes, depths[-1]), queries))
        efforts = [Effort(probes, depth, questions.recall(ranked, depth, kth, k), k) for depth in depths]
        points += [(costs.probe_ns(0, probes, probes / coarse.lists * rows, e.candidates), e) for e in efforts]
        reached = efforts[-1].recall
        if reached >= GOOD_ENOUGH or (before and reached - before < 4 * NO_BETTER):
            break
        before = reached
    return _frontier(points)


def _ranked(parts: Sequence[Part], coarse: Coarse, probes: int, depth: int, query: Query) -> list[NDArray[np.float32]]:
    """Return for each part the exact scores of the best codes in the nearest lists, in the order of the codes."""
    f = faiss()
    lists, scores = coarse.nearest(query.rotated, probes)
    not_here = f.IDSelectorNot(f.IDSelectorRange(query.first, query.last))
    return [
        _codes(part, query, lists, scores, depth, not_here if number == query.part else None)
        for number, part in enumerate(parts)
    ]


def _filtered(
    part: Part, coarse: Coarse, queries: Sequence[Query], costs: Costs, pool: ThreadPoolExecutor
) -> tuple[FilteredEffort, ...]:
    """Return the cheapest efforts for rising recall in stretches of rows that do not hold the query's place."""
    kept: list[FilteredEffort] = []
    for length in (length for length in LENGTHS if 2 * length <= part.segment.rows):
        stretches = questions.stretches(part, queries, length, INTO_STRETCHES)
        if stretches:
            recalls = _filtered_recalls(part, coarse, stretches, pool)
            kept += _frontier(
                [(_cost(coarse, costs, stretches, *of), FilteredEffort(length, *of, r)) for of, r in recalls.items()]
            )
    return tuple(kept)


def _cost(coarse: Coarse, costs: Costs, stretches: Sequence[Stretch], share: float, depth: int) -> float:
    """Return the nanoseconds that questions into stretches take on average."""
    work = [(len(s.rows), _lists_of(coarse, s, share)[0].shape[1], share * len(s.rows)) for s in stretches[:TIMED]]
    return float(np.mean([costs.probe_ns(*of, depth) for of in work]))


def _filtered_recalls(
    part: Part, coarse: Coarse, stretches: Sequence[Stretch], pool: ThreadPoolExecutor
) -> dict[tuple[float, int], float]:
    """Return the recall by share and depth, up to the share that is good enough."""
    recalls: dict[tuple[float, int], float] = {}
    kth = [stretch.kth for stretch in stretches]
    for share in SHARES:
        ranked = list(pool.map(partial(_among, part, coarse, share), stretches))
        recalls.update({(share, depth): questions.recall(ranked, depth, kth) for depth in DEPTHS})
        if recalls[share, DEPTHS[-1]] >= GOOD_ENOUGH:
            break
    return recalls


def _among(part: Part, coarse: Coarse, share: float, stretch: Stretch) -> list[NDArray[np.float32]]:
    """Return the same of a stretch, when lists are probed until a share of it is scanned."""
    allowed = Numbered(part.segment.rows, stretch.rows).selector
    return [_codes(part, stretch.query, *_lists_of(coarse, stretch, share), DEPTHS[-1], allowed)]


def _lists_of(coarse: Coarse, stretch: Stretch, share: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the lists nearest to a question that hold a share of its stretch, and their inner products."""
    return coarse.holding(stretch.query.rotated, stretch.counts, int(share * len(stretch.rows)))


def _codes(
    part: Part, query: Query, lists: NDArray[np.int64], list_scores: NDArray[np.float32], depth: int, allowed: Any
) -> NDArray[np.float32]:
    """Return the exact scores of the best codes in some lists, in the order of the codes."""
    rows = _rows(part, query, lists, list_scores, allowed, depth)
    scores: NDArray[np.float32] = part.segment.take_vectors(rows).astype(np.float32) @ query.vector[0]
    return scores


def _ask(part: Part, coarse: Coarse, probes: int, query: Query, depth: int) -> None:
    """Do what an unfiltered search does in one segment."""
    lists, scores = coarse.nearest(query.rotated, probes)
    rows = _rows(part, query, lists, scores, None, depth)
    if len(rows):  # a segment of one region holds nothing in the lists of another
        exact.rerank(part.segment, query.vector, rows, K)


def _rows(
    part: Part, query: Query, lists: NDArray[np.int64], list_scores: NDArray[np.float32], allowed: Any, depth: int
) -> NDArray[np.int64]:
    """Return the live rows whose codes are best in some lists, best first."""
    rows: NDArray[np.int64] = part.lists.search(query.rotated, lists, list_scores, depth, allowed)[0]
    rows = rows[rows >= 0]
    return rows if part.alive is None else rows[part.alive[rows]]


def _by_depth(ask: Callable[[Any, int], None], some: Sequence[Any]) -> Callable[[int], float]:
    """Return what questions take by how many codes they re-rank: a line through the least and the most."""
    least, most = DEPTHS[0], DEPTHS[-1]
    low, high = (seconds([partial(ask, one, depth) for one in some]) for depth in (least, most))
    slope = max(0.0, high - low) / max(1, most - least)
    return lambda depth: low + slope * (depth - least)


def _steps(lists: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, ... up to all lists."""
    return sorted({p for power in _powers(lists) for p in (power, power * 3 // 2) if p <= lists})


def _powers(lists: int) -> list[int]:
    """Return 1, 2, 4, 8, ... up to all lists."""
    return [1 << i for i in range(lists.bit_length())]


E = TypeVar("E", Effort, FilteredEffort)


def _frontier(points: list[tuple[float, E]]) -> list[E]:
    """Keep each effort that reaches a recall which no cheaper one does."""
    kept: list[E] = []
    for _, effort in sorted(points, key=lambda p: (p[0], -p[1].recall)):
        if not kept or effort.recall > kept[-1].recall:
            kept.append(effort)
    return kept
