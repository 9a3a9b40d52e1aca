"""USearch: an HNSW graph over float16 vectors in memory. Knob: ``ef``, the beam of the search.

Unfiltered only: its Python search takes no predicate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import Peer, Rows, cores, require

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EF_CONSTRUCTION = 128
EF = (16, 32, 64, 128, 256, 512, 1024)


class USearch(Peer):
    """HNSW with ``links`` links a node (M)."""

    name = "USearch HNSW"
    filters = False

    def __init__(self, threads: int = 1, links: int = 16) -> None:
        self._threads = threads
        self._links = links
        self._usearch = require("usearch.index", "usearch")

    def build(self, rows: Rows, folder: Path) -> None:  # noqa: ARG002 - it lives in memory alone
        """Link every row into the graph."""
        self._index = self._usearch.Index(
            ndim=rows.dimension,
            metric="ip",
            dtype="f16",
            connectivity=self._links,
            expansion_add=EF_CONSTRUCTION,
        )
        for part in rows.chunks():
            self._index.add(np.arange(part.start, part.stop, dtype=np.uint64), rows.vectors[part], threads=cores())

    def sweep(self) -> list[dict[str, Any]]:
        """Return values of ``ef``."""
        return [{"ef": ef} for ef in EF]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph."""
        self._index.expansion_search = max(knobs["ef"], k)
        found: NDArray[np.int64] = self._index.search(query, k, threads=self._threads).keys.astype(np.int64)
        return found

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Walk for all queries, spread over the cores."""
        self._index.expansion_search = max(knobs["ef"], k)
        found = self._index.search(queries, k, threads=cores())
        return [keys[:count].astype(np.int64) for keys, count in zip(found.keys, found.counts, strict=True)]
