"""A reader: one version of a store and the encoder that made it; parts of the index found damaged are given up."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from embedstore import deadline
from embedstore.errors import DamageError
from embedstore.snapshot import DegradedIndexWarning, Snapshot
from embedstore.store import Store
from embedstore.vectors import to_unit
from query.searcher import Searcher

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class Reader:
    """Holds the searcher of one version of a store.

    Parameters
    ----------
    store, version
        As :class:`query.engine.Engine` takes them.

    Notes
    -----
    Safe to share between threads: each question keeps the searcher that it began with.
    """

    def __init__(self, store: str | Path, version: int | None = None) -> None:
        self.store = Store.open(store, version)
        self._encoder: Any = None
        self._loading = threading.Lock()
        self._bad: frozenset[str] = frozenset()
        self._moving = threading.Lock()
        self._searcher = self._open()

    def refresh(self) -> None:
        """Move on to the newest version of the table and the live index."""
        with self._moving:
            self.store.refresh()
            self._bad = frozenset()
            self._searcher = self._open()

    def _open(self) -> Searcher:
        snapshot = Snapshot(self.store.table, self.store.catalog, self._bad)
        try:
            searcher = Searcher(snapshot, self.store.catalog)
        except DamageError as error:
            snapshot.degraded.append(str(error))
            snapshot.index = None
            searcher = Searcher(snapshot, self.store.catalog)
        if snapshot.degraded and not snapshot.uncovered:
            warnings.warn(
                f"the index of {self.store.path} is damaged: {snapshot.degraded[0]} Answers stay right.",
                DegradedIndexWarning,
                stacklevel=4,
            )
        snapshot.rescue()
        return searcher

    @property
    def snapshot(self) -> Snapshot:
        """The rows that questions are answered from."""
        return self._searcher.snapshot

    def encode_chip(self, chip: str | Path) -> NDArray[np.float32]:
        """Return the unit vector, shape (1, d), of a raster file, encoded as the store was.

        Raises
        ------
        InputError, EncoderError
            If the file cannot be read, or cannot be encoded as the store was.
        """
        from indexer.query_chip import encode_chip  # noqa: PLC0415 - torch is needed for chips only

        return to_unit(encode_chip(Path(chip), self.encoder()), self.store.encoder.dimension)

    def encoder(self) -> Any:
        """Return the encoder that made the store's vectors, loaded once.

        Raises
        ------
        EncoderError
            If it cannot be loaded.
        """
        from indexer.encoders.registry import load  # noqa: PLC0415 - torch is needed for pixels only

        with self._loading:
            if self._encoder is None:
                self._encoder = load(self.store.encoder_folder, self.store.encoder)
            return self._encoder

    def ask(self, of: Callable[[Searcher], T]) -> T:
        """Answer from one searcher, should another thread move on meanwhile; give up segments found damaged.

        Parameters
        ----------
        of
            Makes the answer; called again, with another searcher, if it came upon a damaged segment.

        Raises
        ------
        DamageError
            If the table itself is damaged.
        Stopped
            If a deadline has passed; see :mod:`embedstore.deadline`.
        """
        while True:
            deadline.check()
            searcher = self._searcher
            try:
                return of(searcher)
            except DamageError as error:
                self._give_up_segment(searcher, error)

    def _give_up_segment(self, searcher: Searcher, error: DamageError) -> None:
        """Go on without a segment in which damage was found; the table has its rows."""
        with self._moving:
            if self._searcher is not searcher:
                return  # another thread has moved on already
            pieces = searcher.snapshot.pieces
            damaged = next((p.segment.name for p in pieces if str(p.segment.folder) + "/" in str(error)), None)
            if damaged is None or damaged in self._bad:
                raise error
            self._bad |= {damaged}
            self._searcher = self._open()
