"""Filters that let through as many rows as wanted, at a place, time or value that a query has, or has not.

A filter in space is grown around a place until it holds the rows; a window of time or of the attribute is cut from the
sorted column. Where the filter lies against the query is what makes filtered search hard: likeness goes with place,
so the rows that pass a filter far away are nobody's near neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers.base import PeerError
from benchmarks.peers.rows import Rows, Where

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

KINDS = ("bbox", "polygon", "time", "share", "polygon and time")
CORRELATIONS = ("inside", "anywhere", "outside")
VERTICES = 200
DRAWN = 32
"""Stored rows drawn to find a place far from the query."""
JITTER = 1e-4
"""Degrees by which a filter's place is off the row that it was taken from: rows on a grid lie at equal distances."""
SLACK = 1e-9
"""Degrees by which a filter is wider than the last row that it must hold."""


@dataclass(frozen=True)
class Cell:
    """One kind of question.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    correlation
        One of :data:`CORRELATIONS`: whether the filter holds the query's own place, time and attribute (``inside``),
        does not (``outside``), or takes no notice of them.
    wanted
        Rows that shall pass.
    name
        Of the selectivity, for people.
    """

    kind: str
    correlation: str
    wanted: int
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}, {self.name or self.wanted}, {self.correlation}"


@dataclass(frozen=True)
class Own:
    """What a query has of its own: degrees, microseconds since 1970, 0 to 1."""

    lon: float
    lat: float
    time: int
    share: np.float32

    @classmethod
    def of(cls, queries: Rows, number: int) -> Own:
        """Read one query's."""
        lon, lat = float(queries.lon[number]), float(queries.lat[number])
        return cls(lon, lat, int(queries.when[number].astype(np.int64)), queries.share[number])


class Maker:
    """Makes filters over some rows.

    Parameters
    ----------
    rows
        That are filtered.
    """

    def __init__(self, rows: Rows) -> None:
        self._lon, self._lat = np.array(rows.lon), np.array(rows.lat)
        self._time = np.array(rows.when.view(np.int64))
        self._sorted_time = np.sort(self._time)
        self._sorted_share = np.sort(rows.share)

    def make(self, cell: Cell, own: Own, rng: np.random.Generator) -> Where:
        """Return a filter of a cell for one query.

        Raises
        ------
        PeerError
            If there is no filter of that size that leaves the query out.
        """
        if cell.kind == "time":
            first, last = _window(self._sorted_time, own.time, cell, rng)
            return Where(between=(int(first), int(last)))
        if cell.kind == "share":
            low, high = _window(self._sorted_share, own.share, cell, rng)
            return Where(share=(float(low), float(np.nextafter(np.float32(high), np.float32(np.inf)))))
        if cell.kind == "bbox":
            return self._grow(self._box, cell, cell.wanted, own, rng)
        if cell.kind == "polygon":
            return self._grow(self._wavy, cell, cell.wanted, own, rng)
        count = round((cell.wanted * len(self._lon)) ** 0.5)
        area = self._grow(self._wavy, cell, count, own, rng)
        west, south, east, north = area.boxes()[0]
        near = (self._lon >= west) & (self._lon <= east) & (self._lat >= south) & (self._lat <= north)
        there = np.flatnonzero(near)
        there = there[area.inside(self._lon[there], self._lat[there])]
        first, last = _window(np.sort(self._time[there]), own.time, cell, rng)
        return Where(polygon=area.polygon, between=(int(first), int(last)))

    def _grow(
        self,
        shape: Callable[[float, float, int, np.random.Generator], Where],
        cell: Cell,
        count: int,
        own: Own,
        rng: np.random.Generator,
    ) -> Where:
        """Return the shape that holds so many rows around a place that suits the query."""
        if cell.correlation == "inside":
            return shape(own.lon, own.lat, count, rng)
        drawn = rng.integers(len(self._lon), size=1 if cell.correlation == "anywhere" else DRAWN)
        lon, lat = self._lon[drawn], self._lat[drawn]
        # Farthest first: the first of these nearly always leaves the query out.
        for place in np.argsort(-np.hypot(lon - own.lon, lat - own.lat)):
            off = rng.uniform(-JITTER, JITTER, 2)
            where = shape(float(lon[place] + off[0]), float(lat[place] + off[1]), count, rng)
            if cell.correlation == "anywhere" or not _holds(where, own):
                return where
        raise PeerError(f"no {cell.kind} of {count} of {len(self._lon)} rows leaves out the place of a query.")

    def _box(self, lon: float, lat: float, count: int, rng: np.random.Generator) -> Where:
        aspect = rng.uniform(0.5, 2.0)
        off = np.abs(self._lon - lon), np.abs(self._lat - lat)
        distance = np.maximum(off[0] / aspect, off[1])
        held = np.flatnonzero(distance <= np.partition(distance, count - 1)[count - 1])
        # On a grid the last step took in a whole line of rows: one side after the other gives up those too many.
        half = [0.0, 0.0]
        for axis in (1, 0):
            far = off[axis][held]
            half[axis] = float(np.partition(far, count - 1)[count - 1]) + SLACK
            held = held[far <= half[axis]]
        return Where(bbox=(lon - half[0], lat - half[1], lon + half[0], lat + half[1]))

    def _wavy(self, lon: float, lat: float, count: int, rng: np.random.Generator) -> Where:
        """Return a polygon of :data:`VERTICES` vertices: a circle with three large waves and seven small ones."""
        angle = np.linspace(-np.pi, np.pi, VERTICES + 1)
        phase = rng.uniform(0, 2 * np.pi, 2)
        wave = 1 + 0.3 * np.sin(3 * angle + phase[0]) + 0.15 * np.sin(7 * angle + phase[1])
        wave[-1] = wave[0]
        east, north = self._lon - lon, self._lat - lat
        turn = np.arctan2(north, east)
        side = np.clip(((turn + np.pi) / (2 * np.pi) * VERTICES).astype(np.int64), 0, VERTICES - 1)
        # How far the polygon's edge is in that direction: between two vertices it is a straight line.
        one, two = wave[side], wave[side + 1]
        step = 2 * np.pi / VERTICES
        edge = one * two * np.sin(step) / (one * np.sin(turn - angle[side]) + two * np.sin(angle[side + 1] - turn))
        radius = np.partition(np.hypot(east, north) / edge, count - 1)[count - 1] + SLACK
        ring = np.column_stack([lon + radius * wave * np.cos(angle), lat + radius * wave * np.sin(angle)])
        ring[-1] = ring[0]
        return Where(polygon=f"POLYGON (({', '.join(f'{x!r} {y!r}' for x, y in ring.tolist())}))")


def _holds(where: Where, own: Own) -> bool:
    west, south, east, north = where.boxes()[0]
    in_box = west <= own.lon <= east and south <= own.lat <= north
    return in_box and bool(where.inside(np.array([own.lon]), np.array([own.lat]))[0])


def _window(column: NDArray[Any], own: Any, cell: Cell, rng: np.random.Generator) -> tuple[Any, Any]:
    """Return the first and last of so many values of a sorted column, which hold a value or do not."""
    count = min(cell.wanted, len(column))
    last = len(column) - count
    if cell.correlation == "anywhere":
        start = int(rng.integers(last + 1))
        return column[start], column[start + count - 1]
    below, above = int(np.searchsorted(column, own)), int(np.searchsorted(column, own, side="right"))
    if cell.correlation == "inside":
        start = int(rng.integers(min(max(0, below - count + 1), last), min(below, last) + 1))
        return min(column[start], own), max(column[start + count - 1], own)
    # Starts so early that the window ends before the value, or so late that it begins after it.
    early, late = max(0, below - count + 1), max(0, last - above + 1)
    if not early + late:
        raise PeerError(f"no {cell.kind} of {count} of {len(column)} rows leaves out that of a query.")
    start = int(rng.integers(early + late))
    start = start if start < early else above + start - early
    return column[start], column[start + count - 1]
