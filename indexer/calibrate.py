"""Calibration: probes and candidates against recall, measured on held-back rows of the store itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.catalog import Effort
from embedstore.errors import QueryError
from embedstore.extras import faiss
from embedstore.vectors import to_unit

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.segment import Segment

QUERIES = 256
K = 10
SEED = 21
TIE = 1e-5
"""A hit counts when its exact score is at least the true k-th minus this."""
DEPTHS = (20, 50, 100, 200, 400, 800)
MARGIN = 0.005
"""Taken off what was measured: the queries to come are others."""
TIMED = 32
"""Queries that each effort is timed on, one at a time."""


def check_recall(recall: float) -> None:
    """Refuse a recall that is no share.

    Raises
    ------
    QueryError
        If it is not above 0 and up to 1.
    """
    if not 0 < recall <= 1:
        raise QueryError(f"recall {recall!r} makes no sense; give a number above 0 and up to 1.")


def calibrate(segments: list[Segment], alive: list[NDArray[np.bool_] | None], codebook: Path) -> tuple[Effort, ...]:
    """Return the cheapest efforts for rising recall.

    Parameters
    ----------
    segments
        With lists of one codebook.
    alive
        For each segment, which rows count; None if all.
    codebook
        Its checked file.

    Returns
    -------
    Efforts, cheapest first, each of higher recall@10 than the one before.
    """
    f = faiss()
    index = f.read_index(str(codebook))
    ivf = f.downcast_index(f.extract_index_ivf(index))
    listed = [(s, a) for s, a in zip(segments, alive, strict=True) if s.manifest.codebook]
    queries = _queries(listed)
    kth = _true_kth(listed, queries)
    rotated = index.chain.at(0).apply(queries)
    largest = max(listed, key=lambda pair: pair[0].rows)[0]
    points = []
    probes = 1
    while probes <= ivf.nlist:
        scores = _reranked(listed, ivf, rotated, queries, probes)
        _attach(ivf, largest)
        for depth in DEPTHS:
            if depth <= scores.shape[1]:
                best = -np.sort(-scores[:, :depth], axis=1)[:, 1 : K + 1]  # the first is the query itself
                recall = float((best >= kth[:, None] - TIE).mean())
                cost = _milliseconds(largest, ivf, rotated[:TIMED], queries[:TIMED], probes, depth)
                points.append((cost, Effort(probes, depth, round(max(0.0, recall - MARGIN), 4))))
        if points[-1][1].recall >= 1 - MARGIN - 1e-4:
            break
        probes *= 2
    return _frontier(points)


def _frontier(points: list[tuple[float, Effort]]) -> tuple[Effort, ...]:
    """Keep each effort that reaches a recall which no cheaper one does."""
    kept: list[Effort] = []
    for _, effort in sorted(points, key=lambda p: (p[0], -p[1].recall)):
        if not kept or effort.recall > kept[-1].recall:
            kept.append(effort)
    return tuple(kept)


def _queries(listed: list[tuple[Segment, Any]]) -> NDArray[np.float32]:
    rng = np.random.default_rng(SEED)
    sizes = np.array([s.rows for s, _ in listed])
    share = rng.multinomial(QUERIES, sizes / sizes.sum())
    parts = []
    for (segment, alive), n in zip(listed, share.tolist(), strict=True):
        rows = np.arange(segment.rows) if alive is None else np.flatnonzero(alive)
        parts.append(segment.take_vectors(np.sort(rng.choice(rows, min(n, len(rows)), replace=False))))
    vectors = np.concatenate(parts).astype(np.float32)
    return to_unit(vectors)


def _true_kth(listed: list[tuple[Segment, Any]], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the exact k-th best score of each query among the other rows, by blocks of matrix products."""
    best = np.full((len(queries), K + 1), -np.inf, np.float32)
    for segment, alive in listed:
        for start in range(0, segment.rows, 16_384):
            stop = min(start + 16_384, segment.rows)
            scores = queries @ segment.read_vectors(start, stop).astype(np.float32).T
            if alive is not None:
                scores[:, ~alive[start:stop]] = -np.inf
            top = np.partition(scores, -min(K + 1, scores.shape[1]), axis=1)[:, -(K + 1) :]
            best = np.partition(np.concatenate([best, top], axis=1), -(K + 1), axis=1)[:, -(K + 1) :]
    kth: NDArray[np.float32] = best.min(axis=1)
    return kth


def _milliseconds(
    segment: Segment,
    ivf: Any,
    rotated: NDArray[np.float32],
    queries: NDArray[np.float32],
    probes: int,
    depth: int,
) -> float:
    """Return the median time of one query in one segment at an effort, exact scores included."""
    times = []
    for i in range(len(queries)):
        start = time.perf_counter()
        list_scores, lists = ivf.quantizer.search(rotated[i : i + 1], probes)
        rows = _best_codes(ivf, rotated[i : i + 1], lists, list_scores, depth)[1][0]
        vectors = segment.take_vectors(rows[rows >= 0])
        _ = vectors.astype(np.float32) @ queries[i]
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def _attach(ivf: Any, segment: Segment) -> None:
    """Give a codebook the lists of a segment."""
    f = faiss()
    inverted = f.read_InvertedLists(f.FileIOReader(str(segment.folder / "lists.faiss")), f.IO_FLAG_MMAP)
    inverted.this.disown()
    ivf.replace_invlists(inverted, True)
    ivf.ntotal = segment.rows


def _best_codes(
    ivf: Any,
    rotated: NDArray[np.float32],
    lists: NDArray[np.int64],
    list_scores: NDArray[np.float32],
    depth: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return scores and rows of the best codes of each query in the lists given, shape (queries, depth)."""
    f = faiss()
    params = f.SearchParametersIVF(nprobe=lists.shape[1])
    codes, rows = np.empty((len(rotated), depth), np.float32), np.empty((len(rotated), depth), np.int64)
    ivf.search_preassigned_c(
        len(rotated), f.swig_ptr(rotated), depth, f.swig_ptr(lists), f.swig_ptr(list_scores),
        f.swig_ptr(codes), f.swig_ptr(rows), False, params,
    )  # fmt: skip
    return codes, rows


def _reranked(
    listed: list[tuple[Segment, Any]],
    ivf: Any,
    rotated: NDArray[np.float32],
    queries: NDArray[np.float32],
    probes: int,
) -> NDArray[np.float32]:
    """Return exact scores of the best codes of each query, in the order of the codes, shape (queries, depth)."""
    list_scores, lists = ivf.quantizer.search(rotated, probes)
    depth = DEPTHS[-1]
    all_codes, all_exact = [], []
    for segment, alive in listed:
        _attach(ivf, segment)
        codes, rows = _best_codes(ivf, rotated, lists, list_scores, depth)
        exact = np.full(rows.shape, -np.inf, np.float32)
        for i, row in enumerate(rows):
            found = row >= 0
            found[found] &= True if alive is None else alive[row[found]]
            exact[i, found] = segment.take_vectors(row[found]).astype(np.float32) @ queries[i]
            codes[i, ~found] = -np.inf
        all_codes.append(codes)
        all_exact.append(exact)
    codes, exact = np.concatenate(all_codes, axis=1), np.concatenate(all_exact, axis=1)
    order = np.argsort(-codes, axis=1, kind="stable")[:, :depth]
    return np.take_along_axis(exact, order, axis=1)
