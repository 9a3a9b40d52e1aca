"""How each segment is searched: exactly, in its nearest lists, or in the nearest lists that hold candidates.

A filter in space is a filter on likeness: "find this elsewhere" leaves the lists near the query empty, and plain
IVF then fails in silence. So with a filter the candidates of each list are counted first, and the nearest lists
that hold any are probed until enough candidates have been scanned. How many are enough, how deep to re-rank, and from
how many candidates on this is cheaper than an exact scan was measured when the index was built.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from math import ceil, log
from typing import TYPE_CHECKING

from embedstore.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedstore.catalog import Calibration, Costs, Effort, FilteredEffort

EXACT_ROWS = 20_000
"""Rows up to which a scan of all is as fast as probing, whatever the recall."""
K = 10
"""Hits for which filtered efforts are calibrated, and unfiltered ones first."""
DENSE = 0.8
"""Where fewer of the rows in the nearest lists are live than this share of what is usual, a search without a filter
is one with a filter: what was deleted, or came later than the version asked for, filled the lists near the query."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a probe for one query does: lists probed, codes compared, codes re-ranked, candidates told from others."""

    lists: float = 0
    codes: float = 0
    depth: float = 0
    told: float = 0


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

    def effort(self, calibration: Calibration, k: int) -> Effort | None:
        """Return the cheapest effort that reaches the recall without a filter; None if only an exact scan does."""
        if self.recall is None:
            return None
        efforts = calibration.efforts
        if k <= efforts[0].k:
            return self._for_hits(efforts, efforts[0].k)
        hits = sorted({e.k for e in efforts})
        at = bisect_left(hits, k)
        few, many = (self._for_hits(efforts, n) for n in (hits[at - 1], hits[min(at, len(hits) - 1)]))
        if few is None or many is None:
            return None
        if few.k == many.k:
            # farther hits lie farther out: in more lists, and less apart from what is beside them
            return replace(
                few, probes=round(few.probes * (k / few.k) ** 0.5), candidates=-(-few.candidates * k // few.k)
            )
        between = log(k / few.k) / log(many.k / few.k)
        probes, candidates = (
            ceil(low * (high / low) ** between)
            for low, high in ((few.probes, many.probes), (few.candidates, many.candidates))
        )
        return replace(many, probes=probes, candidates=candidates)

    def filtered_effort(self, calibration: Calibration, k: int, count: int) -> FilteredEffort | None:
        """Return the same under a filter that `count` rows pass.

        Of more rows a smaller share is enough, but more of them stand out by chance, so that more codes are re-ranked.
        The share is that found for no more rows, and no fewer codes are re-ranked than were found for no fewer.
        """
        rows = sorted({e.rows for e in calibration.filtered})
        if self.recall is None or not rows or rows[0] > count:
            return None
        at = bisect_right(rows, count)
        around = [self._cheapest(calibration.filtered, n) for n in rows[at - 1 : at + 1]]
        found = around[0]
        if found is None or None in around:
            return None
        found = replace(found, candidates=max(e.candidates for e in around if e))
        if k <= K:
            return found
        share = min(1.0, found.share * (k / K) ** 0.5)
        return replace(found, share=share, candidates=-(-found.candidates * k // K))

    def _for_hits(self, efforts: Sequence[Effort], k: int) -> Effort | None:
        """Return the first of the efforts measured for so many hits that reaches the recall."""
        assert self.recall is not None
        return next((e for e in efforts if e.k == k and e.recall >= self.recall), None)

    def _cheapest(self, efforts: Sequence[FilteredEffort], rows: int) -> FilteredEffort | None:
        """Return the first of the efforts measured on so many rows that reaches the recall."""
        assert self.recall is not None
        return next((e for e in efforts if e.rows == rows and e.recall >= self.recall), None)


def exact_is_cheaper(costs: Costs, count: int, runs: float, work: Work) -> bool:
    """Tell whether scoring all candidates costs less than probing for the best of them.

    Parameters
    ----------
    count
        How many candidates.
    runs
        In how many runs of neighbouring rows.
    work
        What a probe would do.
    """
    return costs.scan_ns(count, runs) <= costs.probe_ns(work.told, work.lists, work.codes, work.depth)
