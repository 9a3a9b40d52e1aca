"""Bare FAISS: a rotated inverted file of product codes in memory, and exact re-ranking of the best by numpy.

What the two peers made of it share; they differ in the factory string. Knobs: ``probes`` (inverted lists scanned)
and ``depth`` (candidates re-ranked with the float32 vectors, which stay memory-mapped).
A filter is an ``IDSelectorBitmap`` over the mask of rows that pass, made within the call.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import Peer, Rows, Where, cores
from embedstore.extras import faiss
from embedstore.spec import IndexSpec
from indexer.codebook import QUERY_BITS, ROTATION_ROUNDS, ROTATION_ROWS, SEED, TRAIN_PER_LIST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

GRID = ((1, 30), (2, 50), (4, 100), (8, 100), (16, 200), (32, 400), (64, 800), (128, 1600), (256, 3200))


class FaissIVF(Peer):
    """OPQ, IVF and PQ by FAISS, re-ranked exactly."""

    filters = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._f = faiss()

    @abstractmethod
    def factory(self, rows: int, dimension: int) -> str:
        """Return the FAISS factory string."""

    def build(self, rows: Rows, folder: Path) -> None:  # noqa: ARG002 - it lives in memory alone
        """Train on a sample, then add every row."""
        self._rows = rows
        self._f.omp_set_num_threads(cores())
        self._index = self._f.index_factory(
            rows.dimension, self.factory(len(rows), rows.dimension), self._f.METRIC_INNER_PRODUCT
        )
        rotation = self._f.downcast_VectorTransform(self._index.chain.at(0))
        if isinstance(rotation, self._f.OPQMatrix):
            rotation.niter, rotation.niter_pq, rotation.max_train_points = ROTATION_ROUNDS, 4, ROTATION_ROWS
        ivf = self._f.downcast_index(self._f.extract_index_ivf(self._index))
        ivf.cp.seed, ivf.cp.min_points_per_centroid = SEED, 1
        if isinstance(ivf, self._f.IndexIVFRaBitQ):
            ivf.qb = QUERY_BITS
        count = min(len(rows), max(TRAIN_PER_LIST * ivf.nlist, ROTATION_ROWS))
        sample = np.sort(np.random.default_rng(0).choice(len(rows), count, replace=False))
        self._index.train(rows.vectors[sample])
        for part in rows.chunks():
            self._index.add(rows.vectors[part])
        self._f.omp_set_num_threads(self._threads)

    def sweep(self) -> list[dict[str, Any]]:
        """Return pairs of ``probes`` and ``depth``."""
        return [{"probes": probes, "depth": depth} for probes, depth in GRID]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Scan, then re-rank."""
        return self._answer(query[None], k, knobs)[0]

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Scan for all queries at once, then re-rank each."""
        with threads_of(self._f, cores(), then=self._threads):
            return self._answer(queries, k, knobs)

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Scan the rows whose bit is set, then re-rank."""
        return self._answer(query[None], k, knobs, selector(self._f, where.rows(self._rows)))[0]

    def _answer(
        self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any], sel: Any = None
    ) -> list[NDArray[np.int64]]:
        inner = self._f.SearchParametersIVF(nprobe=knobs["probes"], sel=sel)
        params = self._f.SearchParametersPreTransform(index_params=inner)
        _, found = self._index.search(queries, min(knobs["depth"], len(self._rows)), params=params)
        return [self._rerank(query, ids[ids >= 0], k) for query, ids in zip(queries, found, strict=True)]

    def _rerank(self, query: NDArray[np.float32], ids: NDArray[np.int64], k: int) -> NDArray[np.int64]:
        scores = self._rows.vectors[ids] @ query
        return ids[np.argsort(-scores, kind="stable")[:k]]


def lists_for(rows: int, dimension: int) -> int:
    """Return how many inverted lists our own index would have for this many rows."""
    # Of our factory string this number alone counts: the quantiser there is ours to change, a peer's is its name.
    found = re.search(r"IVF(\d+)", IndexSpec.for_rows(rows, dimension).factory)
    assert found
    return int(found[1])


def selector(f: Any, mask: NDArray[np.bool_]) -> Any:
    """Return the FAISS selector of the rows where ``mask`` is true."""
    return f.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


@contextmanager
def threads_of(f: Any, count: int, then: int) -> Iterator[None]:
    """Let FAISS use ``count`` threads inside the block and ``then`` after it."""
    f.omp_set_num_threads(count)
    try:
        yield
    finally:
        f.omp_set_num_threads(then)
