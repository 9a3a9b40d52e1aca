"""SQL on a store: neighbours joined with their rows, and the embeddings of a box.

``python -m benchmarks.sql --rows 1000000 --store DIR --json F``

Neighbours: `nearest` in the statement against `Engine.search` whose hits are handed to the same connection and joined
by the same statement, in turn. Boxes: each holds the centres of one row in a hundred and is asked of a session that
was just opened; then again. Bytes are those read by system calls and those of the store's mapped pages that came into
memory, as a share of what the selected columns (`id`, `embedding`) take in all data files; Linux only.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import landscape, report
from embedstore import grid
from indexer.build import build
from query import Engine
from query.sql.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

K = 10
SHARE = 100
"""One row in so many lies in a box."""
SELECTED = ("id", "embedding")
JOIN = "SELECT n.id, n.score, e.datetime, e.geometry FROM {near} AS n JOIN embeddings AS e USING ({key})"
BOX = "SELECT id, embedding FROM embeddings_in_box({west}, {south}, {east}, {north})"
PLAIN = """
SELECT id, embedding FROM read_parquet([{files}], hive_partitioning = true)
WHERE bbox.xmin <= {east} AND bbox.xmax >= {west} AND bbox.ymin <= {north} AND bbox.ymax >= {south}
"""
Box = tuple[float, float, float, float]


def nearest(path: Path, queries: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure neighbours with their rows, by one statement and by search and statement."""
    engine = Engine(path)
    database = Database(Engine(path, engine.snapshot.version))
    ids = np.concatenate([p.segment.take("id", p.live_rows()) for p in engine.snapshot.pieces])
    drawn = [bytes(one).hex() for one in np.random.default_rng(1).choice(ids, queries, replace=False)]
    parent = engine.store.grid.partition_resolution

    def by_statement(id_: str, key: str) -> pa.Table:
        return database.run(JOIN.format(near=f"nearest(chip_vector('{id_}'), {K})", key=key))

    def by_search(id_: str, key: str) -> pa.Table:
        hits = engine.search(engine.vectors([id_])[0], k=K)
        cells = [grid.to_text(cell) for cell in grid.parents(hits.column("h3"), parent).tolist()]
        cursor = database.cursor()
        cursor.register("hits", pa.table({"id": hits.ids, "score": hits.scores, "h3_cell": cells}))
        return database.run(JOIN.format(near="hits", key=key), cursor)

    for key in ("id, h3_cell", "id"):
        times: dict[Callable[[str, str], pa.Table], list[float]] = {by_statement: [], by_search: []}
        for number in range(rounds + 1):
            for way, medians in times.items():
                seen = [_timed(way, id_, key) for id_ in drawn]
                if number:  # the first round warms up
                    medians.append(statistics.median(ms for ms, _ in seen))
                if any(len(answer) != K for _, answer in seen):
                    raise AssertionError(f"{way.__name__} lost neighbours")
        ratio = statistics.median(a / b for a, b in zip(times[by_statement], times[by_search], strict=True))
        yield {
            "what": f"nearest, joined by {key}",
            "ms": statistics.median(times[by_statement]),
            "other": "search, then join",
            "other ms": statistics.median(times[by_search]),
            "ratio": ratio,
        }


def boxes(path: Path, count: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Measure the embeddings of boxes, through a session and from the data files alone."""
    engine = Engine(path)
    files = [path / file.path for file in engine.snapshot.files]
    listed = ", ".join(f"'{file}'" for file in files)
    whole = sum(map(_selected_bytes, files))
    for box in _boxes(engine, count):
        sides = dict(zip(("west", "south", "east", "north"), box, strict=True))
        statement, plain = BOX.format(**sides), PLAIN.format(files=listed, **sides)
        read, first, again, rows = _ask(path, statement, rounds)
        plain_read, _, plain_again, plain_rows = _ask(path, plain, rounds)
        if rows != plain_rows:
            raise AssertionError(f"{rows} rows by {statement}, {plain_rows} by {plain}")
        yield {
            "what": f"box of {rows:,} rows",
            "ms": again,
            "first ms": first,
            "read share": read / whole,
            "other": "Parquet alone",
            "other ms": plain_again,
            "other read share": plain_read / whole,
        }


def _ask(path: Path, statement: str, rounds: int) -> tuple[int, float, float, int]:
    """Return bytes read and milliseconds of the first statement of a session, the median of more, and the rows."""
    database = Database(Engine(path))
    before = _read(path)
    first, table = _timed(database.run, statement)
    read = _read(path) - before
    again = statistics.median(_timed(database.run, statement)[0] for _ in range(rounds))
    database.close()
    return read, first, again, len(table)


def _read(path: Path) -> int:
    """Return bytes read by system calls, and bytes of a store's mapped files that are in this process's memory."""
    calls = int(Path("/proc/self/io").read_text(encoding="utf-8").split()[1])
    mapped, ours = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, *values = line.split()
        if "-" in name and not name.endswith(":"):
            ours = str(path) in line
        elif ours and name == "Rss:":
            mapped += 1024 * int(values[0])
    return calls + mapped


def _boxes(engine: Engine, count: int) -> Iterator[Box]:
    """Draw boxes round stored places that hold the centres of one row in a hundred."""
    lon, lat = (
        np.concatenate([p.segment.take(name, p.live_rows()) for p in engine.snapshot.pieces]) for name in ("lon", "lat")
    )
    rng = np.random.default_rng(2)
    for place in rng.integers(len(lon), size=count):
        aspect = float(rng.uniform(0.5, 2.0))
        x, y = float(lon[place]), float(lat[place])
        distance: NDArray[np.float64] = np.maximum(np.abs(lon - x) / aspect, np.abs(lat - y))
        half = float(np.partition(distance, len(lon) // SHARE)[len(lon) // SHARE])
        yield x - half * aspect, y - half, x + half * aspect, y + half


def _selected_bytes(file: Path) -> int:
    about = pq.read_metadata(file)
    groups = (about.row_group(g) for g in range(about.num_row_groups))
    columns = (group.column(c) for group in groups for c in range(about.num_columns))
    return sum(c.total_compressed_size for c in columns if c.path_in_schema.partition(".")[0] in SELECTED)


def _timed(of: Callable[..., pa.Table], *arguments: str) -> tuple[float, pa.Table]:
    start = time.perf_counter()
    answer = of(*arguments)
    return 1e3 * (time.perf_counter() - start), answer


def main() -> None:
    """Run from the command line."""
    parser = report.parser("SQL: neighbours joined with their rows, and the embeddings of boxes.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a store that must first be made")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--store", type=Path, required=True, help="its folder; made if it is not there")
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    path = args.store.absolute()
    store = landscape.store(path, args.rows, args.dim)
    if store.catalog.current() is None:
        build(path)
    joined = list(nearest(path, args.queries, args.rounds))
    boxed = list(boxes(path, args.boxes, args.rounds))
    figures = {
        "nearest_over_search": joined[0]["ratio"],
        "nearest_ms": joined[0]["ms"],
        "bbox_bytes_share": max(row["read share"] for row in boxed),
        "bbox_ms": statistics.median(row["ms"] for row in boxed),
        "bbox_first_ms": statistics.median(row["first ms"] for row in boxed),
    }
    columns = dict.fromkeys(name for row in (*boxed, *joined) for name in row)
    rows = [{name: row.get(name) for name in columns} for row in (*joined, *boxed)]
    report.write(f"SQL on {store.rows:,} rows of {store.encoder.dimension} dimensions", rows, figures, args.json)


if __name__ == "__main__":
    main()
