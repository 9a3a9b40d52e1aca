"""Calibration: what each recall costs, measured on the store itself by the code that answers questions."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from embedstore import exact
from embedstore.catalog import Calibration, Effort, FilteredEffort
from embedstore.errors import QueryError
from embedstore.extras import faiss
from embedstore.lists import Allowed, Coarse, Lists
from indexer import questions
from indexer.questions import K, Part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.segment import Segment
    from indexer.questions import Query, Stretch

DEPTHS = (10, 20, 30, 50, 100, 200, 400, 800)
SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
TIMED = 16
"""Questions that each effort is timed on, one at a time."""
LENGTHS = (4_096, 32_768, 262_144)
"""Rows that the stretches of filtered questions hold: what share of them must be scanned falls with their number."""
INTO_STRETCHES = 128
"""Questions into stretches of each length."""
GOOD_ENOUGH = 0.997
NO_BETTER = 0.0005
"""More is not tried once twice the probes gain less recall than this."""
EXACT_TIMED = 32_768
"""Rows whose exact scan is timed."""


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
            efforts = _unfiltered(parts, coarse, queries, pool)
            number = max(range(len(parts)), key=lambda i: parts[i].segment.rows)
            largest, own = parts[number], [q for q in queries if q.part == number]
            in_place, scattered = _exact_costs(largest.segment, own)
            filtered = _filtered(largest, coarse, own, pool)
    finally:
        faiss().omp_set_num_threads(threads)
    return Calibration(efforts, filtered, in_place, scattered)


def _unfiltered(
    parts: Sequence[Part], coarse: Coarse, queries: Sequence[Query], pool: ThreadPoolExecutor
) -> tuple[Effort, ...]:
    """Return the cheapest efforts for rising recall without a filter."""
    kth = questions.true_kth(parts, queries).tolist()
    largest = max(parts, key=lambda p: p.segment.rows)
    points: list[tuple[float, Effort]] = []
    reached: list[float] = []
    for probes in _steps(coarse.lists):
        ranked = list(pool.map(partial(_ranked, parts, coarse, probes), queries))
        cost = _by_depth(partial(_ask, largest, coarse, probes), queries[:TIMED])
        points += [(cost(d), Effort(probes, d, questions.recall(ranked, d, kth))) for d in DEPTHS]
        reached.append(points[-1][1].recall)
        if reached[-1] >= GOOD_ENOUGH or (len(reached) > 2 and reached[-1] - reached[-3] < NO_BETTER):
            break
    return tuple(_frontier(points))


def _ranked(parts: Sequence[Part], coarse: Coarse, probes: int, query: Query) -> list[NDArray[np.float32]]:
    """Return for each part the exact scores of the best codes in the nearest lists, in the order of the codes."""
    f = faiss()
    lists, scores = coarse.nearest(query.rotated, probes)
    not_here = f.IDSelectorNot(f.IDSelectorRange(query.first, query.last))
    return [
        _codes(part, query, lists, scores, not_here if number == query.part else None)
        for number, part in enumerate(parts)
    ]


def _filtered(
    part: Part, coarse: Coarse, queries: Sequence[Query], pool: ThreadPoolExecutor
) -> tuple[FilteredEffort, ...]:
    """Return the cheapest efforts for rising recall in stretches of rows that do not hold the query's place."""
    lengths = [length for length in LENGTHS if 2 * length <= part.segment.rows]
    sets = [questions.stretches(part, queries, length, INTO_STRETCHES) for length in lengths]
    lengths = [length for length, stretches in zip(lengths, sets, strict=True) if stretches]
    sets = [stretches for stretches in sets if stretches]
    recalls = [_filtered_recalls(part, coarse, stretches, pool) for stretches in sets]
    shares = sorted({share for of in recalls for share, _ in of})
    seconds = np.array(
        [
            [[cost(depth) for depth in DEPTHS] for cost in _costs_of_shares(part, coarse, shares, stretches)]
            for stretches in sets
        ]
    )
    kept: list[FilteredEffort] = []
    for number, (length, of) in enumerate(zip(lengths, recalls, strict=True)):
        points = []
        for (share, depth), recall in of.items():
            took = seconds[:, shares.index(share), DEPTHS.index(depth)]
            fixed, row = _line(lengths, took, number)
            effort = FilteredEffort(length, share, depth, recall, round(fixed * 1e6, 1), round(row * 1e9, 2))
            points.append((float(took[number]), effort))
        kept += _frontier(points)
    return tuple(kept)


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


def _costs_of_shares(
    part: Part, coarse: Coarse, shares: Sequence[float], stretches: Sequence[Stretch]
) -> list[Callable[[int], float]]:
    return [_by_depth(partial(_ask_among, part, coarse, share), stretches[:TIMED]) for share in shares]


def _line(lengths: Sequence[int], seconds: NDArray[np.float64], number: int) -> tuple[float, float]:
    """Return the fixed cost and the cost a row at one of some lengths, by its neighbour."""
    if len(lengths) == 1:
        return 0.0, float(seconds[0]) / lengths[0]
    other = number - 1 if number else 1
    row = max(0.0, float(seconds[other] - seconds[number]) / (lengths[other] - lengths[number]))
    return max(0.0, float(seconds[number]) - row * lengths[number]), row


def _among(part: Part, coarse: Coarse, share: float, stretch: Stretch) -> list[NDArray[np.float32]]:
    """Return the same of a stretch, when lists are probed until a share of it is scanned."""
    lists, scores = coarse.holding(stretch.query.rotated, stretch.counts, int(share * len(stretch.rows)))
    return [_codes(part, stretch.query, lists, scores, Allowed(stretch.rows, part.segment.rows).selector)]


def _codes(
    part: Part, query: Query, lists: NDArray[np.int64], list_scores: NDArray[np.float32], allowed: Any
) -> NDArray[np.float32]:
    """Return the exact scores of the best codes in some lists, in the order of the codes."""
    rows = _rows(part, query, lists, list_scores, allowed, DEPTHS[-1])
    scores: NDArray[np.float32] = part.segment.take_vectors(rows).astype(np.float32) @ query.vector[0]
    return scores


def _ask(part: Part, coarse: Coarse, probes: int, query: Query, depth: int) -> None:
    """Do what an unfiltered search does in one segment."""
    lists, scores = coarse.nearest(query.rotated, probes)
    exact.rerank(part.segment, query.vector, _rows(part, query, lists, scores, None, depth), K)


def _ask_among(part: Part, coarse: Coarse, share: float, stretch: Stretch, depth: int) -> None:
    """Do what a filtered search does in one segment, counting included."""
    rows, query = stretch.rows, stretch.query
    lists, scores = coarse.holding(query.rotated, part.lists.counts(rows), int(share * len(rows)))
    allowed = Allowed(rows, part.segment.rows).selector
    exact.rerank(part.segment, query.vector, _rows(part, query, lists, scores, allowed, depth), K)


def _rows(
    part: Part, query: Query, lists: NDArray[np.int64], list_scores: NDArray[np.float32], allowed: Any, depth: int
) -> NDArray[np.int64]:
    """Return the live rows whose codes are best in some lists, best first."""
    rows: NDArray[np.int64] = part.lists.search(query.rotated, lists, list_scores, depth, allowed)[0]
    rows = rows[rows >= 0]
    return rows if part.alive is None else rows[part.alive[rows]]


def _exact_costs(segment: Segment, queries: Sequence[Query]) -> tuple[float, float]:
    """Return the nanoseconds that a row takes to be scored, in a stretch and among rows that do not pass."""
    length = min(segment.rows, EXACT_TIMED)
    stretch, scattered = np.arange(length), np.arange(0, min(segment.rows, 8 * length), 8)
    costs = [
        _seconds([partial(exact.best, segment, q.vector, rows, K) for q in queries[:TIMED]]) / len(rows)
        for rows in (stretch, scattered)
    ]
    return round(costs[0] * 1e9, 2), round(costs[1] * 1e9, 2)


def _by_depth(ask: Callable[[Any, int], None], some: Sequence[Any]) -> Callable[[int], float]:
    """Return what questions take by how many codes they re-rank: a line through the least and the most."""
    least, most = DEPTHS[0], DEPTHS[-1]
    low, high = (_seconds([partial(ask, one, depth) for one in some]) for depth in (least, most))
    slope = max(0.0, high - low) / max(1, most - least)
    return lambda depth: low + slope * (depth - least)


def _seconds(asks: Sequence[Callable[[], object]]) -> float:
    """Return the median time of some questions."""
    times = []
    for ask in asks:
        start = time.perf_counter()
        ask()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _steps(lists: int) -> list[int]:
    """Return 1, 2, 3, 4, 6, 8, 12, ... up to all lists."""
    powers = [1 << i for i in range(lists.bit_length())]
    return sorted({p for power in powers for p in (power, power * 3 // 2) if p <= lists})


E = TypeVar("E", Effort, FilteredEffort)


def _frontier(points: list[tuple[float, E]]) -> list[E]:
    """Keep each effort that reaches a recall which no cheaper one does."""
    kept: list[E] = []
    for _, effort in sorted(points, key=lambda p: (p[0], -p[1].recall)):
        if not kept or effort.recall > kept[-1].recall:
            kept.append(effort)
    return kept
