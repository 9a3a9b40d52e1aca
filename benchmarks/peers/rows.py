"""What every peer gets and what it is asked to leave out: rows, column by column, and a filter over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

CHUNK = 16_384
"""Rows handed over at a time, so that a build's peak is the peer's own."""


@dataclass(frozen=True)
class Rows:
    """What a store would hold, column by column.

    Parameters
    ----------
    vectors
        float32 (n, d), unit length.
    lon, lat
        float64 (n,), degrees (EPSG:4326): the row's place is this point.
    when
        datetime64[us] (n,).
    share
        float32 (n,), 0 to 1: an attribute to filter by.
    """

    vectors: NDArray[np.float32]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    when: NDArray[np.datetime64]
    share: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the files that :meth:`save` wrote; nothing is read yet."""
        # np.asarray takes the memmap class off: its indexing costs more than the rows it fetches.
        columns = {
            name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
            for name in ("vectors", "lon", "lat", "when", "share")
        }
        return cls(**{**columns, "when": columns["when"].view("datetime64[us]")})

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file a column; ``when`` as int64 microseconds since 1970."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("vectors", "lon", "lat", "share"):
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "when.npy", self.when.astype("datetime64[us]").view(np.int64))

    def chunks(self) -> Iterator[slice]:
        """Yield slices that cover all rows in order."""
        for start in range(0, len(self), CHUNK):
            yield slice(start, min(start + CHUNK, len(self)))

    def table(self, part: slice) -> dict[str, Any]:
        """Return the columns of some rows: ``id``, ``lon``, ``lat``, ``time`` (int64 microseconds) and ``share``."""
        return {
            "id": np.arange(part.start, part.stop, dtype=np.int64),
            "lon": self.lon[part],
            "lat": self.lat[part],
            "time": self.when[part].view(np.int64),
            "share": self.share[part],
        }


@dataclass(frozen=True)
class Where:
    """A filter; all parts given must hold.

    Parameters
    ----------
    bbox
        West, south, east, north in degrees, edges included; west <= east.
    polygon
        WKT of a polygon or multipolygon, lon/lat; its boundary is included.
    between
        First and last microsecond since 1970, both included.
    share
        From, to: ``low <= share < high``.
    """

    bbox: tuple[float, float, float, float] | None = None
    polygon: str | None = None
    between: tuple[int, int] | None = None
    share: tuple[float, float] | None = None

    def rows(self, rows: Rows) -> NDArray[np.bool_]:
        """Return which rows pass, bool (n,): the truth that peers are held to."""
        passes = np.ones(len(rows), dtype=np.bool_)
        for west, south, east, north in self.boxes():
            passes &= (rows.lon >= west) & (rows.lon <= east) & (rows.lat >= south) & (rows.lat <= north)
        if self.between:
            when = rows.when.view(np.int64)
            passes &= (when >= self.between[0]) & (when <= self.between[1])
        if self.share:
            low, high = np.float32(self.share[0]), np.float32(self.share[1])
            passes &= (rows.share >= low) & (rows.share < high)
        if self.polygon:
            near = np.flatnonzero(passes)
            passes[near] = self.inside(rows.lon[near], rows.lat[near])
        return passes

    def boxes(self) -> list[tuple[float, float, float, float]]:
        """Return the boxes that a row must lie in: the one given, and the polygon's own."""
        boxes = [self.bbox] if self.bbox else []
        if self.polygon:
            west, south, east, north = shapely.from_wkt(self.polygon).bounds
            boxes.append((west, south, east, north))
        return boxes

    def inside(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points the polygon holds (all, if there is no polygon)."""
        if not self.polygon:
            return np.ones(len(lon), dtype=np.bool_)
        area = shapely.from_wkt(self.polygon)
        shapely.prepare(area)
        inside: NDArray[np.bool_] = shapely.intersects_xy(area, lon, lat)
        return inside

    def sql(self) -> str:
        """Return all parts as SQL over ``lon``, ``lat``, ``time``, ``share``; of the polygon only its box."""
        parts = [
            f"lon >= {w!r} AND lon <= {e!r} AND lat >= {s!r} AND lat <= {n!r}"
            for w, s, e, n in (tuple(map(float, box)) for box in self.boxes())
        ]
        if self.between:
            parts.append(f"time >= {int(self.between[0])} AND time <= {int(self.between[1])}")
        if self.share:
            # The bounds are rounded to the column's float32 first, so that no engine compares at another precision.
            low, high = (float(np.float32(bound)) for bound in self.share)
            parts.append(f"share >= {low!r} AND share < {high!r}")
        return " AND ".join(parts) or "true"
