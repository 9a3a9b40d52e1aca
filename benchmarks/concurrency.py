"""Eight clients at once: how much more is answered than to one, by the engine and by bare FAISS in the same harness.

``python -m benchmarks.concurrency --rows 200000 --json F``

Clients are threads that share one engine, as in a server. Every answer under load is compared with the answer that the
same question got alone.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import landscape, report
from benchmarks.bare import BareFaiss, K, fastest_equal, recall, true_kth
from embedstore.extras import faiss
from indexer.build import build
from query import Engine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CLIENTS = 8
QUESTIONS = 2_000
ROUNDS = 5


def throughput(ask: Callable[[Any], Any], queries: NDArray[np.float32], clients: int) -> tuple[float, list[Any]]:
    """Return questions per second of some clients at once, and the answers in order."""
    with ThreadPoolExecutor(clients, initializer=faiss().omp_set_num_threads, initargs=(1,)) as pool:
        list(pool.map(ask, queries[: 2 * clients]))
        began = time.perf_counter()
        answers = list(pool.map(ask, queries))
        return len(queries) / (time.perf_counter() - began), answers


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Eight clients at once.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--recall", type=float, default=0.97, help="recall asked of the engine")
    parser.add_argument("--store", type=Path, help="keep the store here and use it again")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = args.store or Path(scratch) / "store"
        landscape.store(path, args.rows, args.dim)
        build(path)
        faiss().omp_set_num_threads(1)
        engine = Engine(path)
        bare = BareFaiss(engine)
        queries = landscape.vectors(*landscape.places(QUESTIONS, 999), args.dim, 998)

        def ours(query: NDArray[np.float32]) -> NDArray[np.float32]:
            return engine.search(query, k=K, recall=args.recall).scores

        some = queries[:500]
        kth = true_kth(bare.vectors, some)
        probes, depth, _ = fastest_equal(bare, some, kth, recall([ours(q) for q in some], kth))
        asks: dict[str, Callable[[Any], Any]] = {
            "Engine.search": ours,
            "bare FAISS + re-rank": partial(bare.search, probes=probes, depth=depth),
        }
        alone = {name: [ask(q) for q in queries] for name, ask in asks.items()}
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
        wrong = 0
        for _ in range(ROUNDS):
            for name, ask in asks.items():
                one, _answers = throughput(ask, queries, 1)
                many, answers = throughput(ask, queries, CLIENTS)
                seen[name].append((one, many))
                wrong += sum(not np.array_equal(a, b) for a, b in zip(answers, alone[name], strict=True))
    gain = {name: [many / one for one, many in pairs] for name, pairs in seen.items()}
    rows = [
        {
            "what": name,
            "one client, queries/s": statistics.median(one for one, _ in pairs),
            f"{CLIENTS} clients, queries/s": statistics.median(many for _, many in pairs),
            "gain": statistics.median(gain[name]),
        }
        for name, pairs in seen.items()
    ]
    figures = {
        "concurrency_over_faiss": statistics.median(a / b for a, b in zip(*gain.values(), strict=True)),
        "differing_answers": float(wrong),
    }
    title = f"{CLIENTS} clients, {args.rows:,} simulated vectors of {args.dim} dimensions, k = {K}"
    report.write(title, rows, figures, args.json)


if __name__ == "__main__":
    main()
