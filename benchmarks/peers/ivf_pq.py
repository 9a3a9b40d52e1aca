"""Bare FAISS ``OPQ{m},IVF{lists},PQ{m}``, a byte for eight dimensions or more, then exact re-ranking.

Knobs: ``probes`` and ``depth``, as in :mod:`benchmarks.peers.faiss_ivf`.
"""

from __future__ import annotations

from benchmarks.peers.faiss_ivf import FaissIVF, lists_for

MOST_BYTES = 64


class IVFPQ(FaissIVF):
    """Bytes of product code scanned by table look-up."""

    name = "FAISS IVF-PQ"

    def factory(self, rows: int, dimension: int) -> str:
        """Return the factory string; at most 64 bytes a code, and a divisor of the dimension."""
        fitting = (m for m in range(1, MOST_BYTES + 1) if dimension % m == 0 and dimension >= 8 * m)
        codes = max(fitting, default=1)
        return f"OPQ{codes},IVF{lists_for(rows, dimension)},PQ{codes}"
