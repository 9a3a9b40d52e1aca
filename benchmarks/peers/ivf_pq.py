"""Bare FAISS ``OPQ{m},IVF{lists},PQ{m}``, the very factory string of our own index, then exact re-ranking.

Knobs: ``probes`` and ``depth``, as in :mod:`benchmarks.peers.faiss_ivf`.
"""

from __future__ import annotations

from benchmarks.peers.faiss_ivf import FaissIVF
from embedstore.spec import IndexSpec


class IVFPQ(FaissIVF):
    """Bytes of product code scanned by table look-up."""

    name = "FAISS IVF-PQ"

    def factory(self, rows: int, dimension: int) -> str:
        """Return the factory string that our index has for this many rows."""
        return IndexSpec.for_rows(rows, dimension).factory
