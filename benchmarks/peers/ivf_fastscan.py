"""Bare FAISS ``OPQ{d/4},IVF{lists},PQ{d/4}x4fs``: 4-bit codes scanned in registers, then exact re-ranking.

Knobs: ``probes`` and ``depth``, as in :mod:`benchmarks.peers.faiss_ivf`.
"""

from __future__ import annotations

from benchmarks.peers.faiss_ivf import FaissIVF, lists_for


class IVFFastScan(FaissIVF):
    """The fastest CPU scan that FAISS has: half a byte for four dimensions."""

    name = "FAISS IVF fast scan"

    def factory(self, rows: int, dimension: int) -> str:
        """Return the factory string; d/4 sub-quantisers of 16 centroids each."""
        codes = dimension // 4
        return f"OPQ{codes},IVF{lists_for(rows, dimension)},PQ{codes}x4fs"
