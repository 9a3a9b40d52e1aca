"""Building the index of rows that are already stored: against bare FAISS and LanceDB.

``python -m benchmarks.build --rows 1000000 --dim 256 --json F``

Ours starts each time from a store that was written and never indexed, in a fresh process. Training and filling the
lists stand against the same of bare FAISS with the same factory string and as large a sample, from float32 vectors
ready in the page cache; merging (reading what the appends left), sealing (checksums, and waiting for the disk) and
calibrating are shown apart. Against LanceDB all our stages count, and of its build the index of the vectors alone. All
in turn, round after round.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import alone, dataset, report
from benchmarks.peers.base import cores
from benchmarks.peers.host import Host

if TYPE_CHECKING:
    from benchmarks.peers.rows import Rows

PEERS = "ivf_rabitq,lance"
SHARED = ("train", "fill lists")
"""Stages that bare FAISS has too."""
INDEX = "_index"


def index(store: str) -> dict[str, Any]:
    """Build the index of a store with all cores; return what was built."""
    from embedstore.extras import faiss
    from indexer.build import build

    faiss().omp_set_num_threads(cores())
    report = build(store)
    return {"seconds": report.seconds, "recall": report.recall, "factory": report.factory}


def write(path: Path, rows: Rows) -> None:
    """Write a store that has no index."""
    from benchmarks import stores

    stores.append(stores.create(path, rows.dimension), rows)


def unindexed(path: Path) -> Path:
    """Return where the state of a store before any index is kept."""
    return path.with_name(f"{path.name}.unindexed")


def reset(path: Path) -> None:
    """Bring a store back to the state before any index, which is kept aside the first time.

    No file in it is ever changed in place, so links do. An indexed store of which none was kept loses its index alone.
    """
    kept, live = unindexed(path), path / INDEX
    if kept.is_dir():
        shutil.rmtree(live)
        shutil.copytree(kept, live, copy_function=os.link)
    elif (live / "CURRENT").exists():
        (live / "CURRENT").unlink()
    else:
        shutil.copytree(live, kept, copy_function=os.link)


def ours(path: Path) -> dict[str, Any]:
    """Build once from scratch; return seconds by stage, and the peak."""
    reset(path)
    built, peak = alone.run("benchmarks.build:index", path)
    seconds = built["seconds"]
    return {
        "recall": built["recall"],
        "stages": seconds,
        "all s": sum(seconds.values()),
        "index s": sum(seconds.get(stage, 0.0) for stage in SHARED),
        "peak GB": peak,
    }


def theirs(name: str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Build a peer once in a fresh process; return its seconds and its peak."""
    with Host(name, folder, scratch, threads=cores()) as host:
        built = host.build()
        stages = host.stages()
    shutil.rmtree(scratch)
    seconds = stages.get("index the vectors", built["seconds"])
    return {"stages": stages, "all s": built["seconds"], "index s": seconds, "peak GB": built["peak_gb"]}


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Build the index.")
    dataset.add_arguments(parser)
    parser.add_argument("--peers", default=PEERS, help="comma-separated; see benchmarks.peers.PEERS")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    names = [name for name in args.peers.split(",") if name != "ours"]
    data = dataset.load(args)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in ("ours", *names)}
    with tempfile.TemporaryDirectory(dir=args.data) as folder:
        scratch = Path(folder)
        write(scratch / "store", data.rows)
        for number in range(args.rounds):
            runs["ours"].append(ours(scratch / "store"))
            for name in names:
                runs[name].append(theirs(name, data.folder, scratch / f"{name}-{number}"))
            print(f"round {number + 1}: {[(n, round(r[-1]['index s'], 2)) for n, r in runs.items()]}", flush=True)
    rows = [
        {
            "peer": name,
            **{column: statistics.median(r[column] for r in run) for column in ("index s", "all s", "peak GB")},
            "stages s": ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in run[-1]["stages"].items()) or "-",
            "rounds": run,
        }
        for name, run in runs.items()
    ]
    figures = {"build_peak_gb": max(r["peak GB"] for r in runs["ours"]), "recall": runs["ours"][-1]["recall"]}
    against = {"ivf_rabitq": ("build_over_faiss", "index s"), "lance": ("build_over_lancedb", "all s")}
    for name, (figure, column) in against.items():
        if name in runs:
            figures[figure] = statistics.median(
                a[column] / b["index s"] for a, b in zip(runs["ours"], runs[name], strict=True)
            )
    report.write(f"index build, {data.title}, all cores", rows, figures, args.json)


if __name__ == "__main__":
    main()
