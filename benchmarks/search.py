"""Search without a filter: ours and every peer on the same vectors, each at its fastest setting of enough recall.

``python -m benchmarks.search --rows 1000000 --dim 256 --json F``

Every setting of every peer is tried on the same queries. Bare FAISS is then held to the recall that ours was measured
to have, the others to the recall asked for. Then all are asked in turn, round after round, one query at a time on one
thread; ratios are medians over the rounds. Memory is what each process uses for those queries. Batches use all cores.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import dataset, race, report
from benchmarks.race import Entrant, K, Point
from benchmarks.truth import recall, truth

if TYPE_CHECKING:
    import argparse

    from benchmarks.truth import Truth

PEERS = "ours,ivf_rabitq,ivf_pq,ivf_fastscan,flat,usearch,hnswlib,lance"
FAISS = ("ivf_rabitq", "ivf_pq", "ivf_fastscan", "flat")
HNSW = ("usearch", "usearch_m32", "hnswlib", "hnswlib_m32")
BATCH = 1_000
SLOW = 20.0
"""A peer that takes more seconds for a batch, as its single queries let expect, is asked it once."""


class Race:
    """What was measured, peer by peer.

    Parameters
    ----------
    data
        The vectors.
    peers
        Built, by name; ``ours`` among them.
    args
        Of the command line.
    """

    def __init__(self, data: dataset.Dataset, peers: dict[str, Entrant], args: argparse.Namespace) -> None:
        self.data, self.peers, self.rounds = data, peers, args.rounds
        self.queries = data.queries.vectors[: args.queries]
        self.exact = truth(data.rows, self.queries, K)
        self.points = self._tune(args.recall)
        self.p50: dict[str, list[float]] = {name: [] for name in peers}
        self.batches: dict[str, list[float]] = {name: [] for name in peers}
        self.memory: dict[str, dict[str, float]] = {}
        self._single()
        self.batch_recall = self._batch()

    def _tune(self, wanted: float) -> dict[str, Point]:
        points: dict[str, Point] = {}
        for name in sorted(self.peers, key=lambda n: n != "ours"):
            held_to = max(wanted, points["ours"].recall) if name in FAISS else wanted
            points[name] = self.peers[name].tune(self.data.rows, self.queries, self.exact, held_to)
            print(f"{name}: {points[name]}, recall {points[name].recall:.4f}", flush=True)
        return points

    def _single(self) -> None:
        counts = {name: self.peers[name].patience(self.queries, p.knobs) for name, p in self.points.items()}
        for peer in self.peers.values():
            peer.host.forget()
        for _ in range(self.rounds):
            for name, peer in self.peers.items():
                times, _ = peer.host.ask(self.queries[: counts[name]], K, self.points[name].knobs)
                self.p50[name].append(float(np.median(times)) * 1e3)
        self.memory = {name: peer.host.resident() for name, peer in self.peers.items()}

    def _batch(self) -> dict[str, float]:
        """Ask everybody a batch in turn; return the recall of its answers."""
        many = self.data.queries.vectors[:BATCH]
        exact: Truth = truth(self.data.rows, many, K)
        reached = {}
        for number in range(self.rounds):
            for name, peer in self.peers.items():
                if number == 0 or statistics.median(self.p50[name]) * BATCH < 1e3 * SLOW:
                    seconds, answers = peer.host.batch(many, K, self.points[name].knobs)
                    self.batches[name].append(len(many) / seconds)
                    if number == 0:
                        reached[name] = recall(self.data.rows, many, answers, exact).recall
        return reached

    def rows(self) -> list[dict[str, Any]]:
        """Return the table, fastest first."""
        return [
            {
                "peer": name,
                "knob": str(self.points[name]),
                "recall@10": self.points[name].recall,
                "id recall": self.points[name].id_recall,
                "p50 ms": statistics.median(self.p50[name]),
                "batch queries/s": statistics.median(self.batches[name]),
                "batch recall": self.batch_recall[name],
                "anon GB": self.memory[name]["anon_gb"],
                "file GB": self.memory[name]["file_gb"],
                "build s": peer.built["seconds"],
                "rounds p50 ms": self.p50[name],
                "sweep": [
                    {"knobs": p.knobs, "recall": p.recall, "id_recall": p.id_recall, "p50_ms": p.p50_ms}
                    for p in peer.points
                ],
            }
            for name, peer in sorted(self.peers.items(), key=lambda item: statistics.median(self.p50[item[0]]))
        ]

    def figures(self, wanted: float) -> dict[str, float]:
        """Return what the peers that took part allow to say."""
        ours = self.points["ours"]
        made = {
            "p50_ms": statistics.median(self.p50["ours"]),
            "recall_at_10": ours.recall,
            "id_recall": ours.id_recall,
        }
        if "ivf_rabitq" in self.peers:
            made["p50_over_faiss"] = self._slower("ours", "ivf_rabitq")
            made["batch_qps_over_faiss"] = statistics.median(
                a / b for a, b in zip(self.batches["ours"], self.batches["ivf_rabitq"], strict=False)
            )
        if fast := self._fastest(FAISS, ours.recall):
            made["p50_over_fastest_faiss"] = self._slower("ours", fast)
        if "lance" in self.peers:
            made["lancedb_over_ours"] = self._slower("lance", "ours")
        if fast := self._fastest(HNSW, wanted):
            made["hnsw_over_ours"] = self._slower(fast, "ours")
            made["resident_over_hnsw"] = sum(self.memory["ours"].values()) / sum(self.memory[fast].values())
        return made

    def _slower(self, one: str, other: str) -> float:
        """Return how many times the one's p50 is the other's."""
        return statistics.median(a / b for a, b in zip(self.p50[one], self.p50[other], strict=True))

    def _fastest(self, names: tuple[str, ...], wanted: float) -> str | None:
        """Return the fastest of some peers, of those that reach the recall if any does."""
        there = [n for n in names if n in self.peers]
        reached = [n for n in there if self.points[n].recall >= wanted] or there
        return min(reached, key=lambda n: statistics.median(self.p50[n]), default=None)


def main() -> None:
    """Run from the command line."""
    parser = report.parser("Search without a filter.")
    dataset.add_arguments(parser)
    parser.add_argument("--peers", default=PEERS, help="comma-separated; see benchmarks.peers.PEERS")
    parser.add_argument("--recall", type=float, default=0.97, help="recall@10 that every peer must reach")
    parser.add_argument("--queries", type=int, default=300, help="single queries a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    names = list(dict.fromkeys(["ours", *args.peers.split(",")]))
    data = dataset.load(args)
    with (
        tempfile.TemporaryDirectory(dir=args.data) as scratch,
        race.entrants(names, data.folder, Path(scratch)) as peers,
    ):
        run = Race(data, peers, args)
        rows, figures = run.rows(), run.figures(args.recall)
    title = f"unfiltered search, {data.title}, k = {K}, one thread, recall@10 of {args.recall} or more"
    tied = int(run.exact.tied.sum())
    report.write(f"{title}; {tied} of {args.queries} queries have many ties", rows, figures, args.json)


if __name__ == "__main__":
    main()
