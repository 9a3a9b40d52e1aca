"""Recall asked and recall delivered, on queries that the calibration never saw, and what each costs.

``python -m benchmarks.recall --rows 1000000 --dim 256 --json F``

Without a filter, and under boxes at the query's place and away from it, each query with its own. Recalls asked are
timed in turn, round after round, on one thread.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import dataset, race, report
from benchmarks.filters import Cell, Maker, Own
from benchmarks.race import K
from benchmarks.truth import Truth, recall, truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.peers.host import Host
    from benchmarks.peers.rows import Where

ASKED = (0.90, 0.95, 0.99)
SHARES = {"30 %": 0.3, "10 %": 0.1, "1 %": 0.01}
LOT = 200
"""Queries whose masks are in memory at once."""


class Case:
    """Queries, each with a filter, and the exact answers.

    Parameters
    ----------
    data
        The vectors.
    maker
        Of filters over them.
    cell
        The kind of filter; None for none.
    count
        Queries.
    """

    def __init__(self, data: dataset.Dataset, maker: Maker, cell: Cell | None, count: int) -> None:
        self.data, self.cell = data, cell
        self.queries = data.queries.vectors[:count]
        self.wheres: list[Where | None] = [None] * len(self.queries)
        if cell:
            rng = np.random.default_rng([7, cell.wanted])
            self.wheres = [maker.make(cell, Own.of(data.queries, i), rng) for i in range(len(self.queries))]
        lots = [slice(start, start + LOT) for start in range(0, len(self.queries), LOT)]
        self.lots = lots
        self.exact = Truth.join([truth(data.rows, self.queries[lot], K, self._masks(lot)) for lot in lots])

    def _masks(self, lot: slice) -> list[NDArray[np.bool_]] | None:
        return [where.rows(self.data.rows) for where in self.wheres[lot] if where] if self.cell else None

    def measure(self, host: Host, rounds: int) -> list[dict[str, Any]]:
        """Ask for every recall; return a row for each."""
        times: dict[float, list[float]] = {asked: [] for asked in ASKED}
        rows = []
        for number in range(rounds):
            for asked in ASKED:
                took, answers = host.ask(self.queries, K, {"recall": asked}, self.wheres)
                times[asked].append(float(np.median(took)) * 1e3)
                if number == 0:
                    rows.append({"asked": asked, **self._judge(answers)})
        name = {"filter": self.cell.correlation if self.cell else "-", "rows": self.cell.name if self.cell else "100 %"}
        dearest = times[ASKED[-1]]
        return [
            {
                **name,
                **row,
                "p50 ms": statistics.median(times[row["asked"]]),
                "over p50 at 0.99": statistics.median(a / b for a, b in zip(times[row["asked"]], dearest, strict=True)),
            }
            for row in rows
        ]

    def _judge(self, answers: list[NDArray[np.int64]]) -> dict[str, Any]:
        """Return the recall over all lots: weighed by their untied queries, as one lot would be."""
        whole = untied = ids = 0.0
        short = 0
        for lot in self.lots:
            found = recall(self.data.rows, self.queries[lot], answers[lot], self.exact[lot], self._masks(lot))
            weight = len(answers[lot]) - found.tied
            untied += weight
            whole += weight * found.recall
            ids += weight * found.id_recall
            short += found.short
        tied = int(self.exact.tied.sum())
        # No number at all (and no figure within its goal) where every query has many ties.
        mean, by_id = (total / untied if untied else float("nan") for total in (whole, ids))
        return {"delivered": mean, "id recall": by_id, "short": short, "tied": tied}


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Recall asked and delivered.")
    dataset.add_arguments(parser)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    data = dataset.load(args)
    maker = Maker(data.rows)
    cells: list[Cell | None] = [None]
    for name, share in SHARES.items():
        cells += [Cell("bbox", side, round(share * len(data.rows)), name) for side in ("inside", "outside")]
    rows = []
    with (
        tempfile.TemporaryDirectory(dir=args.data) as scratch,
        race.entrants(["ours"], data.folder, Path(scratch)) as p,
    ):
        for cell in cells:
            rows += Case(data, maker, cell, args.queries).measure(p["ours"].host, args.rounds)
            print(f"{cell or 'no filter'}: {[round(r['delivered'], 4) for r in rows[-len(ASKED) :]]}", flush=True)
    figures = {
        "worst_recall_shortfall": max(0.0, *(r["asked"] - r["delivered"] for r in rows)),
        "p50_090_over_099": rows[0]["over p50 at 0.99"],
        "short_answers": float(sum(r["short"] for r in rows)),
    }
    title = f"recall asked and delivered, {data.title}, {min(args.queries, len(data.queries)):,} queries, k = {K}"
    report.write(title, rows, figures, args.json)


if __name__ == "__main__":
    main()
