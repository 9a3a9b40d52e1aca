"""PostgreSQL with pgvector: float16 vectors (``halfvec``) under an HNSW index.

Places are ``point`` under a GiST index, time and share under B-trees. A filter goes into WHERE; the planner chooses
between these and the graph, which then goes on until enough rows pass (``hnsw.iterative_scan``). PostgreSQL's polygons
have a tolerance of 1e-6 degrees. Queries are prepared, vectors travel as binary; a batch is a loop.

Knobs: ``ef`` (``hnsw.ef_search``), and ``graph``, which keeps the planner from sorting what the other indexes find:
it takes any area for a thousandth of the rows, and so would sort half a table.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from benchmarks.peers.base import Peer, Rows, Where, require
from benchmarks.peers.postgres import Cluster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LINKS = 16
EF_CONSTRUCTION = 128
EF = (10, 20, 40, 80, 160, 320, 640, 1000)
GRAPH_EF = (40, 320)


class PgVector(Peer):
    """A server of its own, and one connection to it."""

    name = "pgvector"
    filters = True

    def __init__(self, threads: int = 1) -> None:
        # One connection is one process of the server, whatever the threads.
        del threads
        self._cluster: Cluster | None = None
        self._knobs: dict[str, Any] = {}

    def build(self, rows: Rows, folder: Path) -> None:
        """Start the server, copy the rows in, then make the indexes."""
        graph = len(rows) * (2 * rows.dimension + 40 * LINKS + 256)
        self._cluster = Cluster(folder, build_bytes=max(256 << 20, 2 * graph))
        self._connection = self._cluster.connect()
        self._run("CREATE EXTENSION vector")
        _adapt(self._connection)
        d = rows.dimension
        self._run(f"CREATE TABLE rows (id bigint, vector halfvec({d}), place point, time bigint, share real)")
        self._run("ALTER TABLE rows ALTER vector SET STORAGE PLAIN")
        _copy(self._connection, rows)
        self._run(
            "CREATE INDEX ON rows USING hnsw (vector halfvec_ip_ops) "
            f"WITH (m = {LINKS}, ef_construction = {EF_CONSTRUCTION})"
        )
        self._run("CREATE INDEX ON rows USING gist (place)")
        self._run("CREATE INDEX ON rows (time)")
        self._run("CREATE INDEX ON rows (share)")
        self._run("VACUUM ANALYZE rows")
        # No filter is so narrow that the graph gives up before it has k rows.
        self._run(f"SET hnsw.max_scan_tuples = {max(1, len(rows))}")
        self._run("SET hnsw.scan_mem_multiplier = 100")
        self._run("SET hnsw.iterative_scan = relaxed_order")

    def sweep(self) -> list[dict[str, Any]]:
        """Return values of ``ef``; pgvector takes 1000 at most."""
        free = [{"ef": ef, "graph": False} for ef in EF]
        return free + [{"ef": ef, "graph": True} for ef in GRAPH_EF]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Walk the graph."""
        return self._nearest(query, k, "", knobs)

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Let the planner choose: indexes of the columns and a sort, or the graph until k rows pass."""
        return self._nearest(query, k, f"WHERE {_condition(where)}", knobs)

    def close(self) -> None:
        """Stop the server."""
        if self._cluster:
            self._cluster.stop()

    def _nearest(self, query: NDArray[np.float32], k: int, where: str, knobs: dict[str, Any]) -> NDArray[np.int64]:
        if knobs != self._knobs:
            self._run(f"SET hnsw.ef_search = {knobs['ef']}")
            self._run(f"SET enable_sort = {'off' if knobs['graph'] else 'on'}")
            self._knobs = knobs
        sql = f"SELECT id FROM rows {where} ORDER BY vector <#> %b LIMIT {int(k)}"  # noqa: S608 - numbers of ours alone
        found = self._connection.execute(sql, (query,), prepare=True, binary=True).fetchall()
        return np.array([row[0] for row in found], dtype=np.int64)

    def _run(self, sql: str) -> None:
        self._connection.execute(sql)


def _adapt(connection: Any) -> None:
    """Teach psycopg to send an array as a binary ``halfvec``: two int16 (length, 0), then the halves, big-endian."""
    adapt, pq, types = (require(f"psycopg.{part}", "psycopg[binary]") for part in ("adapt", "pq", "types"))

    def dump(_: object, vector: NDArray[np.float32]) -> bytes:
        return struct.pack(">hh", len(vector), 0) + vector.astype(">f2").tobytes()

    oid = types.TypeInfo.fetch(connection, "halfvec").oid
    half = type("Half", (adapt.Dumper,), {"format": pq.Format.BINARY, "oid": oid, "dump": dump})
    connection.adapters.register_dumper(np.ndarray, half)


def _copy(connection: Any, rows: Rows) -> None:
    """Send all rows by COPY in its binary form, each field after its length in bytes."""
    d = rows.dimension
    half = np.dtype([("length", ">i2"), ("zero", ">i2"), ("halves", ">f2", (d,))])
    fields = {"id": ">i8", "vector": half, "place": np.dtype((">f8", 2)), "time": ">i8", "share": ">f4"}
    parts = [part for name, kind in fields.items() for part in ((f"{name}_bytes", ">i4"), (name, kind))]
    row = np.dtype([("fields", ">i2"), *parts])
    with connection.cursor().copy("COPY rows FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
        for part in rows.chunks():
            chunk = np.zeros(part.stop - part.start, row)
            chunk["fields"] = len(fields)
            for name in fields:
                chunk[f"{name}_bytes"] = row[name].itemsize
            table = rows.table(part)
            for name in ("id", "time", "share"):
                chunk[name] = table[name]
            chunk["place"] = np.stack([table["lon"], table["lat"]], axis=1)
            chunk["vector"]["length"], chunk["vector"]["halves"] = d, rows.vectors[part]
            copy.write(chunk.tobytes())
        copy.write(struct.pack(">h", -1))


def _condition(where: Where) -> str:
    """Return the filter as SQL over ``place``, ``time`` and ``share``."""
    parts = []
    if where.bbox:
        west, south, east, north = map(float, where.bbox)
        parts.append(f"place <@ box '(({west!r},{south!r}),({east!r},{north!r}))'")
    if where.polygon:
        parts.append(f"({' OR '.join(map(_inside, shapely.get_parts(shapely.from_wkt(where.polygon))))})")
    columns = Where(between=where.between, share=where.share).sql()
    return " AND ".join([*parts, columns])


def _inside(polygon: shapely.Polygon) -> str:
    shell, *holes = (
        "place <@ polygon '(" + ",".join(f"({x!r},{y!r})" for x, y in shapely.get_coordinates(ring).tolist()) + ")'"
        for ring in (polygon.exterior, *polygon.interiors)
    )
    return " AND NOT ".join([shell, *holes])
