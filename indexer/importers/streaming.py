"""Parquet files read forward, in little memory however large their row groups are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from embedstore.errors import EmbeddingsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what libraries raise over the contents of a file into one error.

    Raises
    ------
    EmbeddingsError
        If they raise.
    """
    try:
        yield
    except (OSError, pa.ArrowException, ValueError, OverflowError) as error:
        raise EmbeddingsError(f"{path} cannot be read: {error}. Is it whole? Fetch it again.") from error


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a Parquet file for streaming.

    Raises
    ------
    EmbeddingsError
        If it is none.
    """
    try:
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise EmbeddingsError(f"{path} cannot be opened as Parquet: {error}. Is it whole? Fetch it again.") from error


class Stream:
    """Reads a row group forward, a few rows at a time, however large it is."""

    def __init__(self, file: pq.ParquetFile, group: int, step: int, columns: list[str]) -> None:
        self._batches = file.iter_batches(step, row_groups=[group], columns=columns)
        self._held: list[pa.RecordBatch] = []
        self._at = 0

    def take(self, start: int, count: int) -> pa.Table:
        """Return rows, none of which may stand before those taken last.

        Raises
        ------
        ValueError
            If there are fewer rows than the file says.
        """
        while self._at + sum(b.num_rows for b in self._held) < start + count:
            batch = next(self._batches, None)
            if batch is None:
                raise ValueError("a row group has fewer rows than its file says")
            self._held.append(batch)
            while self._held and self._at + self._held[0].num_rows <= start:
                self._at += self._held.pop(0).num_rows
        return pa.Table.from_batches(self._held).slice(start - self._at, count)
