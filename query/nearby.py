"""Which lists of a piece to look into for some queries, and how many of the best codes to score exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from query import plan
from query.plan import Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.catalog import Calibration
    from embedstore.lists import Coarse, Lists
    from query.plan import Goal
    from query.selection import Selection


@dataclass(frozen=True, eq=False, slots=True)
class Nearby:
    """Lists to probe for some queries.

    Parameters
    ----------
    lists, scores
        Them and their inner products, shape (n, p); -1 pads, and stands alone where a scan of all has to answer.
    depth
        How many of the best codes to score exactly.
    """

    lists: NDArray[np.int64]
    scores: NDArray[np.float32]
    depth: int


@dataclass(frozen=True, eq=False, slots=True)
class Lookup:
    """Some queries for the rows that a selection leaves of one piece.

    Parameters
    ----------
    coarse, calibration
        Of the index.
    lists
        Of the piece.
    selection
        What may answer.
    rotated
        The queries in the codebook's axes, shape (n, d).
    k
        Hits asked for.
    goal
        The recall to reach.
    """

    coarse: Coarse
    calibration: Calibration
    lists: Lists
    selection: Selection
    rotated: NDArray[np.float32]
    k: int
    goal: Goal

    def nearby(self) -> Nearby | None:
        """Return the lists to probe; None where a scan of all is cheaper, or alone reaches the recall."""
        return self._holding(self.rotated) if self.selection.filtered else self._nearest()

    def _nearest(self) -> Nearby | None:
        """Look into the nearest lists, and farther where most of what was in them does not count any more."""
        count, sizes = self.selection.count, self.lists.sizes
        live = 1.0 if self.selection.candidates is None else count / int(sizes.sum())
        effort = None if count <= plan.EXACT_ROWS else self.goal.effort(self.calibration, self.k)
        if effort is None:
            return None
        probes = min(round(effort.probes / live**0.5), self.coarse.lists)  # as of hits that lie farther out
        work = Work(probes, probes / self.coarse.lists * count, effort.candidates)
        if self.k > plan.K and self._scan_is_cheaper(work):
            return None
        near = Nearby(*self.coarse.nearest(self.rotated, probes), effort.candidates)
        if self.selection.candidates is None:
            return near
        left = self.selection.in_list(self.lists)[near.lists].sum(axis=1)
        thin = np.flatnonzero(left < plan.DENSE * live * sizes[near.lists].sum(axis=1))
        if not len(thin):
            return near
        return _with(near, thin, self._holding(self.rotated[thin]))

    def _holding(self, rotated: NDArray[np.float32]) -> Nearby | None:
        """Look into those lists nearest to some queries that hold enough of what may answer."""
        count = self.selection.count
        effort = self.goal.filtered_effort(self.calibration, self.k, count)
        if effort is None or self._scan_is_cheaper(Work(told=count)):
            return None
        enough = max(effort.candidates, self.k, int(effort.share * count))
        lists, scores = self.coarse.holding(rotated, self.selection.in_list(self.lists), enough)
        if self._scan_is_cheaper(Work(np.count_nonzero(lists >= 0) / len(lists), enough, effort.candidates, count)):
            return None
        return Nearby(lists, scores, effort.candidates)

    def _scan_is_cheaper(self, work: Work) -> bool:
        return plan.exact_is_cheaper(self.calibration.costs, self.selection.count, self.selection.runs, work)


def _with(near: Nearby, some: NDArray[np.int64], farther: Nearby | None) -> Nearby:
    """Return lists of which those of some queries are others, or none."""
    if farther is None:
        near.lists[some] = -1
        return near
    width = max(near.lists.shape[1], farther.lists.shape[1])
    lists = np.full((len(near.lists), width), -1, np.int64)
    scores = np.zeros(lists.shape, np.float32)
    for of, at in ((near, slice(None)), (farther, some)):
        lists[at] = -1
        lists[at, : of.lists.shape[1]], scores[at, : of.lists.shape[1]] = of.lists, of.scores
    return Nearby(lists, scores, max(near.depth, farther.depth))
