"""How each segment is searched: exactly, in its nearest lists, or in the nearest lists that hold candidates.

A filter in space is a filter on likeness: "find this elsewhere" leaves the lists near the query empty, and plain
IVF then fails in silence. So with a filter the candidates of each list are counted first, and the nearest lists
that hold any are probed until enough candidates have been scanned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstore.catalog import Effort
from embedstore.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.catalog import Index

EXACT_ROWS = 5_000
"""Candidates that are scored exactly rather than probed for: below this a gather and a scan are as fast."""
SCAN_PER_CANDIDATE = 20
"""With a filter, codes scanned for each one re-ranked: far from the query, lists differ less and more are needed."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What the caller asked for: a recall, or the exact answer.

    Parameters
    ----------
    recall
        Above 0 and below 1; None for exact.
    """

    recall: float | None

    @classmethod
    def parse(cls, recall: float | str) -> Goal:
        """Read a recall as people write it.

        Raises
        ------
        QueryError
            If it is neither a number above 0 and up to 1 nor ``exact``.
        """
        if recall == "exact":
            return cls(None)
        try:
            value = float(recall)
        except (TypeError, ValueError):
            value = float("nan")
        if not 0 < value <= 1:
            raise QueryError(f"recall {recall!r} makes no sense; give a number above 0 and up to 1, or 'exact'.")
        return cls(None if value == 1 else value)

    def effort(self, index: Index | None) -> Effort | None:
        """Return the cheapest calibrated effort that reaches the recall; None if only an exact scan does."""
        if self.recall is None or index is None:
            return None
        return next((e for e in index.calibration if e.recall >= self.recall), None)

    def filtered_effort(self, index: Index | None) -> Effort | None:
        """Return the effort for a filtered search: the calibration knows none, so half the misses, and twice all.

        Neighbours that pass a filter are farther away and closer to each other in score than those without one, so
        the same codes tell them apart less well.
        """
        if self.recall is None or index is None or not index.calibration:
            return None
        target = 1 - (1 - self.recall) / 2
        effort = next((e for e in index.calibration if e.recall >= target), index.calibration[-1])
        if effort.recall < self.recall:
            return None
        return Effort(2 * effort.probes, 2 * effort.candidates, effort.recall)


def lists_with_candidates(
    scores: NDArray[np.float32], counts: NDArray[np.int64], probes: int, enough: int
) -> NDArray[np.int64]:
    """Return the lists to probe under a filter, nearest first.

    Parameters
    ----------
    scores
        Inner product of the query and each list's centroid, shape (lists,).
    counts
        Candidates in each list, shape (lists,).
    probes
        How many lists that hold candidates to probe at least.
    enough
        How many candidates to scan at least.
    """
    held = np.flatnonzero(counts)
    order = held[np.argsort(-scores[held])]
    reached = int(np.searchsorted(np.cumsum(counts[order]), enough)) + 1
    return order[: max(probes, reached)]


def bitmap(rows: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Return rows as a bit map of `size` bits, lowest bit first, as FAISS reads it."""
    mask = np.zeros(size, bool)
    mask[rows] = True
    return np.packbits(mask, bitorder="little")
