"""FAISS ``IndexFlatIP``: every vector compared, so always exact. No knobs: the yardstick of what an index saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.base import Peer, Rows, Where, cores
from benchmarks.peers.faiss_ivf import selector, threads_of
from embedstore.extras import faiss

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Flat(Peer):
    """Exact search over float32 vectors in memory."""

    name = "FAISS Flat"
    filters = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._f = faiss()

    def build(self, rows: Rows, folder: Path) -> None:  # noqa: ARG002 - it lives in memory alone
        """Copy the vectors."""
        self._rows = rows
        self._index = self._f.IndexFlatIP(rows.dimension)
        for part in rows.chunks():
            self._index.add(rows.vectors[part])
        self._f.omp_set_num_threads(self._threads)

    def sweep(self) -> list[dict[str, Any]]:
        """Return the one setting."""
        return [{}]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:  # noqa: ARG002
        """Compare with every row."""
        return _found(self._index.search(query[None], k)[1])[0]

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:  # noqa: ARG002
        """Compare all with all, as a matrix product."""
        with threads_of(self._f, cores(), then=self._threads):
            return _found(self._index.search(queries, k)[1])

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:  # noqa: ARG002
        """Compare with the rows whose bit is set; the mask is made within the call."""
        params = self._f.SearchParameters(sel=selector(self._f, where.rows(self._rows)))
        return _found(self._index.search(query[None], k, params=params)[1])[0]


def _found(ids: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [row[row >= 0] for row in ids]
