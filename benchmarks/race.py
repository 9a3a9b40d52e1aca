"""Peers side by side: all alive at once, each in a process of its own, each at its best setting."""

from __future__ import annotations

import itertools
import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.host import Host
from benchmarks.truth import recall

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers.rows import Rows
    from benchmarks.truth import Truth

K = 10
ENOUGH = 0.9995
"""A sweep ends at this recall: dearer settings can only be slower."""
PATIENCE = 30.0
"""Seconds for one setting; a slow peer is asked fewer queries."""
FEWEST = 30


@dataclass(frozen=True)
class Point:
    """A setting of the search and what it gives; ``p50_ms`` is the median of a single query."""

    knobs: dict[str, Any]
    recall: float
    id_recall: float
    p50_ms: float

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.knobs.items()) or "-"


@dataclass
class Entrant:
    """A peer that has taken in the rows.

    Parameters
    ----------
    name
        In :data:`benchmarks.peers.PEERS`.
    host
        Its process.
    built
        What :meth:`benchmarks.peers.host.Host.build` told.
    points
        Settings tried, in order of price.
    """

    name: str
    host: Host
    built: dict[str, float]
    points: list[Point] = field(default_factory=list)

    def tune(self, rows: Rows, queries: NDArray[np.float32], exact: Truth, wanted: float) -> Point:
        """Return the fastest setting that reaches a recall: of the peer's own sweep, then of those in between."""
        if not self.points:
            for knobs in self.host.sweep():
                self.points.append(self._try(rows, queries, exact, knobs))
                if self.points[-1].recall >= ENOUGH:
                    break
        for knobs in between([p.knobs for p in self.points], self.points.index(fastest(self.points, wanted))):
            self.points.append(self._try(rows, queries, exact, knobs))
        return fastest(self.points, wanted)

    def _try(self, rows: Rows, queries: NDArray[np.float32], exact: Truth, knobs: dict[str, Any]) -> Point:
        count = self.patience(queries, knobs)
        times, answers = self.host.ask(queries[:count], K, knobs)
        found = recall(rows, queries[:count], answers, exact[:count])
        return Point(knobs, found.recall, found.id_recall, float(np.median(times)) * 1e3)

    def patience(self, queries: NDArray[np.float32], knobs: dict[str, Any]) -> int:
        """Return how many queries can be asked within :data:`PATIENCE`; these few also warm the setting up."""
        times, _ = self.host.ask(queries[:10], K, knobs)
        return min(len(queries), max(FEWEST, int(PATIENCE / np.median(times))))


@contextmanager
def entrants(names: Sequence[str], folder: Path, scratch: Path) -> Iterator[dict[str, Entrant]]:
    """Build peers one after the other and keep all alive, each searching with one thread."""
    with ExitStack() as stack:
        made = {}
        for name in names:
            print(f"building {name}", flush=True)
            host = stack.enter_context(Host(name, folder, scratch / name))
            made[name] = Entrant(name, host, host.build())
        yield made


def fastest(points: Sequence[Point], wanted: float) -> Point:
    """Return the fastest that reaches a recall, or that of the best recall if none does."""
    reached = [p for p in points if p.recall >= wanted]
    return min(reached, key=lambda p: p.p50_ms) if reached else max(points, key=lambda p: p.recall)


def between(tried: Sequence[dict[str, Any]], best: int) -> list[dict[str, Any]]:
    """Return settings around one that were not tried: every mix of its numbers, its neighbours' and those between."""
    around = tried[max(0, best - 2) : best + 2]
    numbers = [
        name for name, value in tried[best].items() if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    choices = []
    for name in numbers:
        values = sorted({t[name] for t in around if isinstance(t[name], (int, float))} - {0})
        middles = [math.sqrt(a * b) for a, b in itertools.pairwise(values)]
        whole = all(isinstance(v, int) for v in values)
        choices.append(sorted({*values, *(round(m) if whole else round(m, 4) for m in middles)}))
    mixes = [{**tried[best], **dict(zip(numbers, mix, strict=True))} for mix in itertools.product(*choices)]
    return [mix for mix in mixes if mix not in tried]
