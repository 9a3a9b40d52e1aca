"""From labelled places to the chips that they label.

A polygon labels the chips whose centre it holds. A point labels, of each moment, the chip that holds it; where chips
overlap, the one whose centre is nearest, because what the others show is mostly something else. A polygon that is too
small to hold a centre is a point inside itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore import area
from embedstore.errors import GeometryError, LabelError
from query import sieve
from query.example import EARTH, distance
from query.fewshot.sources import POLYGONS
from query.filters import Filter
from query.predicate import Predicate
from query.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.snapshot import Snapshot
    from query.fewshot.sources import Shapes

REACH = math.sqrt(2)
"""From a point to the centre of a chip that holds it, in chip sides: half a diagonal of one twice as coarse as most."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Which chips which features label.

    Parameters
    ----------
    rows
        The chips, n of them.
    feature
        Number of the feature that labels each, int64, shape (n,).
    """

    rows: Rows
    feature: NDArray[np.int64]


def find(snapshot: Snapshot, shapes: Shapes) -> Marks:
    """Return the chips that shapes label.

    Raises
    ------
    LabelError
        If a polygon is invalid.
    DamageError
        If a segment or a data file is damaged.
    """
    chips = _Chips(snapshot)
    found: list[tuple[Rows, int]] = []
    points: list[tuple[Any, int]] = []
    for number, shape in enumerate(shapes.geometries):
        if shape.geom_type in POLYGONS:
            polygon = _parse(shape, number)
            rows = chips.select(Filter.parse(within=polygon))
            if len(rows):
                found.append((rows, number))
            else:
                points.append((shapely.point_on_surface(polygon), number))
        else:
            points += [(point, number) for point in shapely.get_parts(shape)]
    found += chips.holding(points)
    feature = [np.full(len(rows), number) for rows, number in found]
    return Marks(_join(snapshot, [rows for rows, _ in found]), np.concatenate([np.empty(0, np.int64), *feature]))


def _join(snapshot: Snapshot, parts: list[Rows]) -> Rows:
    nothing = np.empty(0, np.int64)
    return Rows(
        snapshot,
        np.concatenate([nothing, *(rows.piece for rows in parts)]),
        np.concatenate([nothing, *(rows.row for rows in parts)]),
    )


class _Chips:
    """The chips of a snapshot, by place."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._predicate = Predicate()
        self._reach = REACH * snapshot.encoder.chip_size * snapshot.encoder.gsd

    def select(self, filter_: Filter) -> Rows:
        """Return the chips that pass a filter."""
        pieces = self._snapshot.pieces
        return Rows.of(self._snapshot, [sieve.sift(filter_, piece, self._predicate) for piece in pieces])

    def holding(self, points: list[tuple[Any, int]]) -> list[tuple[Rows, int]]:
        """Return, for each point of a feature that chips hold, these chips: the nearest of each moment."""
        near = [self.select(self._around(point)) for point, _ in points]
        together = _join(self._snapshot, near)
        if not len(together):
            return []
        _, first, at = np.unique(
            np.stack([together.piece, together.row]), axis=1, return_index=True, return_inverse=True
        )
        shapes = together.take(first).footprints()[at.ravel()]
        ends = np.cumsum([len(rows) for rows in near])
        found = []
        for (point, number), rows, end in zip(points, near, ends.tolist(), strict=True):
            holds = shapely.intersects(shapes[end - len(rows) : end], shapely.Point(_wrapped(point.x), point.y))
            if holds.any():
                found.append((_nearest(rows.take(holds), point), number))
        return found

    def _around(self, point: Any) -> Filter:
        up = math.degrees(self._reach / EARTH)
        side = min(180.0, up / max(math.cos(math.radians(point.y)), 1e-6))
        x, south, north = _wrapped(point.x), max(-90.0, point.y - up), min(90.0, point.y + up)
        return Filter.parse(bbox=(x - side, south, x + side, north))


def _nearest(rows: Rows, point: Any) -> Rows:
    """Return of each moment the chip whose centre is nearest."""
    order = np.argsort(distance(rows.column("lon"), rows.column("lat"), point.x, point.y), kind="stable")
    _, first = np.unique(rows.column("datetime")[order].astype(np.int64), return_index=True)
    return rows.take(order[first])


def _parse(shape: Any, number: int) -> Any:
    try:
        return area.parse(shape)
    except GeometryError as error:
        raise LabelError(f"feature {number + 1} of the labels cannot be used: {error}") from error


def _wrapped(lon: float) -> float:
    return (lon + 180) % 360 - 180
