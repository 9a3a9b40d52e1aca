"""A store in S3 against the same files on disk: the first answer with no copies, and searches once they are there.

``python -m benchmarks.remote --rows 200000 --json F``

S3 is moto's server on this machine (:mod:`benchmarks.loopback`), in Python and one request at a time: requests and
bytes are what any S3 would see, the seconds of the first answer are not. Searches of both take turns in one process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import obstore

from benchmarks import landscape, report
from benchmarks.loopback import BUCKET, Loopback, serving
from embedstore import cloud
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUESTIONS = 400


def upload(store: Path, uri: str) -> int:
    """Put a store's files into the bucket as they are; return their bytes."""
    address = cloud.parse(uri)
    assert isinstance(address, cloud.Address)
    remote, size = address.connect(), 0
    for path in sorted(p for p in store.rglob("*") if p.is_file() and p.name != "lock"):
        obstore.put(remote, path.relative_to(store).as_posix(), path)
        size += path.stat().st_size
    return size


def opened(store: str | Path, query: NDArray[np.float32], server: Loopback) -> tuple[Engine, dict[str, float]]:
    """Open a store and ask it once; return it with what that took."""
    server.asked()
    start = time.perf_counter()
    engine = Engine(store)
    engine.search(query, k=10).to_arrow()
    seconds = time.perf_counter() - start
    asked = server.asked()
    return engine, {
        "first answer ms": 1e3 * seconds,
        "requests": len(asked),
        "MB": sum(a["bytes"] for a in asked) / 1e6,
    }


def taking_turns(engines: dict[str, Engine], queries: NDArray[np.float32], *, geometry: bool) -> dict[str, float]:
    """Return each engine's median milliseconds; every question is asked of all before the next."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for number, query in enumerate(queries):
        for name in sorted(engines, reverse=bool(number % 2)):
            start = time.perf_counter()
            engines[name].search(query, k=10).to_arrow(geometry=geometry)
            times[name].append(time.perf_counter() - start)
    half = len(queries) // 2  # the first half warms up
    return {name: 1e3 * statistics.median(taken[half:]) for name, taken in times.items()}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    uri = f"s3://{BUCKET}/store"
    with tempfile.TemporaryDirectory() as scratch, serving() as server:
        os.environ |= server.environment | {"EMBEDSTORE_CACHE_DIR": f"{scratch}/cache"}
        local = Path(scratch) / "store"
        if landscape.store(local, args.rows, args.dim).info()["index"]["factory"] is None:
            build(local)
        stored = upload(local, uri)
        queries = landscape.vectors(*landscape.places(QUESTIONS, 999), args.dim, 998)
        engines: dict[str, Engine] = {}
        first: dict[str, dict[str, float]] = {}
        for name, path in (("local", local), ("s3, no copies", uri), ("s3, copies there", uri)):
            engines[name], first[name] = opened(path, queries[0], server)
        pair = {name: engines[name] for name in ("local", "s3, copies there")}
        plain = taking_turns(pair, queries, geometry=False)
        server.asked()
        whole = taking_turns(pair, queries, geometry=True)
        again = server.asked()
    rows = [
        {"store": name, **taken, "search p50 ms": plain.get(name, np.nan), "with geometry": whole.get(name, np.nan)}
        for name, taken in first.items()
    ]
    cold, warm = first["s3, no copies"], first["s3, copies there"]
    figures = {
        "warm_over_local": plain["s3, copies there"] / plain["local"],
        "warm_with_geometry_over_local": whole["s3, copies there"] / whole["local"],
        "cold_first_answer_ms": cold["first answer ms"],
        "cold_requests": cold["requests"],
        "cold_mb": cold["MB"],
        "cold_share_of_store": cold["MB"] * 1e6 / stored,
        "warm_first_answer_ms": warm["first answer ms"],
        "warm_requests": warm["requests"],
        "geometry_requests": len(again),
    }
    report.write(f"S3 on loopback, {args.rows:,} simulated vectors of {args.dim} dimensions", rows, figures, args.json)


if __name__ == "__main__":
    main()
