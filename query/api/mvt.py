"""Mapbox vector tiles of polygons in degrees, cut and encoded by DuckDB's spatial extension.

Tiles are those of Web Mercator, 4096 units wide (https://github.com/mapbox/vector-tile-spec).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from query.api.problems import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEEPEST = 24
HALF = math.pi * 6_378_137.0
"""Half the width of the world in Web Mercator, in metres."""
MOST_NORTH = 85.051128779806604
"""Latitude at which the square world ends."""
UNITS, BUFFER = 4096, 64


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile by zoom, column from the west and row from the north."""

    z: int
    x: int
    y: int

    def __post_init__(self) -> None:
        side = 1 << min(max(self.z, 0), DEEPEST)
        if not (0 <= self.z <= DEEPEST and 0 <= self.x < side and 0 <= self.y < side):
            raise Problem(404, f"there is no tile {self.z}/{self.x}/{self.y}.")

    @property
    def metres(self) -> tuple[float, float, float, float]:
        """West, south, east, north in Web Mercator."""
        side = 2 * HALF / (1 << self.z)
        west, north = self.x * side - HALF, HALF - self.y * side
        return west, north - side, west + side, north

    def degrees(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """Return west, south, east, north, widened by a margin in degrees of latitude, within the world."""
        west, south, east, north = self.metres
        bottom, top = (math.degrees(math.atan(math.sinh(v / HALF * math.pi))) for v in (south, north))
        across = margin / max(math.cos(math.radians(max(abs(bottom), abs(top)))), 0.05)
        return (
            max(west / HALF * 180 - across, -180.0),
            max(bottom - margin, -90.0),
            min(east / HALF * 180 + across, 180.0),
            min(top + margin, 90.0),
        )


def mercator(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return positions of shape (n, 2) in metres of Web Mercator."""
    lat = np.clip(degrees[:, 1], -MOST_NORTH, MOST_NORTH)
    return np.column_stack([degrees[:, 0] / 180 * HALF, np.arctanh(np.sin(np.radians(lat))) / math.pi * HALF])


def encode(tile: Tile, layer: str, shapes: NDArray[Any], columns: dict[str, pa.Array]) -> bytes:
    """Return one layer as a vector tile.

    Parameters
    ----------
    tile
        Where it is cut.
    layer
        The layer's name.
    shapes
        Polygons in degrees, shape (n,).
    columns
        Properties of each: strings, numbers.
    """
    if not len(shapes):
        return b""
    metres = shapely.to_wkb(shapely.transform(shapes, mercator))
    table = pa.table({**columns, "shape": pa.array(list(metres), pa.binary())})
    names = ", ".join(f'"{name}" := "{name}"' for name in columns)
    west, south, east, north = tile.metres
    cut = (
        f"ST_AsMVTGeom(ST_GeomFromWKB(shape), ST_Extent(ST_MakeEnvelope({west}, {south}, {east}, {north})), "
        f"{UNITS}, {BUFFER}, true)"
    )
    row = f"SELECT struct_pack({names}, geom := {cut}) AS one FROM chips"  # noqa: S608 - numbers and our own names
    cursor = _connection().cursor()
    made = cursor.from_arrow(table).query("chips", f"SELECT ST_AsMVT(one, '{layer}', {UNITS}, 'geom') FROM ({row})")  # noqa: S608
    return bytes(made.fetchone()[0] or b"")


@cache
def _connection() -> Any:
    """Return a DuckDB connection with the spatial extension, which comes from PyPI and is loaded from there."""
    from importlib.metadata import files  # noqa: PLC0415

    import duckdb  # noqa: PLC0415

    (extension,) = (f for f in files("duckdb-extension-spatial") or () if f.name == "spatial.duckdb_extension")
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "512MB"})
    connection.execute(f"LOAD '{extension.locate()}'")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")
    return connection
