"""Search under a filter: every selectivity, kind of filter, and place of the filter against the query.

``python -m benchmarks.filtered --rows 1000000 --dim 256 --json F``

Each query has a filter of its own, so its compilation is in the time; asked again at once, the same filter shows what
it costs without. Recall is held against exact search among the rows that pass. Peers answer some of the same questions,
at their cheapest, middle and dearest setting; that is taken which is fastest of those with recall 0.9. Bare FAISS is
the floor beside, not a peer. Times are medians over the queries, on one thread.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from benchmarks import dataset, race, report
from benchmarks.filters import CORRELATIONS, KINDS, Cell, Maker, Own
from benchmarks.race import Entrant, K
from benchmarks.truth import Recall, recall, truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.peers.host import Host
    from benchmarks.peers.rows import Rows, Where
    from benchmarks.truth import Truth

PEERS = "ours,ivf_rabitq,lance,hnswlib"
SHARES = {"10 %": 0.1, "1 %": 0.01, "0.1 %": 0.001, "0.01 %": 0.0001, "ten rows": 0.0}
COMPARED = ("10 %", "1 %", "0.1 %")
"""Where peers are asked."""
GOOD = 0.9
"""Recall that a peer must reach for its time to count."""
FLOOR = "ivf_rabitq"
WARM = 3
"""Questions of a cell's kind asked before its times count."""
WARMING = 1_000
"""Questions without a filter that the engine is asked before."""
LOT = 4
"""Questions that a peer is asked between two looks at the clock."""


@dataclass(frozen=True)
class Questions:
    """Queries, a filter for each, and the exact answers."""

    queries: NDArray[np.float32]
    wheres: list[Where | None]
    masks: list[NDArray[np.bool_]] | None
    exact: Truth

    @classmethod
    def of(cls, cell: Cell | None, data: dataset.Dataset, maker: Maker, count: int, seed: int) -> Self:
        """Make them; unfiltered if there is no cell."""
        queries = data.queries.vectors[:count]
        if cell is None:
            return cls(queries, [None] * count, None, truth(data.rows, queries, K))
        rng = np.random.default_rng([seed, KINDS.index(cell.kind), CORRELATIONS.index(cell.correlation), cell.wanted])
        wheres = [maker.make(cell, Own.of(data.queries, i), rng) for i in range(count)]
        masks = [where.rows(data.rows) for where in wheres]
        return cls(queries, list(wheres), masks, truth(data.rows, queries, K, masks))

    def judge(self, rows: Rows, answers: Sequence[NDArray[np.int64]]) -> Recall:
        """Return how good answers to the first of the questions are."""
        count = len(answers)
        return recall(rows, self.queries[:count], answers, self.exact[:count], self.masks and self.masks[:count])

    @property
    def matches(self) -> float:
        """Rows that pass a filter, at the median."""
        return float(np.median([m.sum() for m in self.masks])) if self.masks else float("nan")


@dataclass(frozen=True)
class Asked:
    """What the engine answered: how well, and at what median time, the filter new and known."""

    found: Recall
    first_ms: float
    again_ms: float


def ask_ours(host: Host, rows: Rows, questions: Questions, wanted: float) -> Asked:
    """Ask each question twice in a row, but the last of them only to warm up."""
    knobs = {"recall": wanted}
    host.ask(questions.queries[-WARM:], K, knobs, questions.wheres[-WARM:])
    twice = [where for where in questions.wheres[:-WARM] for _ in range(2)]
    times, answers = host.ask(np.repeat(questions.queries[:-WARM], 2, axis=0), K, knobs, twice)
    median = np.median(times.reshape(-1, 2), axis=0) * 1e3
    return Asked(questions.judge(rows, answers[::2]), float(median[0]), float(median[1]))


def ask_peer(peer: Entrant, rows: Rows, questions: Questions, count: int, seconds: float) -> tuple[float, float] | None:
    """Return p50 in ms and recall of the fastest of three settings that reaches a good recall; None if none does."""
    sweep = peer.host.sweep()
    best = None
    for knobs in (sweep[0], sweep[len(sweep) // 2], sweep[-1]):
        times: list[float] = []
        answers: list[NDArray[np.int64]] = []
        while len(answers) < count and sum(times) < seconds / 3:
            lot = slice(len(answers), min(len(answers) + LOT, count))
            took, found = peer.host.ask(questions.queries[lot], K, knobs, questions.wheres[lot])
            times += took.tolist()
            answers += found
        reached = questions.judge(rows, answers).recall
        p50 = statistics.median(times) * 1e3
        if reached >= GOOD and (best is None or p50 < best[0]):
            best = p50, reached
    return best


def measure(
    data: dataset.Dataset,
    peers: dict[str, Entrant],
    queries: int,
    peer_queries: int,
    seconds: float,
    asked: list[float],
) -> list[dict[str, Any]]:
    """Return one row a cell; the unfiltered one is first, with the median over the whole run."""
    ours, maker = peers["ours"].host, Maker(data.rows)
    plain = Questions.of(None, data, maker, max(queries, 100) + WARM, 0)
    # As in a service that has run for a while: what is checked or read at the first touch has been touched.
    ours.ask(data.queries.vectors[-WARMING:], K, {"recall": max(asked)})
    unfiltered: dict[float, list[Asked]] = {wanted: [] for wanted in asked}
    rows = []
    for name, share in SHARES.items():
        wanted = max(1, round(share * len(data.rows))) if share else K
        for kind in KINDS:
            for w in asked:
                unfiltered[w].append(ask_ours(ours, data.rows, plain, w))
            for correlation in CORRELATIONS:
                cell = Cell(kind, correlation, wanted, name)
                # Filters of their own for every recall asked: a filter seen before is not compiled again.
                lots = [Questions.of(cell, data, maker, queries + WARM, seed) for seed in range(len(asked))]
                answers = [ask_ours(ours, data.rows, lot, w) for lot, w in zip(lots, asked, strict=True)]
                row = _row(cell, lots[0].matches, asked, answers)
                for peer in peers.values():
                    if peer.name != "ours":
                        some = ask_peer(peer, data.rows, lots[0], peer_queries, seconds) if name in COMPARED else None
                        row[f"{peer.name} ms"] = some and some[0]
                rows.append(row)
                print(f"{cell}: recall {answers[0].found.recall:.3f}, {answers[0].first_ms:.2f} ms", flush=True)
    first = _row(None, float(len(data.rows)), asked, [_median(unfiltered[w]) for w in asked])
    return [first | {name: None for name in rows[0] if name not in first}, *rows]


def _median(runs: list[Asked]) -> Asked:
    return Asked(
        runs[0].found, statistics.median(r.first_ms for r in runs), statistics.median(r.again_ms for r in runs)
    )


def _row(cell: Cell | None, matches: float, asked: list[float], answers: list[Asked]) -> dict[str, Any]:
    main = answers[0]
    row = {
        "kind": cell.kind if cell else "none",
        "rows": cell.name if cell else "100 %",
        "filter": cell.correlation if cell else "-",
        "matches": matches,
        "recall@10": main.found.recall,
        "id recall": main.found.id_recall,
        "short": main.found.short,
        "tied": main.found.tied,
        "p50 ms": main.first_ms,
        "again ms": main.again_ms,
    }
    for wanted, answer in list(zip(asked, answers, strict=True))[1:]:
        row |= {f"recall at {wanted}": answer.found.recall, f"p50 ms at {wanted}": answer.first_ms}
    return row


def figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return the worst of every kind."""
    base, *cells = rows
    spatial = [r for r in cells if r["kind"] in ("bbox", "polygon")]
    others = [r for r in cells if r not in spatial]
    rivals = [n for n in cells[0] if n.endswith(" ms") and n not in ("p50 ms", "again ms", f"{FLOOR} ms")]
    against = [r[n] / r["p50 ms"] for r in cells for n in rivals if r[n] is not None]
    made = {
        "worst_cell_recall": min(r["recall@10"] for r in cells),
        "short_answers": float(sum(r["short"] for r in rows)),
        "unfiltered_p50_ms": base["p50 ms"],
        "worst_spatial_over_unfiltered": max(r["p50 ms"] for r in spatial) / base["p50 ms"],
        "worst_cell_p50_ms": max(r["p50 ms"] for r in others),
    }
    return made | ({"worst_cell_peer_over_ours": min(against)} if against else {})


def worst(rows: list[dict[str, Any]]) -> None:
    """Say on each row what it is the worst of."""
    cells = rows[1:]
    spatial = [r for r in cells if r["kind"] in ("bbox", "polygon")]
    others = [r for r in cells if r not in spatial]
    for row in rows:
        row["worst"] = ""
    min(cells, key=lambda r: r["recall@10"])["worst"] += "recall "
    max(spatial, key=lambda r: r["p50 ms"])["worst"] += "spatial "
    max(others, key=lambda r: r["p50 ms"])["worst"] += "time "


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Search under a filter.")
    dataset.add_arguments(parser)
    parser.add_argument("--peers", default=PEERS, help="comma-separated; see benchmarks.peers.PEERS")
    parser.add_argument("--recall", type=float, default=0.99, help="recall asked of the engine")
    parser.add_argument("--asked", default="", help="further recalls to ask, comma-separated, e.g. 0.90,0.95")
    parser.add_argument("--queries", type=int, default=40, help="a cell, each with its own filter")
    parser.add_argument("--peer-queries", type=int, default=12, help="of these, asked of peers")
    parser.add_argument("--peer-seconds", type=float, default=6.0, help="for one peer in one cell")
    args = parser.parse_args()
    names = list(dict.fromkeys(["ours", *args.peers.split(",")]))
    asked = [args.recall, *(float(part) for part in args.asked.split(",") if part)]
    data = dataset.load(args)
    with (
        tempfile.TemporaryDirectory(dir=args.data) as scratch,
        race.entrants(names, data.folder, Path(scratch)) as peers,
    ):
        rows = measure(data, peers, args.queries, args.peer_queries, args.peer_seconds, asked)
    worst(rows)
    title = f"filtered search, {data.title}, k = {K}, one thread, recall {args.recall} asked"
    report.write(title, rows, figures(rows), args.json)


if __name__ == "__main__":
    main()
