"""Exact scores of half-precision vectors: what every answer ends with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment

CHUNK = 1 << 16
"""Vectors gathered at a time."""


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
            vectors = segment.read_vectors(start, stop)
            at, scores = top(vectors, query, min(k, stop - start))
            found_rows.append(at + start)
        else:
            part = rows[start:stop]
            at, scores = top(segment.take_vectors(part), query, min(k, len(part)))
            found_rows.append(part[at])
        found_scores.append(scores)
    if len(found_rows) == 1:
        return found_rows[0], found_scores[0]
    if not found_rows:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    all_rows, all_scores = np.concatenate(found_rows), np.concatenate(found_scores)
    order = np.argsort(-all_scores, kind="stable")[:k]
    return all_rows[order], all_scores[order]


def top(vectors: NDArray[np.float16], query: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return positions and inner products of the k best of contiguous vectors, best first.

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
        index.search_c(1, f.swig_ptr(query), k, f.swig_ptr(scores), f.swig_ptr(at))
    finally:
        f.omp_set_num_threads(threads)
    return at[0], scores[0]
