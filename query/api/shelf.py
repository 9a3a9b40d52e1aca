"""What was read from the table's files, kept for the next question: columns by row group, the least used go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedstore import deadline
from embedstore.errors import DamageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstore.home import Home

Key = tuple[str, int, str]


class Shelf:
    """Columns of a table's files. Files never change, so what was read stays right.

    Parameters
    ----------
    home
        The store's files.
    most
        Bytes that are kept.
    """

    def __init__(self, home: Home, most: int) -> None:
        self._home, self._most, self._held = home, most, 0
        self._columns: OrderedDict[Key, pa.Array] = OrderedDict()
        self._ends: dict[str, NDArray[np.int64]] = {}
        self._lock, self._reading = threading.Lock(), threading.Lock()

    def take(self, files: Sequence[str], rows: NDArray[np.int64], columns: Sequence[str]) -> list[pa.Array]:
        """Return columns of scattered rows of the table, in the order given.

        Parameters
        ----------
        files, rows
            Data file, and row in it, of each.
        columns
            Their names.

        Raises
        ------
        DamageError
            If a file cannot be read.
        """
        paths = np.array(files, object)
        pieces: list[list[pa.Array]] = [[] for _ in columns]
        order = []
        for path in dict.fromkeys(files):
            here = np.flatnonzero(paths == path)
            ends = self._group_ends(path)
            group = np.searchsorted(ends, rows[here], "right")
            for number in np.unique(group).tolist():
                deadline.check()
                mine = here[group == number]
                at = pa.array(rows[mine] - (ends[number - 1] if number else 0))
                for out, name in zip(pieces, columns, strict=True):
                    out.append(self._column(path, number, name).take(at))
                order.append(mine)
        if not order:
            return [pa.nulls(0)] * len(columns)
        back = pa.array(np.argsort(np.concatenate(order)))
        return [pa.concat_arrays(out).take(back) for out in pieces]

    def _group_ends(self, path: str) -> NDArray[np.int64]:
        if path not in self._ends:
            with self._file(path) as file:
                sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            self._ends[path] = np.cumsum(sizes, dtype=np.int64)
        return self._ends[path]

    def _column(self, path: str, group: int, name: str) -> pa.Array:
        key = (path, group, name)
        if (found := self._find(key)) is not None:
            return found
        with self._reading:  # one at a time: those who want the same need not read it again
            if (found := self._find(key)) is None:
                try:
                    with self._file(path) as file:
                        read = file.read_row_group(group, [name])[name].combine_chunks()
                except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                    raise _damaged(f"{self._home}/{path}", error) from error
                found = pa.concat_arrays(read.chunks) if isinstance(read, pa.ChunkedArray) else read
                self._keep(key, found)
        return found

    def _find(self, key: Key) -> pa.Array | None:
        with self._lock:
            if key in self._columns:
                self._columns.move_to_end(key)
            return self._columns.get(key)

    def _keep(self, key: Key, column: pa.Array) -> None:
        with self._lock:
            self._columns[key] = column
            self._held += column.nbytes
            while self._held > self._most and len(self._columns) > 1:
                self._held -= self._columns.popitem(last=False)[1].nbytes

    def _file(self, path: str) -> pq.ParquetFile:
        try:
            source = self._home.readable(self._home.folder / path)
            remote = not isinstance(source, Path)  # then what lies close is read at once
            return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=remote)
        except (OSError, pa.ArrowException) as error:
            raise _damaged(f"{self._home}/{path}", error) from error


def _damaged(path: str, error: Exception) -> DamageError:
    return DamageError(f"the data file {path} cannot be read ({error}). Run `embedstore verify`.")
