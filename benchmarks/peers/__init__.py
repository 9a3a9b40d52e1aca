"""Other vector databases and libraries, asked the same questions as ours. One file a peer, imported when it is made."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.peers.base import Peer


def lazy(module: str, name: str, **settings: Any) -> Callable[..., Peer]:
    """Return a maker of the peer ``name`` in ``benchmarks.peers.<module>``, which it imports when called."""

    def make(threads: int = 1) -> Peer:
        peer: Peer = getattr(importlib.import_module(f"benchmarks.peers.{module}"), name)(threads=threads, **settings)
        return peer

    return make


PEERS: dict[str, Callable[..., Peer]] = {
    "ours": lazy("ours", "Ours"),
    "flat": lazy("flat", "Flat"),
    "ivf_fastscan": lazy("ivf_fastscan", "IVFFastScan"),
    "ivf_pq": lazy("ivf_pq", "IVFPQ"),
    "ivf_rabitq": lazy("ivf_rabitq", "IVFRaBitQ"),
    "hnswlib": lazy("hnsw", "HNSW"),
    "hnswlib_m32": lazy("hnsw", "HNSW", links=32),
    "usearch": lazy("usearch_hnsw", "USearch"),
    "usearch_m32": lazy("usearch_hnsw", "USearch", links=32),
    "lance": lazy("lance", "Lance"),
    "duckdb_vss": lazy("duckdb_vss", "DuckVSS"),
    "pgvector": lazy("pgvector", "PgVector"),
}
"""Every peer by name; a :class:`benchmarks.peers.host.Host` makes them in a process of their own."""
