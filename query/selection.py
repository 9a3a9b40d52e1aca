"""What a filter leaves of one piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.candidates import Candidates
    from embedstore.lists import Lists


@dataclass(eq=False, slots=True)
class Selection:
    """A filter compiled for one piece.

    Parameters
    ----------
    candidates
        Rows that may answer; None if all.
    count
        How many.
    filtered
        Whether a filter chose them; if not, rows are missing only because they were deleted.
    """

    candidates: Candidates | None
    count: int
    filtered: bool = False
    _in_list: NDArray[np.int64] | None = field(default=None, init=False)

    @property
    def rows(self) -> NDArray[np.int64] | None:
        """Rows that may answer, ascending; None if all."""
        return None if self.candidates is None else self.candidates.rows

    @property
    def runs(self) -> float:
        """About how many runs of neighbouring rows."""
        return 1 if self.candidates is None else self.candidates.runs

    def in_list(self, lists: Lists) -> NDArray[np.int64]:
        """Return how many may answer in each of the piece's lists; they are counted once."""
        if self.candidates is None:
            return lists.sizes
        if self._in_list is None:
            self._in_list = self._counted(lists, self.candidates)
        return self._in_list

    def _counted(self, lists: Lists, candidates: Candidates) -> NDArray[np.int64]:
        if 2 * self.count < candidates.size:
            return lists.counts(candidates.numbers)
        others = np.ones(candidates.size, bool)  # fewer: where a row was deleted, those that were
        others[candidates.numbers] = False
        return lists.sizes - lists.counts(np.flatnonzero(others))
