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

EXACT_ROWS = 20_000
"""Candidates up to which a scan is as fast as probing, whatever the recall."""
EXACT_ROWS_HIGH = 250_000
"""The same where probing would have to scan more than half of the codes: 16 ns a vector that lies in place."""
SLOPE = 7.5
"""With a filter, the share of the candidates to scan falls by this for each unit of recall given up. Far from the
query, lists differ little and neighbours are scattered: on real vectors of two scenes, looking from one for the other,
recall 0.95 took 0.4 of the candidates, and codes re-ranked beyond 400 added little."""
LEAST_SHARE = 0.1
HIGH_SHARE = 0.5


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
        """Return the effort for a filtered search; None if only an exact scan reaches the recall.

        Neighbours that pass a filter are farther away and closer to each other in score than those without one, so
        the same codes tell them apart less well: half the misses are aimed at, and twice as many codes re-ranked.
        """
        if self.recall is None or index is None or not index.calibration:
            return None
        target = 1 - (1 - self.recall) / 2
        effort = next((e for e in index.calibration if e.recall >= target), index.calibration[-1])
        if effort.recall < self.recall:
            return None
        return Effort(2 * effort.probes, 2 * effort.candidates, effort.recall)

    @property
    def share(self) -> float:
        """Share of the candidates whose codes a filtered search scans at least."""
        return 1.0 if self.recall is None else max(LEAST_SHARE, 1 - SLOPE * (1 - self.recall))


def exact_rows(share: float) -> int:
    """Return how many candidates are scored exactly rather than probed for, by the share of codes to scan."""
    return EXACT_ROWS_HIGH if share > HIGH_SHARE else EXACT_ROWS


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
