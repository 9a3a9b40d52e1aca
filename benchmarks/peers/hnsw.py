"""hnswlib: an HNSW graph over float32 vectors in memory. Knob: ``ef``, the beam of the search.

A filter is a Python function that the graph walk asks about every row it meets; the mask behind it is made by numpy
within the call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import Peer, Rows, Where, cores, require

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EF_CONSTRUCTION = 128
EF = (16, 32, 64, 128, 256, 512, 1024)


class HNSW(Peer):
    """HNSW with ``links`` links a node (M)."""

    name = "hnswlib"
    filters = True

    def __init__(self, threads: int = 1, links: int = 16) -> None:
        self._threads = threads
        self._links = links
        self._hnswlib = require("hnswlib", "hnswlib")

    def build(self, rows: Rows, folder: Path) -> None:  # noqa: ARG002 - it lives in memory alone
        """Link every row into the graph."""
        self._rows = rows
        self._index = self._hnswlib.Index(space="ip", dim=rows.dimension)
        self._index.init_index(len(rows), M=self._links, ef_construction=EF_CONSTRUCTION, random_seed=0)
        for part in rows.chunks():
            self._index.add_items(rows.vectors[part], np.arange(part.start, part.stop), num_threads=cores())

    def sweep(self) -> list[dict[str, Any]]:
        """Return values of ``ef``."""
        return [{"ef": ef} for ef in EF]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph."""
        return self._walk(query[None], k, knobs, self._threads)[0]

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Walk for all queries, spread over the cores."""
        return self._walk(queries, k, knobs, cores())

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph and keep what passes."""
        mask = where.rows(self._rows)
        # hnswlib raises if it finds fewer than k, so it must not be asked for more than there are.
        while k := min(k, int(np.count_nonzero(mask))):
            try:
                return self._walk(query[None], k, knobs, 1, lambda row: bool(mask[row]))[0]
            except RuntimeError:
                k //= 2
        return np.empty(0, dtype=np.int64)

    def _walk(
        self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any], threads: int, passes: Any = None
    ) -> list[NDArray[np.int64]]:
        self._index.set_ef(max(knobs["ef"], k))
        labels, _ = self._index.knn_query(queries, k, num_threads=threads, filter=passes)
        return list(labels.astype(np.int64))
