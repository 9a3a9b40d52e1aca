"""FAISS on a store's own codebook, codes and vectors: what its lists cost without ids, places, times or checks."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.extras import faiss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from query import Engine

K = 10
TIE = 1e-5
CHUNK = 16_384
GRID = [(probes, depth) for probes in (1, 2, 4, 8, 16, 32, 64) for depth in (20, 50, 100, 200, 400, 800)]


class BareFaiss:
    """FAISS search and exact re-ranking by numpy, all in memory: no ids, no places, no times, no checks.

    The codebook and codes are the store's own, so both sides rank the same codes.
    """

    def __init__(self, engine: Engine) -> None:
        f = faiss()
        (piece,) = engine.snapshot.pieces
        index = engine.snapshot.index
        assert index is not None
        assert index.codebook is not None
        self._index = f.read_index(str(engine.store.catalog.codebook_file(index.codebook)))
        ivf = f.downcast_index(f.extract_index_ivf(self._index))
        reader = f.FileIOReader(str(piece.segment.folder / "lists.faiss"))
        inverted = f.read_InvertedLists(reader)
        ivf.replace_invlists(inverted, True)
        inverted.this.disown()
        self._index.ntotal = ivf.ntotal = piece.segment.rows
        self.vectors = piece.segment.vectors.astype(np.float32)
        self._f = f

    def search(self, query: NDArray[np.float32], probes: int, depth: int) -> NDArray[np.float32]:
        """Return the exact scores of the k best."""
        inner = self._f.SearchParametersIVF(nprobe=probes)
        params = self._f.SearchParametersPreTransform(index_params=inner)
        _, rows = self._index.search(query[None], depth, params=params)
        found = rows[0][rows[0] >= 0]
        scores = self.vectors[found] @ query
        best = np.argsort(-scores)[:K]
        return np.asarray(scores[best])


def true_kth(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the exact k-th best score of each query."""
    best = np.full((len(queries), K), -np.inf, np.float32)
    for start in range(0, len(vectors), CHUNK):
        scores = queries @ vectors[start : start + CHUNK].T
        joined = np.concatenate([best, scores], axis=1)
        best = -np.partition(-joined, K - 1, axis=1)[:, :K]
    kth: NDArray[np.float32] = best.min(axis=1)
    return kth


def recall(found: list[NDArray[np.float32]], kth: NDArray[np.float32]) -> float:
    """Return recall@k, ties counted."""
    return float(np.mean([(f >= t - TIE).sum() / K for f, t in zip(found, kth, strict=True)]))


def p50(ask: Callable[[NDArray[np.float32]], Any], queries: NDArray[np.float32]) -> float:
    """Return the median time of a question in milliseconds."""
    times = []
    for query in queries:
        start = time.perf_counter()
        ask(query)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def fastest_equal(
    bare: BareFaiss, queries: NDArray[np.float32], kth: NDArray[np.float32], wanted: float
) -> tuple[int, int, float]:
    """Return the probes and depth with which bare FAISS is fastest at no less than a recall, and its recall."""
    reached = []
    for probes, depth in GRID:
        got = recall([bare.search(q, probes, depth) for q in queries], kth)
        if got >= wanted:
            reached.append((p50(partial(bare.search, probes=probes, depth=depth), queries[:200]), probes, depth, got))
    _, probes, depth, got = min(reached)
    return probes, depth, got
