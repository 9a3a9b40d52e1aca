"""embedstore itself, asked as its users ask: a store on disk, its index, and hits with ids, places and times.

Knobs: ``recall``, the share of the true neighbours asked for.
"""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import stores
from benchmarks.peers.base import Peer, PeerError, Rows, Where, cores
from embedstore.extras import faiss
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from query.hits import Hits


class Ours(Peer):
    """The engine of this project."""

    name = "embedstore"
    filters = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads

    def build(self, rows: Rows, folder: Path) -> None:
        """Write the table and build the index in a process that ends, then open them, as a server would."""
        path = folder / "store"
        builder = multiprocessing.get_context("fork").Process(target=_make, args=(rows, path))
        builder.start()
        builder.join()
        if builder.exitcode:
            raise PeerError(f"the process that built {path} ended with exit code {builder.exitcode}.")
        faiss().omp_set_num_threads(self._threads)
        self.engine = Engine(path)

    def sweep(self) -> list[dict[str, Any]]:
        """Return recalls."""
        return [{"recall": r} for r in (0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, "exact")]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Search all rows."""
        return _read(self.engine.search(query, k=k, **knobs))

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Search all rows for all queries at once."""
        faiss().omp_set_num_threads(cores())
        try:
            return [_read(hits) for hits in self.engine.search_many(queries, k=k, **knobs)]
        finally:
            faiss().omp_set_num_threads(self._threads)

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Search the rows that pass."""
        between = None
        if where.between:
            first, last = (np.datetime64(edge, "us") for edge in where.between)
            between = first, last
        share = None
        if where.share:
            low, high = (float(np.float32(edge)) for edge in where.share)
            share = f"valid_fraction >= {low!r} AND valid_fraction < {high!r}"
        hits = self.engine.search(
            query, k=k, bbox=where.bbox, within=where.polygon, between=between, where=share, **knobs
        )
        return _read(hits)


def _make(rows: Rows, path: Path) -> None:
    stores.append(stores.create(path, rows.dimension), rows)
    faiss().omp_set_num_threads(cores())
    build(path)


def _read(hits: Hits) -> NDArray[np.int64]:
    """Read what a user would: ids, places and times."""
    _ = hits.lon, hits.lat, hits.datetime
    return stores.row_numbers(hits.ids)
