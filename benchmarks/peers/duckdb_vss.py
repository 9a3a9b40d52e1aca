"""DuckDB with its VSS extension: an HNSW graph over float32 vectors, in memory beside the table that it serves.

Knobs: ``ef`` (``hnsw_ef_search``) or ``exact``, which scans the table instead. VSS applies WHERE to what the graph
returned; so a filtered search by graph asks for ``ef`` rows, then four times as many, and so on, until k pass or the
next round would ask for more than a tenth of the table, which is then scanned. Polygons are the spatial extension's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import Peer, Rows, Where, cores, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINKS = 16
EF_CONSTRUCTION = 128
EXTENSIONS = ("vss", "spatial")
EF = (16, 32, 64, 128, 256, 512, 1024)


class DuckVSS(Peer):
    """One connection to a database file."""

    name = "DuckDB VSS"
    filters = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._duckdb = require("duckdb", "duckdb")
        self._extensions = [require(f"duckdb_extension_{name}", f"duckdb-extension-{name}") for name in EXTENSIONS]

    def build(self, rows: Rows, folder: Path) -> None:
        """Insert the rows, then make the index; its persistence is experimental, and off unless asked for."""
        import pyarrow as pa

        self._rows = len(rows)
        self._connection = self._duckdb.connect(str(folder / "rows.duckdb"), config={"threads": cores()})
        for extension in self._extensions:
            self._connection.load_extension(str(next(Path(extension.__file__).parent.rglob("*.duckdb_extension"))))
        self._connection.execute("SET hnsw_enable_experimental_persistence = true")
        # Otherwise the ids of the k rows found come from a scan of the whole table.
        self._connection.execute("SET disabled_optimizers = 'late_materialization'")
        self._vector = f"FLOAT[{rows.dimension}]"
        self._connection.execute(
            f"CREATE TABLE rows (id BIGINT, lon DOUBLE, lat DOUBLE, time BIGINT, share FLOAT, vector {self._vector})"
        )
        for part in rows.chunks():
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors[part].ravel()), rows.dimension)
            self._connection.register("part", pa.table({**rows.table(part), "vector": vectors}))
            self._connection.execute("INSERT INTO rows SELECT * FROM part")
        self._connection.unregister("part")
        self._connection.execute(
            "CREATE INDEX graph ON rows USING HNSW (vector) "
            f"WITH (metric = 'ip', M = {LINKS}, ef_construction = {EF_CONSTRUCTION})"
        )
        self._connection.execute("CHECKPOINT")
        self._limit(self._threads)
        self._ef = 0

    def sweep(self) -> list[dict[str, Any]]:
        """Return values of ``ef``, and the exact scan."""
        return [*({"ef": ef, "exact": False} for ef in EF), {"ef": 0, "exact": True}]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph, or scan."""
        return self._scan(query, k, "true") if knobs["exact"] else self._walk(query, k, knobs["ef"])

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Search one after the other; a scan uses all cores."""
        self._limit(cores())
        try:
            return super().batch(queries, k, knobs)
        finally:
            self._limit(self._threads)

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph for more and more rows until k of them pass, or scan the rows that do."""
        condition = _condition(where)
        wanted = max(knobs["ef"], k)
        while not knobs["exact"] and wanted <= self._rows // 10:
            found = self._walk(query, k, wanted, condition)
            if len(found) == k:
                return found
            wanted *= 4
        return self._scan(query, k, condition)

    def close(self) -> None:
        """Close the database, if it was opened."""
        if hasattr(self, "_connection"):
            self._connection.close()

    def _walk(self, query: NDArray[np.float32], k: int, ef: int, where: str = "") -> NDArray[np.int64]:
        if ef != self._ef:
            self._connection.execute(f"SET hnsw_ef_search = {int(ef)}")
            self._ef = ef
        distance = f"array_negative_inner_product(vector, ?::{self._vector})"
        nearest = f"SELECT id FROM rows ORDER BY {distance} LIMIT {int(k)}"  # noqa: S608 - numbers of ours alone
        if where:
            nearest = (
                f"SELECT id FROM (SELECT *, {distance} AS distance FROM rows ORDER BY distance LIMIT {int(ef)}) "  # noqa: S608
                f"WHERE {where} ORDER BY distance LIMIT {int(k)}"
            )
        return self._ids(nearest, query)

    def _scan(self, query: NDArray[np.float32], k: int, where: str) -> NDArray[np.int64]:
        # The sum keeps the optimiser from putting the graph in place of the scan.
        distance = f"array_negative_inner_product(vector, ?::{self._vector}) + 0"
        return self._ids(f"SELECT id FROM rows WHERE {where} ORDER BY {distance} LIMIT {int(k)}", query)  # noqa: S608

    def _ids(self, sql: str, query: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.array([row[0] for row in self._connection.execute(sql, [query]).fetchall()], dtype=np.int64)

    def _limit(self, threads: int) -> None:
        self._connection.execute(f"SET threads = {int(threads)}")


def _condition(where: Where) -> str:
    """Return the filter as SQL; the polygon by its box first."""
    if not where.polygon:
        return where.sql()
    return f"{where.sql()} AND ST_Intersects(ST_GeomFromText('{where.polygon}'), ST_Point(lon, lat))"
