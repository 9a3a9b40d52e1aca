"""Bare FAISS with the very factory string of our own index, ``RR{d},IVF{lists},RaBitQ``, then exact re-ranking.

Knobs: ``probes`` and ``depth``, as in :mod:`benchmarks.peers.faiss_ivf`.
"""

from __future__ import annotations

from benchmarks.peers.faiss_ivf import FaissIVF
from embedstore.spec import IndexSpec


class IVFRaBitQ(FaissIVF):
    """Bits of the rotated residual, scanned by popcount."""

    name = "FAISS IVF-RaBitQ"

    def factory(self, rows: int, dimension: int) -> str:
        """Return our factory string."""
        return IndexSpec.for_rows(rows, dimension).factory
