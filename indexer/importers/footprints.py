"""Geometry columns of others as footprints of ours: polygons in degrees, cut at the antimeridian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError

from embedstore import footprint
from embedstore.errors import EmbeddingsError
from indexer.lonlat import lonlat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

METRES_A_DEGREE = 111_195.0
"""Of latitude, on the mean sphere."""
CRS84 = "OGC:CRS84"
LEAST_SIDE = 1.0
"""Metres: footprints smaller than this in a projected CRS are in truth in degrees."""


def crs_of(geo: dict[str, Any], path: Path) -> str:
    """Return the CRS of a file's column ``geometry``, ``OGC:CRS84`` for all that count degrees of WGS 84.

    Parameters
    ----------
    geo
        The file's ``geo`` footer; empty if it has none, which means degrees.
    path
        The file, for messages.

    Raises
    ------
    EmbeddingsError
        If the geometries are not WKB, or their CRS cannot be understood.
    """
    column = geo.get("columns", {}).get("geometry", {})
    if str(column.get("encoding", "WKB")).upper() != "WKB":
        raise EmbeddingsError(f"the geometries of {path} are of encoding {column['encoding']}; write them as WKB.")
    crs = column.get("crs")
    if not isinstance(crs, dict):  # absent or null: GeoParquet's default
        return CRS84
    code = crs.get("id") or {}
    name = f"{code.get('authority')}:{code.get('code')}"
    if name in (CRS84, "EPSG:4326"):
        return CRS84
    try:
        CRS.from_user_input(name)
    except CRSError as error:
        raise EmbeddingsError(
            f"the CRS {crs.get('name')!r} of {path} has no code that is known ({name}); reproject it to OGC:CRS84."
        ) from error
    return name


def is_in_degrees(shapes: NDArray[Any], crs: str) -> bool:
    """Tell whether footprints are in degrees, whatever their file says.

    Files exist that declare EPSG:3857 and hold degrees. Taken at its word, such a footprint would lie within 200 m
    of 0°, 0° and be smaller than a metre.
    """
    if crs == CRS84:
        return True
    box = shapely.bounds(shapes)
    if not CRS.from_user_input(crs).is_projected or not len(box):
        return False
    in_range = (np.abs(box) <= [180, 90, 180, 90]).all()
    return bool(in_range and (box[:, 2:] - box[:, :2] < LEAST_SIDE).all())


def polygons(shapes: NDArray[Any], crs: str, numbers: NDArray[np.int64], path: Path) -> NDArray[Any]:
    """Return footprints in degrees.

    Parameters
    ----------
    shapes
        Shapely geometries, shape (n,).
    crs
        Theirs.
    numbers
        Of their rows in the file, for messages.
    path
        The file.

    Raises
    ------
    EmbeddingsError
        If one is missing, empty, no polygon, or not on Earth.
    """
    polygonal = np.isin(shapely.get_type_id(shapes), [3, 6]) & ~shapely.is_empty(shapes)
    if not polygonal.all():
        at = int(np.argmin(polygonal))
        what = "no geometry" if shapes[at] is None else f"a geometry that is no polygon ({shapes[at].geom_type})"
        raise EmbeddingsError(f"row {numbers[at]} of {path} has {what}; every vector needs its footprint.")
    flat = shapely.force_2d(shapes)
    if crs != CRS84:
        xy = shapely.get_coordinates(flat)
        flat = shapely.set_coordinates(flat, np.column_stack(lonlat(crs, xy[:, 0], xy[:, 1])))
    box = shapely.bounds(flat)
    good = np.isfinite(box).all(axis=1) & (np.abs(box) <= [360, 90, 360, 90]).all(axis=1)
    if not good.all():
        at = int(np.argmin(good))
        raise EmbeddingsError(
            f"the footprint of row {numbers[at]} of {path} is not on Earth: {flat[at].bounds} ({crs}). "
            "Is the CRS in its footer right?"
        )
    for i in np.flatnonzero((box[:, 2] - box[:, 0] > 180) | (box[:, 0] < -180) | (box[:, 2] > 180)):
        if flat[i].geom_type == "Polygon":
            ring = shapely.get_coordinates(flat[i].exterior)[:-1]
            flat[i] = footprint.ring(ring[:, 0].tolist(), ring[:, 1].tolist())
    oriented: NDArray[Any] = shapely.orient_polygons(flat)
    return oriented


def squares(lon: NDArray[np.float64], lat: NDArray[np.float64], metres: float) -> NDArray[Any]:
    """Return squares of a side in metres around positions in degrees, sides to the points of the compass."""
    up = metres / 2 / METRES_A_DEGREE
    across = up / np.maximum(np.cos(np.radians(lat)), 1e-3)
    east, north = np.array([-1, 1, 1, -1]), np.array([-1, -1, 1, 1])
    return footprint.footprints(lon[:, None] + across[:, None] * east, np.clip(lat[:, None] + up * north, -90, 90))


def side(shapes: Iterable[Any]) -> float:
    """Return the side in metres of a square as large as the middle one of some footprints in degrees."""
    sides = [
        METRES_A_DEGREE * (s.area * max(np.cos(np.radians((s.bounds[1] + s.bounds[3]) / 2)), 1e-3)) ** 0.5
        for s in shapes
    ]
    return float(np.median(sides))
