"""Ours alone at a size that no peer fits beside: the build's memory, the first answer, and what queries hold and take.

``python -m benchmarks.scale --rows 10000000 --dim 256 --store DIR --small-store DIR --json F``

A store is written if it is not there, and its index built if it has none; only a build is told of that was seen.
Everything runs in fresh processes, queries on one thread. The small store, of a million rows, is asked the same way.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import alone, report
from benchmarks.truth import TIE, Best, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 1_000_000
QUERIES, JUDGED = 1_000, 200
WARM = 20
K = 10
RECALL = 0.95
QUERY_SEED = 1_000_003
BLOCK = 16_384
CACHES = 1 << 28
"""Bytes that no processor's caches hold."""


def ask(store: str, queries: str, cold: str = "") -> dict[str, Any]:
    """Open a store, ask, and return times in ms, memory in 1e9 bytes, and the scores of those to be judged.

    With `cold`, only those to be judged are asked, and before each of them the processor's caches are filled with
    something else.
    """
    from benchmarks.peers import memory
    from embedstore.extras import faiss
    from query import Engine

    faiss().omp_set_num_threads(1)
    vectors = np.load(queries)[: JUDGED if cold else None]
    other = np.ones(CACHES if cold else 0, np.uint8).view(np.int64)
    times, scores = [], []
    began = time.perf_counter()
    engine = Engine(store)
    for query in vectors:
        other.sum()
        start = time.perf_counter()
        hits = engine.search(query, k=K, recall=RECALL)
        times.append(1e3 * (time.perf_counter() - start))
        if len(times) == 1:
            first = 1e3 * (time.perf_counter() - began)
        scores.append(hits.scores.tolist())
    del other
    return {
        "first_answer_ms": first,
        "p50_ms": float(np.median(times[WARM:])),
        "plan": hits.report.plan,
        "lists": hits.report.lists_probed,
        "scores": scores[:JUDGED],
        **memory.resident([os.getpid()]),
    }


def exact(store: Path, queries: NDArray[np.float32]) -> Truth:
    """Return the exact answers, from the vectors of the store's segments block by block."""
    from query import Engine

    best, first = Best(len(queries), K), 0
    for piece in Engine(store).snapshot.pieces:
        for start in range(0, piece.segment.rows, BLOCK):
            block = piece.segment.read_vectors(start, min(start + BLOCK, piece.segment.rows)).astype(np.float32)
            best.add(first, queries @ block.T)
            first += len(block)
    return Truth.of(best)


def once(store: Path, queries: NDArray[np.float32], scratch: Path, *, cold: bool = False) -> dict[str, Any]:
    """Ask a store in a fresh process, and judge its answers."""
    file = scratch / "queries.npy"
    np.save(file, queries)
    told, _ = alone.run("benchmarks.scale:ask", store, file, *["cold"] * cold)
    kth = exact(store, queries[:JUDGED]).kth
    right = [np.count_nonzero(np.array(s) >= t - TIE) for s, t in zip(told.pop("scores"), kth, strict=True)]
    return {**told, "recall@10": float(np.mean(np.minimum(right, K))) / K}


def prepare(store: Path, rows: int, dimension: int) -> dict[str, Any]:
    """Write a store if there is none; build its index in a fresh process if it has none."""
    from benchmarks import landscape

    opened = landscape.store(store, rows, dimension)
    if opened.info()["index"]["factory"] is not None:
        return {}
    built, peak = alone.run("benchmarks.build:index", store)
    stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in built["seconds"].items())
    return {"build s": sum(built["seconds"].values()), "build peak GB": peak, "stages s": stages}


def main() -> None:
    """Run from the command line."""
    from benchmarks import landscape

    parser = report.parser("Ours alone, at scale.")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--store", type=Path, help="keep the store here and use it again")
    parser.add_argument("--small-store", type=Path, help="likewise, of a million rows")
    parser.add_argument("--small-rows", type=int, default=SMALL)
    args = parser.parse_args()
    queries = landscape.rows(QUERIES, args.dim, QUERY_SEED).vectors
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for count, store in (
            (args.small_rows, args.small_store or scratch / "small"),
            (args.rows, args.store or scratch / "store"),
        ):
            built = prepare(store, count, args.dim)
            empty = {"build s": None, "build peak GB": None, "stages s": None}
            asked = once(store, queries, scratch)
            disk = sum(f.stat().st_size for f in store.rglob("*") if f.is_file()) / 1e9
            rows.append({"rows": count, **asked, "disk GB": disk, **empty, **built})
    small, large = rows
    figures = {
        "resident_gb": large["anon_gb"],
        "file_gb": large["file_gb"],
        "p50_ms": large["p50_ms"],
        "p50_over_1m": large["p50_ms"] / small["p50_ms"],
        "first_answer_ms": large["first_answer_ms"],
        "recall_at_10": large["recall@10"],
    }
    if large["build peak GB"] is not None:
        figures["build_peak_gb"] = large["build peak GB"]
    title = (
        f"scale, {args.rows:,} beside {args.small_rows:,} simulated vectors of {args.dim} dimensions, "
        f"recall {RECALL} asked, {QUERIES:,} queries in a fresh process"
    )
    report.write(title, rows, figures, args.json)


if __name__ == "__main__":
    main()
