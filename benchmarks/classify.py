"""Classify every chip by its nearest labels: against the bare matrix product, and against scikit-learn.

``python -m benchmarks.classify --rows 1000000 --json F``

The whole of `Engine.classify_all`, from asking to the finished GeoParquet file, beside the product of all vectors with
all labels (float32 in memory, in the blocks that run fastest), in turn. Scikit-learn's brute-force kNN, which is given
the vectors in memory and writes nothing, classifies a sample, since all would take minutes; its time is scaled up.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
from sklearn.neighbors import KNeighborsClassifier

from benchmarks import landscape, report
from query import Engine, stream
from query.filters import Filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS, CLASSES, NEIGHBOURS = 500, 8, 5
SAMPLE = 50_000
ROUNDS = 5


def product(vectors: NDArray[np.float32], labels: NDArray[np.float32], block: int) -> float:
    """Return the seconds that the scores of all vectors with all labels take."""
    out = np.empty((block, len(labels)), np.float32)
    began = time.perf_counter()
    for start in range(0, len(vectors), block):
        part = vectors[start : start + block]
        np.matmul(part, labels.T, out=out[: len(part)])
    return time.perf_counter() - began


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Classify every chip by its nearest labels.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--store", type=Path, help="keep the store here and use it again")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        store = args.store or Path(scratch) / "store"
        landscape.store(store, args.rows, args.dim)
        engine, out = Engine(store), Path(scratch) / "out.parquet"
        everything = engine._searcher.select(Filter.parse())  # noqa: SLF001 - the same rows, ready in memory
        blocks = stream.blocks(engine.snapshot.pieces, everything)
        vectors = np.concatenate([b.vectors.copy() for b in blocks])
        labelled = vectors[np.sort(rng.choice(len(vectors), LABELS, replace=False))]
        # classes that can be told apart, as those of a real legend can: nearest of a few directions
        classes = (labelled @ rng.standard_normal((args.dim, CLASSES))).argmax(axis=1)
        block = min((1 << s for s in range(10, 19)), key=lambda b: product(vectors[: 1 << 18], labelled, b))
        engine.classify_all((labelled, classes.tolist()), out, k=NEIGHBOURS)
        bare, ours = [], []
        for _ in range(ROUNDS):
            bare.append(product(vectors, labelled, block))
            began = time.perf_counter()
            done = engine.classify_all((labelled, classes.tolist()), out, k=NEIGHBOURS)
            ours.append(time.perf_counter() - began)
        at = np.sort(rng.choice(len(vectors), min(SAMPLE, len(vectors)), replace=False))
        model = KNeighborsClassifier(NEIGHBOURS, weights="distance", metric="cosine", algorithm="brute")
        model.fit(labelled, classes.astype(str))
        peer = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            answers = model.predict(vectors[at])
            peer.append((time.perf_counter() - began) * len(vectors) / len(at))
        agree = float((pq.read_table(out, columns=["class"])["class"].to_numpy()[at] == answers).mean())
    median = {"bare product": bare, "classify_all": ours, "scikit-learn (scaled)": peer}
    rows = [
        {"what": name, "s": statistics.median(times), "M chips/s": done.chips / statistics.median(times) / 1e6}
        for name, times in median.items()
    ]
    figures = {
        "classify_over_gemm": statistics.median(o / b for o, b in zip(ours, bare, strict=True)),
        "sklearn_over_ours": statistics.median(p / o for p, o in zip(peer, ours, strict=True)),
        "equal_answers": agree,
    }
    title = f"{done.chips:,} simulated vectors of {args.dim} dimensions against {LABELS} labels, k = {NEIGHBOURS}"
    report.write(title, rows, figures, args.json)


if __name__ == "__main__":
    main()
