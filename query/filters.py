"""Filters: which rows of a segment may answer.

A filter in space is compiled against the segment's zones, the bounding boxes of every 256 rows in H3 order: zones
outside are skipped, zones inside are taken whole, and only rows of zones on the border are tested one by one. So
the cost follows the rows that pass and not the rows there are, and no geometry of H3 cells is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

from embedstore import area, grid
from embedstore.errors import FilterError
from embedstore.segment import ZONE
from query import ranges
from query.cover import Cover
from query.ranges import Range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from embedstore.segment import Segment
    from embedstore.snapshot import Piece
    from query.predicate import Predicate

FEW = 4096
"""Points that are tested against a polygon one by one: its raster costs as much."""


@dataclass(frozen=True, eq=False)
class Filter:
    """What rows must satisfy: all that is given, together.

    Parameters
    ----------
    boxes
        West, south, east, north in degrees, edges included; a row passes in any of them. Shape (n, 4).
    shape
        Prepared shapely geometry that holds the row's centre, edge included.
    cells
        H3 cells; a row passes in any of them.
    between
        First and last acquisition time; rows of unknown time do not pass.
    where
        SQL predicate on the rows' columns.
    """

    boxes: NDArray[np.float64] | None = None
    shape: Any = None
    cells: tuple[int, ...] | None = None
    between: tuple[np.datetime64, np.datetime64] | None = None
    where: str | None = None

    @classmethod
    def parse(
        cls,
        bbox: Any = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> Self:
        """Make a filter from what people write; see :meth:`query.engine.Engine.search`.

        Raises
        ------
        FilterError, GeometryError
            If a part of it makes no sense.
        """
        boxes = None
        if bbox is not None:
            try:
                west, south, east, north = (float(v) for v in bbox)
            except (TypeError, ValueError) as error:
                raise FilterError(f"bbox {bbox!r} is not four numbers; give west, south, east, north.") from error
            boxes = shapely.bounds(shapely.get_parts(area.box(west, south, east, north)))
        return cls(
            boxes,
            None if within is None else area.parse(within),
            None if cells is None else tuple(grid.parse_cells(cells)),
            None if between is None else _span(between),
            where,
        )

    @cached_property
    def cover(self) -> Cover:
        """The shape as a raster."""
        return Cover(self.shape)

    @property
    def selective(self) -> bool:
        """Whether it leaves anything out."""
        return any(of is not None for of in (self.boxes, self.shape, self.cells, self.between, self.where))

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from every other filter."""
        boxes = None if self.boxes is None else self.boxes.tobytes()
        shape = None if self.shape is None else shapely.to_wkb(self.shape)
        return boxes, shape, self.cells, self.between, self.where

    def rows(self, piece: Piece, predicate: Predicate) -> NDArray[np.int64] | None:
        """Return the rows of a piece that pass, ascending; None if all of its segment do."""
        segment = piece.segment
        rows = None
        if self.cells is not None:
            rows = _in_cells(segment, self.cells)
        if self.boxes is not None:
            rows = _both(rows, _in_boxes(segment, self.boxes))
        if self.shape is not None:
            rows = _in_shape(segment, rows, self)
        if piece.alive is not None:
            rows = np.flatnonzero(piece.alive) if rows is None else rows[piece.alive[rows]]
        if self.between is not None:
            rows = _in_span(segment, rows, self.between)
        within = None if self.where is None else ranges.parse(self.where)
        for one in within or ():
            rows = _in_range(segment, rows, one)
        if self.where is not None and within is None:
            rows = predicate.rows(segment, self.where, rows)
        return rows


def _both(rows: NDArray[np.int64] | None, more: NDArray[np.int64]) -> NDArray[np.int64]:
    return more if rows is None else np.intersect1d(rows, more, assume_unique=True)


def _in_range(segment: Segment, rows: NDArray[np.int64] | None, one: Range) -> NDArray[np.int64]:
    return one.rows(segment) if rows is None else rows[one.passes(segment.take(one.column, rows))]


def _in_cells(segment: Segment, cells: tuple[int, ...]) -> NDArray[np.int64]:
    """Children of a cell are contiguous in H3 order: two binary searches a cell.

    Of a cell finer than the rows' own, the rows around it are tested one by one.
    """
    h3 = segment.column("h3")
    resolution = int(h3[0] >> 52) & 15
    found = [_descendants(h3, [c for c in cells if grid.resolution(c) <= resolution], resolution)]
    for cell in cells:
        of = grid.resolution(cell)
        if of > resolution:
            rows = _descendants(h3, grid.around(cell, resolution), resolution)
            found.append(rows[grid.cells(segment.take("lon", rows), segment.take("lat", rows), of) == cell])
    return np.unique(np.concatenate(found))


def _descendants(h3: NDArray[np.int64], cells: list[int], resolution: int) -> NDArray[np.int64]:
    edges = np.array([grid.child_range(cell, resolution) for cell in cells], np.int64).reshape(-1, 2)
    return expand(np.searchsorted(h3, edges[:, 0], "left"), np.searchsorted(h3, edges[:, 1], "right"))


def _in_boxes(segment: Segment, boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    zones = segment.read_zones()
    found = []
    for west, south, east, north in boxes.tolist():
        near = np.flatnonzero(
            (zones[:, 0] <= east) & (zones[:, 2] >= west) & (zones[:, 1] <= north) & (zones[:, 3] >= south)
        )
        z = zones[near]
        whole = (z[:, 0] >= west) & (z[:, 2] <= east) & (z[:, 1] >= south) & (z[:, 3] <= north)
        border = _zone_rows(segment, near[~whole])
        lon, lat = segment.take("lon", border), segment.take("lat", border)
        border = border[(lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)]
        found.append(_merge(_zone_rows(segment, near[whole]), border))
    return found[0] if len(found) == 1 else np.unique(np.concatenate(found))


def _in_shape(segment: Segment, rows: NDArray[np.int64] | None, filter_: Filter) -> NDArray[np.int64]:
    """Return the rows, of those given or of all, whose centre a polygon holds."""
    shape = filter_.shape
    west, south, east, north = shape.bounds
    if rows is not None:
        lon, lat = segment.take("lon", rows), segment.take("lat", rows)
        if len(rows) > FEW:
            inside = filter_.cover.contains(lon, lat)
        else:
            inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
            inside[inside] = shapely.intersects_xy(shape, lon[inside], lat[inside])
        held: NDArray[np.int64] = rows[inside]
        return held
    zones = segment.read_zones()
    near = np.flatnonzero(
        (zones[:, 0] <= east) & (zones[:, 2] >= west) & (zones[:, 1] <= north) & (zones[:, 3] >= south)
    )
    if len(near) * ZONE <= FEW:
        return _in_shape(segment, _zone_rows(segment, near), filter_)
    whole, touching = filter_.cover.boxes(zones[near])
    border = _in_shape(segment, _zone_rows(segment, near[touching & ~whole]), filter_)
    return _merge(_zone_rows(segment, near[whole]), border)


def _zone_rows(segment: Segment, zones: NDArray[np.int64]) -> NDArray[np.int64]:
    return expand(zones * ZONE, np.minimum((zones + 1) * ZONE, segment.rows))


def _merge(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    if not len(one) or not len(other):
        return one if len(one) else other
    return np.sort(np.concatenate([one, other]), kind="stable")


def expand(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges [start, stop), one after another."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    numbers: NDArray[np.int64] = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return numbers


def _in_span(
    segment: Segment, rows: NDArray[np.int64] | None, span: tuple[np.datetime64, np.datetime64]
) -> NDArray[np.int64]:
    """Return the rows whose span of observation touches the one asked for; a time that is not known touches none."""
    if segment.instants:
        return _in_range(segment, rows, Range("datetime", *span))
    first = segment.column("datetime") if rows is None else segment.take("datetime", rows)
    last = segment.column("datetime_end") if rows is None else segment.take("datetime_end", rows)
    passing = (first <= span[1]) & (np.where(np.isnat(last), first, last) >= span[0])
    return np.flatnonzero(passing) if rows is None else rows[passing]


def _span(between: Any) -> tuple[np.datetime64, np.datetime64]:
    """Read an interval: "A/B" (either may be ".."), or a pair of dates or datetimes; days count whole."""
    ends = between.split("/") if isinstance(between, str) else between
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        raise FilterError(f"the time range {between!r} is not two times; write 2019-01-01/2019-12-31, or .. for open.")
    first, last = (
        _moment(ends[0], np.datetime64(np.iinfo(np.int64).min + 1, "us"), False),
        _moment(ends[1], np.datetime64(np.iinfo(np.int64).max, "us"), True),
    )
    if first > last:
        raise FilterError(f"the time range {between!r} ends before it begins.")
    return first, last


def _moment(value: Any, unbounded: np.datetime64, end: bool) -> np.datetime64:
    if value is None or value in ("..", ""):
        return unbounded
    whole_day = False
    try:
        if isinstance(value, str):
            whole_day = len(value.strip()) == 10
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, date) and not isinstance(value, datetime):
            whole_day = True
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        elif isinstance(value, np.datetime64):
            whole_day = value.dtype == np.dtype("M8[D]")
            value = datetime.fromisoformat(str(value.astype("M8[us]")))
        moment = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, AttributeError, OverflowError) as error:
        raise FilterError(f"{value!r} is no time; write it as 2019-01-31 or 2019-01-31T12:00:00Z.") from error
    if whole_day and end:
        moment += timedelta(days=1) - timedelta(microseconds=1)
    return np.datetime64(moment.replace(tzinfo=None), "us")
