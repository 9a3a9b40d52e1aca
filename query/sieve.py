"""From a filter to the rows of a segment that pass it, test after test, the cheapest first.

A filter in space is held against the segment's zones, the bounding boxes of every 256 rows in H3 order: zones
outside are skipped, and only rows of zones on the border are tested for their place. So the cost follows the rows that
pass and not the rows there are, and no geometry of H3 cells is needed. Many zones stay zones, whose values are
contiguous; a few become row numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import shapely

from embedstore import grid
from embedstore.candidates import Marked, Numbered
from embedstore.segment import ZONE
from query import ranges
from query.ranges import Range

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.candidates import Candidates
    from embedstore.piece import Piece
    from embedstore.segment import Segment
    from query.filters import Filter
    from query.predicate import Predicate

FEW = 4096
"""Points up to which they are tested against a polygon one by one: its raster costs as much."""
MANY = 16_384
"""Rows of zones up to which they are tested by number."""
SCATTERED = 8
"""A value taken here and there costs what so many neighbouring ones do."""


class Sieve(Protocol):
    """Rows that have passed every test so far; values and what passes have one shape."""

    def take(self, column: str) -> NDArray[Any]:
        """Return a column's values in the rows."""

    def pick(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the marks, one for each row of the segment, of the rows."""

    def keep(self, passing: NDArray[np.bool_]) -> None:
        """Leave out the rows that do not pass."""

    def keep_within(self, filter_: Filter) -> None:
        """Leave out the rows whose place is outside the filter's boxes or its shape."""

    def candidates(self) -> Candidates:
        """Return what is left."""


def sift(filter_: Filter, piece: Piece, predicate: Predicate) -> Candidates | None:
    """Return the rows of a piece that pass a filter; None if all of its segment do.

    Raises
    ------
    FilterError
        If the filter's predicate makes no sense.
    """
    segment = piece.segment
    tests, sql = _tests(filter_, segment)
    sieve = _start(filter_, segment, tests)
    if sieve is None and sql:
        sieve = Numbers(segment, predicate.rows(segment, sql, None))
        sql = None
    if sieve is None:
        return None if piece.alive is None else Numbered(segment.rows, np.flatnonzero(piece.alive))
    if piece.alive is not None:
        sieve.keep(sieve.pick(piece.alive))
    for one in tests:
        sieve.keep(one.passes(sieve.take(one.column)))
    if filter_.between is not None and not segment.instants:
        sieve.keep(_touching(sieve, filter_.between))
    if filter_.boxes is not None or filter_.shape is not None:
        sieve.keep_within(filter_)
    found = sieve.candidates()
    return Numbered(segment.rows, predicate.rows(segment, sql, found.rows)) if sql else found


def _tests(filter_: Filter, segment: Segment) -> tuple[list[Range], str | None]:
    """Return the ranges that a filter asks for, and the predicate that is more than ranges."""
    within = None if filter_.where is None else ranges.parse(filter_.where)
    tests = list(within or ())
    if filter_.between is not None and segment.instants:
        tests.append(Range("datetime", *filter_.between))
    return tests, filter_.where if within is None else None


def _start(filter_: Filter, segment: Segment, tests: list[Range]) -> Sieve | None:
    """Return the rows to begin with, and take off the tests that they have passed; None if none was left out."""
    if filter_.cells is not None:
        return Numbers(segment, _in_cells(segment, filter_.cells))
    zones = np.arange(len(segment.zones))
    spatial = filter_.boxes is not None or filter_.shape is not None
    if spatial:
        zones = _zones_near(segment, filter_)
        if len(zones) * ZONE <= MANY:
            return Numbers(segment, _zone_rows(segment, zones))
    if tests:
        least = min(tests, key=lambda one: one.count(segment))
        if not spatial or SCATTERED * least.count(segment) < len(zones) * ZONE:
            tests.remove(least)
            return Numbers(segment, least.rows(segment))
    return Zones(segment, zones) if spatial or filter_.between is not None else None


class Numbers:
    """Rows by number.

    Parameters
    ----------
    rows
        In any order.
    """

    def __init__(self, segment: Segment, rows: NDArray[Any]) -> None:
        self._segment, self._rows = segment, rows

    def take(self, column: str) -> NDArray[Any]:
        """Return a column's values in the rows."""
        return self._segment.take(column, self._rows)

    def pick(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the marks of the rows."""
        picked: NDArray[np.bool_] = marks[self._rows]
        return picked

    def keep(self, passing: NDArray[np.bool_]) -> None:
        """Leave out the rows that do not pass."""
        self._rows = self._rows[passing]

    def keep_within(self, filter_: Filter) -> None:
        """Leave out the rows outside."""
        lon, lat = self.take("lon"), self.take("lat")
        passing = np.ones(len(lon), bool)
        if filter_.boxes is not None:
            passing = _in_boxes(filter_.boxes, lon, lat)
        if filter_.shape is not None:
            near = np.flatnonzero(passing)
            passing[near] = _in_shape(filter_, lon[near], lat[near])
        self.keep(passing)

    def candidates(self) -> Candidates:
        """Return what is left."""
        return Numbered(self._segment.rows, self._rows)


class Zones:
    """Rows by zone: their values are contiguous, and what passes is a mark.

    Parameters
    ----------
    zones
        Ascending.
    """

    def __init__(self, segment: Segment, zones: NDArray[np.int64]) -> None:
        self._segment, self._zones = segment, zones
        self._marks = np.ones((len(zones), ZONE), bool)
        if len(zones) and (int(zones[-1]) + 1) * ZONE > segment.rows:
            self._marks[-1, segment.rows - int(zones[-1]) * ZONE :] = False

    def take(self, column: str) -> NDArray[Any]:
        """Return a column's values, shape (z, ZONE)."""
        return self._segment.take_zones(column, self._zones)

    def pick(self, marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the marks of the rows, shape (z, ZONE)."""
        rows = self._zones[:, None] * ZONE + np.arange(ZONE)
        picked: NDArray[np.bool_] = marks[np.minimum(rows, self._segment.rows - 1)]
        return picked

    def keep(self, passing: NDArray[np.bool_]) -> None:
        """Leave out the rows that do not pass."""
        self._marks &= passing

    def keep_within(self, filter_: Filter) -> None:
        """Leave out the rows outside; zones that lie inside for certain are not looked at."""
        if filter_.boxes is not None:
            bounds = self._bounds()
            whole = np.zeros(len(self._zones), bool)
            for west, south, east, north in filter_.boxes.tolist():
                whole |= (
                    (bounds[:, 0] >= west) & (bounds[:, 2] <= east) & (bounds[:, 1] >= south) & (bounds[:, 3] <= north)
                )
            boxes = filter_.boxes
            self._test_places(np.flatnonzero(~whole), lambda lon, lat: _in_boxes(boxes, lon, lat))
        if filter_.shape is not None:
            whole, touching = filter_.cover.boxes(self._bounds())
            self._marks[~touching] = False
            self._test_places(np.flatnonzero(touching & ~whole), lambda lon, lat: _in_shape(filter_, lon, lat))

    def _bounds(self) -> NDArray[np.float64]:
        bounds: NDArray[np.float64] = self._segment.read_zones()[self._zones]
        return bounds

    def _test_places(self, border: NDArray[np.int64], test: Any) -> None:
        """Test the rows of some zones that have passed so far."""
        marks = self._marks[border]
        at = np.flatnonzero(marks)
        rows = (self._zones[border] * ZONE)[at // ZONE] + at % ZONE
        marks.ravel()[at] = test(self._segment.take("lon", rows), self._segment.take("lat", rows))
        self._marks[border] = marks

    def candidates(self) -> Candidates:
        """Return what is left."""
        return Marked(self._segment.rows, self._zones, self._marks)


def _zones_near(segment: Segment, filter_: Filter) -> NDArray[np.int64]:
    """Return the zones whose bounding boxes touch those of the filter."""
    zones = segment.read_zones()
    passing = np.ones(len(zones), bool)
    for boxes in (filter_.boxes, None if filter_.shape is None else np.array([filter_.shape.bounds])):
        if boxes is not None:
            touching = np.zeros(len(zones), bool)
            for west, south, east, north in boxes.tolist():
                touching |= (
                    (zones[:, 0] <= east) & (zones[:, 2] >= west) & (zones[:, 1] <= north) & (zones[:, 3] >= south)
                )
            passing &= touching
    return np.flatnonzero(passing)


def _in_boxes(boxes: NDArray[np.float64], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    passing = np.zeros(len(lon), bool)
    for west, south, east, north in boxes.tolist():
        passing |= (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    return passing


def _in_shape(filter_: Filter, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points the shape holds, edge included."""
    if len(lon) > MANY:
        return filter_.cover.contains(lon, lat)
    inside = _in_boxes(np.array([filter_.shape.bounds]), lon, lat)
    near = np.flatnonzero(inside)
    lon, lat = lon[near], lat[near]
    few = len(near) <= FEW
    inside[near] = shapely.intersects_xy(filter_.shape, lon, lat) if few else filter_.cover.contains(lon, lat)
    return inside


def _touching(sieve: Sieve, span: tuple[np.datetime64, np.datetime64]) -> NDArray[np.bool_]:
    """Tell whose span of observation touches the one asked for; a time that is not known touches none.

    A span that ends where the one asked for begins does not touch it: that of 2023 is said to end with the first moment
    of 2024.
    """
    first, last = sieve.take("datetime"), sieve.take("datetime_end")
    begins = first >= span[0]
    touching: NDArray[np.bool_] = (first <= span[1]) & (begins | (np.where(np.isnat(last), first, last) > span[0]))
    return touching


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


def _zone_rows(segment: Segment, zones: NDArray[np.int64]) -> NDArray[np.int64]:
    return expand(zones * ZONE, np.minimum((zones + 1) * ZONE, segment.rows))


def expand(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of all ranges [start, stop), one after another."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    numbers: NDArray[np.int64] = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
    return numbers
