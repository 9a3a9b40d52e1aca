"""From nothing to the first answer: a fresh process opens a store and answers one query.

``python -m benchmarks.cold_start --rows 1000000 --json F``

Imports are done before the clock starts; memory is what is resident above the imports.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import landscape, report
from indexer.build import build

ROUNDS = 7
CHILD = """
import json, sys, time
import numpy as np
import psutil
from query import Engine
import query.searcher, embedstore.extras
embedstore.extras.faiss()
query = np.load(sys.argv[2])
me = psutil.Process()
before = me.memory_info().rss
start = time.perf_counter()
engine = Engine(sys.argv[1])
opened = time.perf_counter()
hits = engine.search(query, k=10)
answered = time.perf_counter()
after = me.memory_info().rss
assert len(hits) == 10 and hits.report.plan == "ivf", hits.report
times = []
for _ in range(50):
    t = time.perf_counter()
    engine.search(query, k=10)
    times.append(time.perf_counter() - t)
print(json.dumps({"open ms": 1e3 * (opened - start), "open to first answer ms": 1e3 * (answered - start),
                  "resident MB": (after - before) / 1e6, "warm p50 ms": 1e3 * sorted(times)[25]}))
"""


def once(store: Path, query: Path) -> dict[str, Any]:
    """Open and ask in a fresh process."""
    ran = subprocess.run([sys.executable, "-c", CHILD, str(store), str(query)], capture_output=True, check=True)
    return dict(json.loads(ran.stdout))


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--store", type=Path, help="keep the store here and use it again")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        store = args.store or Path(scratch) / "store"
        opened = landscape.store(store, args.rows, args.dim)
        if opened.info()["index"]["factory"] is None:
            build(store)
        query = Path(scratch) / "query.npy"
        np.save(query, landscape.vectors(*landscape.places(1, 999), args.dim, 998)[0])
        rows = [once(store, query) for _ in range(ROUNDS)]
    median = {name: statistics.median(r[name] for r in rows) for name in rows[0]}
    figures = {
        "open_to_first_answer_ms": median["open to first answer ms"],
        "resident_mb": median["resident MB"],
        "warm_p50_ms": median["warm p50 ms"],
    }
    title = f"cold start, {args.rows:,} simulated vectors of {args.dim} dimensions, {ROUNDS} fresh processes"
    report.write(title, rows, figures, args.json)


if __name__ == "__main__":
    main()
