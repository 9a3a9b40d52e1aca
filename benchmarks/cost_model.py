"""What a continent costs: coefficients fitted to small runs, and checked on one ten times as large as the largest.

``python -m benchmarks.cost_model --json benchmarks/results/cost_model.json && python -m benchmarks.scale_page``.

Encoding: seconds = a + b chips. Bytes: b chips. Index: seconds = a + b rows + c lists^2 + d rows lists, with as many
lists as :meth:`embedstore.spec.IndexSpec.for_rows` says: training compares a sample of so many rows a list with all
lists, filling every row with all lists, and calibration looks at every row. Each is fitted to its own stages, so that
one's noise is not another's growth. A question: milliseconds = a + b sqrt(rows) + c rows, for a probed list holds
sqrt(rows) / 4 codes, and more lists are probed for the same recall among more rows; the processor's caches are filled
with something else before each. Each fit is of least relative squares with no negative coefficient.
"""

from __future__ import annotations

import re
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import nnls

from benchmarks import alone, landscape, report, scale
from benchmarks.continent import names, render
from embedstore.spec import IndexSpec
from embedstore.store import Store
from indexer.encode import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

LARGER = 10
"""How many times as large the check is as the largest run that is fitted."""
STEPS = (4, 2, 1)
"""The runs that are fitted: the largest divided by these."""
CHIP = 64
ASKED = 3
"""Rounds of questions for each round of builds."""


def lists(rows: float) -> int:
    """Return how many lists the index of so many rows has."""
    found = re.search(r"IVF(\d+)", IndexSpec.for_rows(round(rows), 256).factory)
    assert found
    return int(found[1])


TERMS: dict[str, Callable[[float], list[float]]] = {
    "encode_s": lambda n: [1.0, n],
    "table_bytes": lambda n: [n],
    "build_s": lambda n: [1.0, n, lists(n) ** 2, n * lists(n)],
    "index_bytes": lambda n: [n],
    "query_ms": lambda n: [1.0, n**0.5, n],
}
TRAINING, CALIBRATION, PASSES = (True, False, True, False), (True, True, False, False), (False, True, False, True)
STAGES = {"train": TRAINING, "calibrate": CALIBRATION}
"""Which terms of ``build_s`` the stages of a build have; all others are passes over the rows."""


@dataclass(frozen=True)
class Fit:
    """A cost by the number of chips: the coefficients of its terms (see :data:`TERMS`), and how well they foretold.

    `fitted` is the largest number that was fitted, `checked` the one of the check, `error` how much more was foretold
    there than measured, relatively.
    """

    cost: str
    coefficients: tuple[float, ...]
    fitted: int
    checked: int
    predicted: float
    measured: float
    error: float


def foretold(cost: str, coefficients: Sequence[float], count: float) -> float:
    """Return what a cost is for so many chips."""
    return float(np.dot(TERMS[cost](count), coefficients))


def solve(terms: NDArray[np.float64], measured: Sequence[float]) -> NDArray[np.float64]:
    """Return the coefficients, none negative, of terms, shape (runs, terms), that give what was measured."""
    scale_ = np.maximum(terms.max(axis=0), 1e-300)  # columns of very unlike size are scaled for the solver,
    solved, _ = nnls(terms / scale_ / np.array(measured)[:, None], np.ones(len(terms)))  # rows so that ratios count
    return np.asarray(solved / scale_)


def fit(cost: str, counts: Sequence[int], measured: Sequence[float]) -> Fit:
    """Fit a cost to all runs but the last, which is the check."""
    terms = np.array([TERMS[cost](n) for n in counts[:-1]])
    return _checked(cost, solve(terms, measured[:-1]), counts, measured[-1])


def fit_stages(counts: Sequence[int], stages: Sequence[dict[str, float]]) -> Fit:
    """Fit the time of an index build, each group of stages alone, to all runs but the last, which is the check."""
    terms = np.array([TERMS["build_s"](n) for n in counts[:-1]])
    total = np.zeros(terms.shape[1])
    for mask in (TRAINING, CALIBRATION, PASSES):
        took = [sum(t for name, t in run.items() if STAGES.get(name, PASSES) == mask) for run in stages]
        total += solve(terms * np.array(mask), took[:-1])
    return _checked("build_s", total, counts, sum(stages[-1].values()))


def _checked(cost: str, coefficients: NDArray[np.float64], counts: Sequence[int], measured: float) -> Fit:
    known = tuple(coefficients.tolist())
    predicted = foretold(cost, known, counts[-1])
    return Fit(cost, known, max(counts[:-1]), counts[-1], predicted, measured, predicted / measured - 1)


def encoding(tiles: Sequence[int], rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Encode so many tiles with ``rcf`` here; return chips, seconds (the median of some rounds) and bytes of table."""
    scenes = [folder / f"{name}.tif" for name in names(max(tiles))]
    for path in scenes:
        path.write_bytes(render(path.stem))
    empty, store = folder / "empty", folder / "encoded"
    encode(scenes[:1], empty, chip_size=CHIP)
    runs: list[list[dict[str, Any]]] = [[] for _ in tiles]
    for _ in range(rounds):
        for count, of in zip(tiles, runs, strict=True):
            shutil.rmtree(store, ignore_errors=True)
            shutil.copytree(empty, store)
            began = time.perf_counter()
            done = encode(scenes[:: len(scenes) // count][:count], store)  # of all regions, however few
            took = time.perf_counter() - began
            there = sum(f.size for f in Store.open(store).table.files())
            share = done.chips / (done.chips + done.already_there)
            of.append({"chips": done.chips, "encode_s": took, "table_bytes": there * share})
    for path in scenes:
        path.unlink()
    return [{**of[-1], "encode_s": statistics.median(run["encode_s"] for run in of)} for of in runs]


def indexing(counts: Sequence[int], dimension: int, rounds: int, folder: Path) -> list[dict[str, Any]]:
    """Index so many rows of a landscape of vectors; return seconds, bytes, and the median time of a question.

    Sizes take turns, so that a machine that is slow for a while is slow for all of them. A question finds the
    processor's caches filled with something else: they hold all of a small index and next to nothing of a large one.
    """
    queries = landscape.rows(scale.QUERIES, dimension, scale.QUERY_SEED).vectors
    stores = [folder / f"indexed-{count}" for count in counts]
    builds: list[list[tuple[dict[str, float], float]]] = [[] for _ in counts]
    for _ in range(rounds):
        for count, store, of in zip(counts, stores, builds, strict=True):
            shutil.rmtree(store, ignore_errors=True)
            landscape.store(store, count, dimension)
            built, peak = alone.run("benchmarks.build:index", store)
            of.append((built["seconds"], peak))
    asked: list[list[dict[str, Any]]] = [[] for _ in counts]
    for _ in range(ASKED * rounds):
        for store, told in zip(stores, asked, strict=True):
            told.append(scale.once(store, queries, folder, cold=True))
    rows = []
    for count, store, of, told in zip(counts, stores, builds, asked, strict=True):
        Store.open(store).vacuum(0)
        rows.append(
            {
                "rows": count,
                "stages": {stage: statistics.median(took[stage] for took, _ in of) for stage in of[0][0]},
                "build_peak_gb": of[-1][1],
                "index_bytes": sum(p.stat().st_size for p in (store / "_index").rglob("*") if p.is_file()),
                "query_ms": statistics.median(a["p50_ms"] for a in told),
                "anon_gb": told[-1]["anon_gb"],
                "recall@10": told[-1]["recall@10"],
            }
        )
        shutil.rmtree(store)
    return rows


def main() -> None:
    """Measure, fit, check, write."""
    parser = report.parser(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiles", type=int, default=32, help="of 64 chips, of the largest run that is fitted")
    parser.add_argument("--rows", type=int, default=100_000, help="of the largest index that is fitted")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="embedstore-bench-") as temporary:
        folder = Path(temporary)
        tiles, counts = ([*(n // s for s in STEPS), n * LARGER] for n in (options.tiles, options.rows))
        encoded = encoding(tiles, options.rounds, folder)
        indexed = indexing(counts, options.dim, options.rounds, folder)
    fits = [fit(c, [r["chips"] for r in encoded], [r[c] for r in encoded]) for c in ("encode_s", "table_bytes")]
    fits += [fit_stages(counts, [r["stages"] for r in indexed])]
    fits += [fit(c, counts, [r[c] for r in indexed]) for c in ("index_bytes", "query_ms")]
    figures: dict[str, float] = {f"{f.cost}_error": f.error for f in fits}
    figures |= {"worst_error": max(abs(f.error) for f in fits), "dimension": options.dim}
    figures |= {
        "anon_gb": indexed[-1]["anon_gb"],
        "build_peak_bytes_a_row": indexed[-1]["build_peak_gb"] * 1e9 / counts[-1],
    }
    rows = [{**asdict(f), "coefficients": list(f.coefficients)} for f in fits]
    report.write("cost model: fitted small, checked on ten times as much", rows, figures, options.json)


if __name__ == "__main__":
    main()
