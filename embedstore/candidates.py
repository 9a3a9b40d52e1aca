"""Rows of a segment that may answer a question, in whichever form was cheap to make.

A few are row numbers; many are zones with a mark for each of their rows. Neither is turned into the other before
someone needs it: an approximate search wants one bit a row, and never asks for the numbers in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.extras import faiss
from embedstore.segment import ZONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

BYTES = ZONE // 8
"""Bytes of a bit map that stand for one zone."""


class Candidates(ABC):
    """What :class:`Numbered` and :class:`Marked` have in common.

    Attributes
    ----------
    size
        Rows of the segment.
    count
        How many of them may answer.
    """

    size: int
    count: int

    @property
    @abstractmethod
    def numbers(self) -> NDArray[Any]:
        """The rows, in any order."""

    @property
    @abstractmethod
    def rows(self) -> NDArray[np.int64]:
        """The rows, ascending."""

    @property
    @abstractmethod
    def ends(self) -> tuple[int, int]:
        """The first row and the last, or those of their zones; there must be one."""

    @abstractmethod
    def __contains__(self, row: int) -> bool: ...

    @abstractmethod
    def _bit_map(self) -> NDArray[np.uint8]:
        """Return a bit for each row of the segment."""

    @property
    @abstractmethod
    def runs(self) -> float:
        """About how many runs of neighbouring rows they are; there must be one."""

    @property
    def span(self) -> int:
        """Rows from the first to the last."""
        return self.ends[1] - self.ends[0] + 1 if self.count else 0

    @cached_property
    def selector(self) -> Any:
        """The rows as FAISS wants them; there must be one."""
        f = faiss()
        if self.span == self.count:
            return f.IDSelectorRange(self.ends[0], self.ends[1] + 1)
        bits = self._bit_map()
        selector = f.IDSelectorBitmap(self.size, f.swig_ptr(bits))
        selector.bits = bits  # kept as long as it: FAISS only looks at them, and several threads may make one each
        return selector


class Numbered(Candidates):
    """Rows by number.

    Parameters
    ----------
    size
        Rows of the segment.
    numbers
        The rows, distinct, in any order.
    """

    def __init__(self, size: int, numbers: NDArray[Any]) -> None:
        self.size = size
        self._numbers = numbers
        self.count = len(numbers)

    @property
    def numbers(self) -> NDArray[Any]:
        """The rows as they were given."""
        return self._numbers

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The rows, ascending."""
        return np.sort(self._numbers).astype(np.int64, copy=False)

    @cached_property
    def ends(self) -> tuple[int, int]:
        """The first row and the last; there must be one."""
        return int(self._numbers.min()), int(self._numbers.max())

    @property
    def runs(self) -> float:
        """As many as if they were strewn by chance between the first and the last."""
        return 1 + self.count * (1 - self.count / self.span)

    def __contains__(self, row: int) -> bool:
        return bool((self._numbers == row).any())

    def _bit_map(self) -> NDArray[np.uint8]:
        first, last = self.ends
        start = first & ~7
        marks = np.zeros(last + 1 - start, bool)
        marks[self._numbers - start] = True
        bits = np.zeros(-(-self.size // 8), np.uint8)  # memory that is not written to costs nothing
        packed = np.packbits(marks, bitorder="little")
        bits[start >> 3 : (start >> 3) + len(packed)] = packed
        return bits


class Marked(Candidates):
    """Rows by zone.

    Parameters
    ----------
    size
        Rows of the segment.
    zones
        Numbers of zones, ascending, shape (z,).
    marks
        Which rows of each may answer, shape (z, ZONE); none beyond the segment's end.
    """

    def __init__(self, size: int, zones: NDArray[np.int64], marks: NDArray[np.bool_]) -> None:
        self.size = size
        self._zones, self._marks = zones, marks
        self.count = int(np.count_nonzero(marks))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The rows, ascending."""
        at = np.flatnonzero(self._marks)
        zone = at // ZONE
        return at + (ZONE * (self._zones - np.arange(len(self._zones))))[zone]

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The same."""
        return self.rows

    @cached_property
    def ends(self) -> tuple[int, int]:
        """Where the first zone begins and the last one ends; there must be one."""
        return int(self._zones[0]) * ZONE, min(self.size, (int(self._zones[-1]) + 1) * ZONE) - 1

    @cached_property
    def runs(self) -> float:
        """As many as there are."""
        before = np.zeros(len(self._zones), bool)
        before[1:] = self._marks[:-1, -1] & (np.diff(self._zones) == 1)
        within = np.count_nonzero(self._marks[:, 1:] & ~self._marks[:, :-1])
        return int(within + np.count_nonzero(self._marks[:, 0] & ~before))

    def __contains__(self, row: int) -> bool:
        at = int(np.searchsorted(self._zones, row // ZONE))
        return at < len(self._zones) and self._zones[at] == row // ZONE and bool(self._marks[at, row % ZONE])

    def _bit_map(self) -> NDArray[np.uint8]:
        bits = np.zeros(-(-self.size // ZONE) * BYTES, np.uint8)
        bits.reshape(-1, BYTES)[self._zones] = np.packbits(self._marks, axis=1, bitorder="little")
        return bits
