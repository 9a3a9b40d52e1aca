"""Exact scores of a segment's half-precision vectors: what every answer ends with.

FAISS decodes half precision in registers, some twenty times faster than a cast by numpy and a product; so vectors are
scored by a flat index that only looks at the memory where they lie.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore import deadline
from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment

CHUNK = 1 << 16
"""Vectors scored at a time."""
DENSE = 8
"""Rows are scored where they lie while at least one in this many of their span is asked for, else gathered first: to
copy a row whose neighbours are wanted too costs less than to pass over so many."""
TOGETHER = 8192
"""Vectors that are gathered at a time for many queries: with what they become they stay in the cache."""
FEW = 2048
"""Rows gathered at a time, into memory that each thread keeps."""


class _Scratch(threading.local):
    """What a thread keeps between questions."""

    def __init__(self) -> None:
        self.gathered: dict[int, tuple[NDArray[np.float16], Any]] = {}


_scratch = _Scratch()


def best(
    segment: Segment, query: NDArray[np.float32], rows: NDArray[np.int64] | None, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k rows of highest inner product among some rows, or among all, best first.

    Parameters
    ----------
    segment
        Whose vectors.
    query
        Unit vector, shape (1, d).
    rows
        Ascending; all if None.
    k
        How many to keep at most.
    """
    count = segment.rows if rows is None else len(rows)
    found_rows, found_scores = [], []
    for start in range(0, count, CHUNK):
        deadline.check()
        stop = min(start + CHUNK, count)
        if rows is None:
            at, scores = _top(segment.read_vectors(start, stop), query, min(k, stop - start))
            found_rows.append(at + start)
        else:
            at, scores = _among(segment, query, rows[start:stop], min(k, stop - start))
            found_rows.append(at)
        found_scores.append(scores)
    if len(found_rows) == 1:
        return found_rows[0], found_scores[0]
    return _joined(found_rows, found_scores, k)


def rerank(
    segment: Segment, query: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k best of scattered rows, best first; `rows` in any order, at least one."""
    if len(rows) > FEW:
        parts = [rerank(segment, query, rows[i : i + FEW], k) for i in range(0, len(rows), FEW)]
        return _joined([r for r, _ in parts], [s for _, s in parts], k)
    k = min(k, len(rows))
    halves, index = _gathered(segment.dimension)
    segment.copy_vectors(rows, halves[: len(rows)])
    index.ntotal = len(rows)
    at, scores = _search(index, query, k)
    return rows[at], scores


def rerank_many(
    segment: Segment, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Do the same for many queries at once.

    Parameters
    ----------
    queries
        Unit vectors, shape (n, d).
    rows
        Rows of each, -1 where there are fewer, shape (n, m) with m >= k.

    Returns
    -------
    Rows (-1 where there are fewer) and scores, best first, shape (n, k).
    """
    n, m = rows.shape
    best_rows, best_scores = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    decoder = faiss().IndexScalarQuantizer(segment.dimension, faiss().ScalarQuantizer.QT_fp16)
    some = max(1, TOGETHER // m)
    for start in range(0, n, some):
        deadline.check()
        part = rows[start : start + some]
        halves = segment.take_vectors(np.maximum(part, 0).ravel())
        vectors = decoder.sa_decode(halves.view(np.uint8)).reshape(*part.shape, -1)
        scores = np.matmul(vectors, queries[start : start + some, :, None])[:, :, 0]
        scores[part < 0] = -np.inf
        order = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.take_along_axis(order, np.argsort(-np.take_along_axis(scores, order, 1), axis=1, kind="stable"), 1)
        best_rows[start : start + some] = np.take_along_axis(part, order, 1)
        best_scores[start : start + some] = np.take_along_axis(scores, order, 1)
    return best_rows, best_scores


def _joined(
    rows: list[NDArray[np.int64]], scores: list[NDArray[np.float32]], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if not rows:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    all_rows, all_scores = np.concatenate(rows), np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")[:k]
    return all_rows[order], all_scores[order]


def _among(
    segment: Segment, query: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Score rows where they lie if they lie close together, else gather them first."""
    first, span = int(rows[0]), int(rows[-1] - rows[0]) + 1
    if span > DENSE * len(rows):
        return rerank(segment, query, rows, k)
    if span == len(rows):
        at, scores = _top(segment.read_vectors(first, first + span), query, k)
        return at + first, scores
    allowed = np.zeros(span, bool)
    allowed[rows - first] = True
    segment.check_vectors(rows)
    at, scores = _top(segment.vectors[first : first + span], query, k, np.packbits(allowed, bitorder="little"))
    return at + first, scores


def _top(
    vectors: NDArray[np.float16], query: NDArray[np.float32], k: int, allowed: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return positions and inner products of the k best of contiguous vectors, best first.

    `allowed` is a bit map of those that may answer, all if None; at least k must be set.
    """
    index = _flat(vectors)
    if allowed is None:
        return _search(index, query, k)
    f = faiss()
    selector = f.IDSelectorBitmap(len(allowed) * 8, f.swig_ptr(allowed))
    return _search(index, query, k, f.SearchParameters(sel=selector))


def _gathered(dimension: int) -> tuple[NDArray[np.float16], Any]:
    """Return this thread's memory for gathered vectors and the index that looks at it."""
    if dimension not in _scratch.gathered:
        halves = np.zeros((FEW, dimension), np.float16)
        _scratch.gathered[dimension] = halves, _flat(halves)
    return _scratch.gathered[dimension]


def _flat(vectors: NDArray[np.float16]) -> Any:
    """Return a flat index over vectors where they lie; it does not keep them alive."""
    f = faiss()
    n, d = vectors.shape
    index = f.IndexScalarQuantizer(d, f.ScalarQuantizer.QT_fp16, f.METRIC_INNER_PRODUCT)
    raw = vectors.reshape(-1).view(np.uint8)
    index.codes = f.MaybeOwnedVectorUInt8.create_view(f.swig_ptr(raw), raw.nbytes, f.MaybeOwnedVectorUInt8().owner)
    index.ntotal = n
    return index


def _search(
    index: Any, query: NDArray[np.float32], k: int, params: Any = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    f = faiss()
    scores, at = np.empty(k, np.float32), np.empty(k, np.int64)
    threads = f.omp_get_max_threads()
    if threads > 1:
        f.omp_set_num_threads(1)  # a thread team costs more than one query's scan
    try:
        index.search_c(1, f.swig_ptr(query), k, f.swig_ptr(scores), f.swig_ptr(at), params)
    finally:
        if threads > 1:
            f.omp_set_num_threads(threads)
    return at, scores
