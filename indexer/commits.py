"""Units gathered and committed, several at once where commits take long.

A commit costs more the more files a table has. Rows that wait are lost if the process dies, and encoded again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from embedstore.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

    from indexer.units import Ledger

PAUSE = 9.0
"""Commits rest this many times as long as the last one took: a tenth of the time goes to them."""
MOST_ROWS = 16_384
"""More rows than this do not wait; they are some 100 MB with their thumbnails."""


class Commits:
    """Commits units to a store, by one thread; the end of a ``with`` statement commits what still waits.

    Parameters
    ----------
    store
        Where to.

    Attributes
    ----------
    written, already
        Rows that were added, and rows that were there.
    """

    def __init__(self, store: Ledger) -> None:
        self.written = self.already = 0
        self._store = store
        self._units: list[tuple[str | None, pa.Table]] = []
        self._rows = 0
        self._due = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if not isinstance(error, StoreError):  # what others' errors found finished stays finished
            self.flush()

    def add(self, name: str, table: pa.Table) -> None:
        """Commit a unit, at once or with the next."""
        self._units.append((name, table))
        self._rows += len(table)
        if self._rows >= MOST_ROWS or time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        """Commit what waits."""
        if not self._units:
            return
        began = time.monotonic()
        written = self._store.append_units(self._units)
        self.written += written
        self.already += self._rows - written
        self._units, self._rows = [], 0
        ended = time.monotonic()
        self._due = ended + PAUSE * (ended - began)
