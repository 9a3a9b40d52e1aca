"""LanceDB: an inverted file of product codes on disk, re-ranked with the float32 vectors there.

Knobs: ``probes`` (``nprobes``) and ``refine`` (``refine_factor``: so many times k rows are re-ranked). Filters are SQL
applied before the search, helped by B-trees on every column; a filtered search probes further lists until it has k.
Polygons are not SQL here: a search within the polygon's box asks for twice as many rows, again and again, until k lie
in the polygon or the box has no more. The library has no setting for the threads of one query, so the process is bound
to as many cores.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import Peer, Rows, Where, require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

GRID = ((1, 2), (2, 5), (4, 10), (8, 10), (16, 20), (32, 20), (64, 40), (128, 40), (256, 80))
MOST_LISTS = 4096
COLUMNS = ["id", "_distance"]
"""Asked without the distance, LanceDB warns at every query that it adds it."""


class Lance(Peer):
    """One table of an embedded database."""

    name = "LanceDB IVF-PQ"
    filters = True

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._lancedb = require("lancedb", "lancedb")
        self._cores = sorted(os.sched_getaffinity(0))
        self.stages: dict[str, float] = {}

    def build(self, rows: Rows, folder: Path) -> None:
        """Write the table, index the vectors, then the columns."""
        import pyarrow as pa

        def batches() -> Iterator[Any]:
            for part in rows.chunks():
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.vectors[part].ravel()), rows.dimension)
                yield pa.RecordBatch.from_pydict({**rows.table(part), "vector": vectors})

        began = time.perf_counter()
        schema = next(batches()).schema
        source = pa.RecordBatchReader.from_batches(schema, batches())
        self._table = self._lancedb.connect(str(folder)).create_table("rows", source)
        written = time.perf_counter()
        lists = min(MOST_LISTS, 2 ** round(np.log2(4 * len(rows) ** 0.5)))
        self._table.create_index(
            metric="dot",
            num_partitions=lists,
            num_sub_vectors=max(1, rows.dimension // 8),
            # Where there are fewer than 256 rows a list, the default would make fewer lists.
            sample_rate=min(256, len(rows) // lists),
        )
        indexed = time.perf_counter()
        self.stages = {"write the table": written - began, "index the vectors": indexed - written}
        for column in ("lon", "lat", "time", "share"):
            self._table.create_scalar_index(column)
        self._bind(self._threads)

    def sweep(self) -> list[dict[str, Any]]:
        """Return pairs of ``probes`` and ``refine``."""
        return [{"probes": probes, "refine": refine} for probes, refine in GRID]

    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Scan, then re-rank."""
        return _ids(self._ask(query, k, knobs))

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Search for all in one call."""
        self._bind(len(self._cores))
        try:
            found = self._ask(queries, k, knobs).select(COLUMNS).to_arrow()
        finally:
            self._bind(self._threads)
        ids, of = found["id"].to_numpy(), found["query_index"].to_numpy()
        return [ids[of == i] for i in range(len(queries))]

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Scan the rows that pass, then re-rank."""
        wanted = k
        while True:
            asked = self._ask(query, wanted, knobs).maximum_nprobes(0).where(where.sql(), prefilter=True)
            if not where.polygon:
                return _ids(asked)
            found = asked.select([*COLUMNS, "lon", "lat"]).to_arrow()
            ids: NDArray[np.int64] = found["id"].to_numpy()
            inside = where.inside(found["lon"].to_numpy(), found["lat"].to_numpy())
            if np.count_nonzero(inside) >= k or len(ids) < wanted:
                return ids[inside][:k]
            wanted *= 2

    def close(self) -> None:
        """Let the process have its cores again."""
        self._bind(len(self._cores))

    def _ask(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> Any:
        asked = self._table.search(query).distance_type("dot").limit(k)
        return asked.nprobes(knobs["probes"]).refine_factor(knobs["refine"])

    def _bind(self, threads: int) -> None:
        """Bind every thread of the process to the first so many cores."""
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), self._cores[:threads])


def _ids(asked: Any) -> NDArray[np.int64]:
    ids: NDArray[np.int64] = asked.select(COLUMNS).to_arrow()["id"].to_numpy()
    return ids
