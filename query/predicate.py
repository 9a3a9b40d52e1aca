"""SQL predicates over a segment's memory-mapped rows, by DuckDB."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore.errors import FilterError
from embedstore.segment import COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.segment import Segment

NAMES = ("id", "lon", "lat", "h3", "datetime", "datetime_end", "modalities", "valid_fraction")
"""Columns that a predicate may name. ``id`` is a BLOB of 16 bytes; times are TIMESTAMP in UTC."""
_OFFSET = re.compile(r":\d\d(\.\d+)?\s*[+-]\d\d(:?\d\d)?'")
"""Ends a text that is a time of another zone. DuckDB compares a TIMESTAMP with it as if the zone were not there."""


class Predicate:
    """Evaluates predicates; one DuckDB connection without access to files or network, a cursor a call."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._lock = threading.Lock()

    def rows(self, segment: Segment, where: str, among: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Return the rows that satisfy a predicate, ascending.

        Parameters
        ----------
        segment
            Whose rows.
        where
            What may follow SQL's WHERE, on the columns :data:`NAMES`.
        among
            Rows to look at, ascending; all if None.

        Raises
        ------
        FilterError
            If the predicate does not parse, names an unknown column, or fails.
        """
        import duckdb  # noqa: PLC0415 - only queries with a predicate pay for the import

        segment.blocks["rows.arrow"].check_all()
        zoned = _OFFSET.search(where) is not None
        table = pa.table({name: _column(segment, name, zoned=zoned) for name in NAMES})
        numbers = np.arange(segment.rows) if among is None else among
        if among is not None:
            table = table.take(pa.array(among))
        table = table.append_column("n", pa.array(numbers))
        try:
            found = self._cursor().from_arrow(table).filter(where).project("n").to_arrow_table()
        except duckdb.Error as error:
            raise FilterError(
                f"the predicate {where!r} cannot be evaluated: {str(error).splitlines()[0]} "
                f"Columns are {', '.join(NAMES)}."
            ) from error
        return np.sort(found["n"].to_numpy())

    def _cursor(self) -> Any:
        import duckdb  # noqa: PLC0415

        with self._lock:
            if self._connection is None:
                self._connection = duckdb.connect(
                    config={
                        "enable_external_access": False,
                        "autoinstall_known_extensions": False,
                        "autoload_known_extensions": False,
                        "python_enable_replacements": False,
                    }
                )
                self._connection.execute("SET GLOBAL TimeZone = 'UTC'")  # of texts and casts that name none
                self._connection.execute("SET lock_configuration = true")
            return self._connection.cursor()


def _column(segment: Segment, name: str, *, zoned: bool) -> pa.Array:
    """Return a column; with time zones, a year or month takes DuckDB twenty times as long."""
    values = segment.column(name)
    if values.dtype.kind == "M":
        return pa.array(values, pa.timestamp("us", "UTC" if zoned else None))
    return pa.Array.from_buffers(COLUMNS[name], segment.rows, [None, pa.py_buffer(values)])
