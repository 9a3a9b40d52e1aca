"""How much each key may ask: requests a second, and points of work a minute, in buckets that fill again."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from query.api.asked import HEAT_TILE, asked

if TYPE_CHECKING:
    from query.api.keys import Key

POINTS = {HEAT_TILE: 5, "sql": 10, "explain": 10, "heatmap": 20, "classify": 20, "suggest": 20, "change": 20}
"""What a request costs, by what it asks for; any other costs one."""
BURST = 2.0
"""Seconds of a rate that may come at once; at least one request may."""
MINUTE = 60.0
MOST_NAMES = 10_000
"""Buckets are forgotten beyond this many: those of keys that were taken away."""


class Bucket:
    """What may be spent: `size` at once, and so much again each second."""

    def __init__(self, size: float, per_second: float, now: float) -> None:
        self.size, self._per_second = size, per_second
        self._level, self._since = size, now

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until an amount is there; one beyond the size is asked to wait for a full bucket."""
        self._level = min(self.size, self._level + (now - self._since) * self._per_second)
        self._since = now
        return max(0.0, min(amount, self.size) - self._level) / self._per_second

    def spend(self, amount: float) -> None:
        """Take an amount, which may leave a debt."""
        self._level -= amount


class Budgets:
    """The buckets of all keys. Those of one name share theirs, so that a rotation gives nothing twice."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[Key, list[tuple[Bucket, bool]]]] = {}
        self._lock = threading.Lock()

    def wait(self, key: Key, path: str, now: float) -> int:
        """Spend what a request costs and return 0, or return the whole seconds after which it may come again.

        Parameters
        ----------
        key
            Whose request.
        path
            What it asks for.
        now
            Seconds on a clock that never goes back.
        """
        if key.rate is None and key.budget is None:
            return 0
        points = POINTS.get(asked(path), 1)
        with self._lock:
            costs = [(bucket, points if by_work else 1) for bucket, by_work in self._of(key, now)]
            longest = max(bucket.wait(cost, now) for bucket, cost in costs)
            if longest == 0:
                for bucket, cost in costs:
                    bucket.spend(cost)
            return math.ceil(longest)

    def _of(self, key: Key, now: float) -> list[tuple[Bucket, bool]]:
        known, buckets = self._buckets.get(key.name, (None, []))
        if known is None or (known.rate, known.budget) != (key.rate, key.budget):
            buckets = []
            if key.rate is not None:
                buckets.append((Bucket(max(1.0, BURST * key.rate), key.rate, now), False))
            if key.budget is not None:
                buckets.append((Bucket(key.budget, key.budget / MINUTE, now), True))
            if len(self._buckets) >= MOST_NAMES:
                self._buckets.clear()
            self._buckets[key.name] = (key, buckets)
        return buckets
