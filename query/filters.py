"""Filters: what chips must satisfy to answer, read from what people write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

from embedstore import area, grid
from embedstore.errors import FilterError
from query.cover import Cover

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


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
            whole_day = len(value.strip()) <= len("2019-12-31")  # or 20191231, or 2019-W52
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
