"""A piece: what one version of the table holds of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment


@dataclass(eq=False)
class Piece:
    """A segment as one version of the table sees it.

    Parameters
    ----------
    segment
        The segment.
    alive
        Which of its rows the version holds; None if all.
    moved
        For rows of rewritten files: (file number in the snapshot, row) of each row, -1 where the row was not moved.
    """

    segment: Segment
    alive: NDArray[np.bool_] | None = None
    moved: tuple[NDArray[np.int32], NDArray[np.int32]] | None = None

    @property
    def count(self) -> int:
        """Rows of the segment that the version holds."""
        return self.segment.rows if self.alive is None else int(np.count_nonzero(self.alive))

    def live_rows(self) -> NDArray[np.int64]:
        """Return the rows that the version holds, in H3 order."""
        return np.arange(self.segment.rows) if self.alive is None else np.flatnonzero(self.alive)
