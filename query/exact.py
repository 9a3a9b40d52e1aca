"""Exact scores of half-precision vectors: what every answer ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment

CHUNK = 1 << 16
"""Vectors scored at a time."""
DENSE = 4
"""Rows are scored in place while at least one in this many of their span is asked for: scattered reads cost more."""


def best(
    segment: Segment, query: NDArray[np.float32], rows: NDArray[np.int64] | None, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the k rows of highest inner product among some rows, or among all; not sorted across chunks.

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

    Returns
    -------
    Rows and their scores, best first.
    """
    count = segment.rows if rows is None else len(rows)
    found_rows, found_scores = [], []
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        if rows is None:
            at, scores = top(segment.read_vectors(start, stop), query, min(k, stop - start))
            found_rows.append(at + start)
        else:
            at, scores = _among(segment, query, rows[start:stop], min(k, stop - start))
            found_rows.append(at)
        found_scores.append(scores)
    if len(found_rows) == 1:
        return found_rows[0], found_scores[0]
    if not found_rows:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    all_rows, all_scores = np.concatenate(found_rows), np.concatenate(found_scores)
    order = np.argsort(-all_scores, kind="stable")[:k]
    return all_rows[order], all_scores[order]


def _among(
    segment: Segment, query: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Score rows where they lie if they lie close together, else gather them first."""
    first, span = int(rows[0]), int(rows[-1] - rows[0]) + 1
    if span > DENSE * len(rows):
        at, scores = top(segment.take_vectors(rows), query, k)
        return rows[at], scores
    mask = None
    if span > len(rows):
        allowed = np.zeros(span, bool)
        allowed[rows - first] = True
        mask = np.packbits(allowed, bitorder="little")
    at, scores = top(segment.read_vectors(first, first + span), query, k, mask)
    return at + first, scores


def top(
    vectors: NDArray[np.float16], query: NDArray[np.float32], k: int, allowed: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return positions and inner products of the k best of contiguous vectors, best first.

    `allowed` is a bit map of those that may answer, all if None; at least k must be set.

    FAISS decodes half precision in registers, some twenty times faster than a cast by numpy and a product.
    """
    f = faiss()
    n, d = vectors.shape
    index = f.IndexScalarQuantizer(d, f.ScalarQuantizer.QT_fp16, f.METRIC_INNER_PRODUCT)
    raw = vectors.reshape(-1).view(np.uint8)
    index.codes = f.MaybeOwnedVectorUInt8.create_view(f.swig_ptr(raw), raw.nbytes, f.MaybeOwnedVectorUInt8().owner)
    index.ntotal = n
    scores, at = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
    threads = f.omp_get_max_threads()
    f.omp_set_num_threads(1)  # a thread team costs more than one query's scan
    try:
        if allowed is None:
            index.search_c(1, f.swig_ptr(query), k, f.swig_ptr(scores), f.swig_ptr(at))
        else:
            selector = f.IDSelectorBitmap(len(allowed) * 8, f.swig_ptr(allowed))
            params = f.SearchParameters(sel=selector)
            index.search_c(1, f.swig_ptr(query), k, f.swig_ptr(scores), f.swig_ptr(at), params)
    finally:
        f.omp_set_num_threads(threads)
    return at[0], scores[0]
