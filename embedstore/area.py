"""Areas of interest: polygons and boxes as people give them, made ready for the sphere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore import footprint
from embedstore.errors import GeometryError

if TYPE_CHECKING:
    from numpy.typing import NDArray


MOST = (360.0, 90.0)
"""Degrees of longitude and latitude: a ring may cross the antimeridian, and not go round the world again and again."""


def box(west: float, south: float, east: float, north: float) -> Any:
    """Return a box in degrees; west > east means that it crosses the antimeridian.

    Raises
    ------
    GeometryError
        If a side is not finite, a latitude is past a pole, or south is above north.
    """
    if not all(abs(v) <= 1e6 for v in (west, south, east, north)):
        raise GeometryError(
            f"the box {west},{south},{east},{north} is not finite; give west,south,east,north in degrees."
        )
    if not -90 <= south <= north <= 90:
        raise GeometryError(
            f"the box {west},{south},{east},{north} needs -90 <= south <= north <= 90; give west,south,east,north."
        )
    if east < west:
        east += 360
    if east - west >= 360:
        west, east = -180, 180
    return footprint.split(shapely.box(west, south, east, north))


def parse(area: Any) -> Any:
    """Return an area of interest as one valid shapely geometry in degrees, cut at the antimeridian.

    Parameters
    ----------
    area
        A shapely geometry, WKT, GeoJSON (text, mapping, Feature or FeatureCollection), a path to a file of either,
        or four numbers west, south, east, north. Coordinates are OGC:CRS84.

    Raises
    ------
    GeometryError
        If it cannot be read, holds no area, or is invalid (the message says where).
    """
    if isinstance(area, (tuple, list)) and len(area) == 4 and all(isinstance(v, (int, float)) for v in area):
        return box(*area)
    shape = area if isinstance(area, shapely.Geometry) else _read(area)
    polygons = [p for p in shapely.get_parts(shapely.get_parts(shape)) if p.geom_type == "Polygon"]
    polygons = [p for p in polygons if not p.is_empty]
    if not polygons:
        raise GeometryError(
            f"the area {_short(area)} holds no polygon ({shape.geom_type}); give a Polygon or MultiPolygon."
        )
    if not (np.abs(shapely.get_coordinates(polygons)) <= MOST).all():
        raise GeometryError(
            f"the area {_short(area)} has latitudes past a pole, or longitudes past 360; coordinates must be degrees, "
            "longitude first."
        )
    try:
        sound = [_mend_crossing(p, area) for p in polygons]
        whole = sound[0] if len(sound) == 1 else shapely.union_all(sound)
    except shapely.errors.GEOSException as error:
        raise GeometryError(f"the area {_short(area)} is invalid: {error}. Repair it.") from error
    shapely.prepare(whole)
    return whole


def _mend_crossing(polygon: Any, area: Any) -> Any:
    """Split a polygon that crosses the antimeridian, and refuse one that is invalid.

    One that does not cross it stays as it is: to subtract its holes takes minutes where there are thousands, or where
    its corners all but touch.
    """
    corners = [shapely.get_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
    shape = polygon
    if any(_crosses(of) for of in corners):
        rings = [_ring(of) for of in corners]
        if all(ring.is_valid for ring in rings):
            shape = shapely.difference(rings[0], shapely.union_all(rings[1:])) if len(rings) > 1 else rings[0]
    if not shape.is_valid:
        raise GeometryError(
            f"the area {_short(area)} is invalid: {shapely.is_valid_reason(shape)}. Repair it, for instance with "
            "shapely.make_valid or QGIS's 'Fix geometries'."
        )
    return shape


def _jumps(xs: NDArray[np.float64]) -> bool:
    """Tell whether a ring jumps over the antimeridian.

    A ring drawn round the whole world (-180 to 180 in one edge) does jump, but encloses what it says.
    """
    return bool((np.abs(np.diff(xs)) > 180).any()) and not (xs.min() <= -180 and xs.max() >= 180)


def _crosses(coords: NDArray[np.float64]) -> bool:
    return _jumps(coords[:, 0]) or bool((np.abs(coords[:, 0]) > 180).any())


def _ring(coords: NDArray[np.float64]) -> Any:
    if _jumps(coords[:, 0]):
        xs, ys = coords[:-1].T
        return footprint.ring(xs.tolist(), ys.tolist())
    return footprint.split(shapely.Polygon(coords))


def _read(area: Any) -> Any:
    """Read a geometry from a mapping, a text, or a file."""
    if isinstance(area, dict):
        return _from_geojson(area)
    text = str(area).strip()
    if not text.startswith("{") and "(" not in text:
        path = Path(text)
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise GeometryError(f"the area file {path} cannot be read: {error}. Give a GeoJSON or WKT file.") from error
    if text.startswith("{"):
        try:
            return _from_geojson(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise GeometryError(f"the area {_short(area)} is no valid GeoJSON: {error}.") from error
    try:
        return shapely.from_wkt(text)
    except shapely.errors.ShapelyError as error:
        raise GeometryError(f"the area {_short(area)} is neither GeoJSON nor WKT: {error}.") from error


def _from_geojson(data: dict[str, Any]) -> Any:
    if not isinstance(data, dict):
        raise GeometryError(f"the area holds {_short(data)}, which is no GeoJSON object.")
    about = data.get("crs")
    named = about.get("properties") if isinstance(about, dict) else None
    crs = str(named.get("name", "CRS84")) if isinstance(named, dict) else "CRS84"
    if not crs.endswith(("CRS84", "EPSG::4326", "EPSG:4326")):
        raise GeometryError(f"the area's CRS is {crs}; GeoJSON must be in degrees (OGC:CRS84). Reproject it.")
    if data.get("type") == "FeatureCollection":
        features = data.get("features")
        shapes = [_from_geojson(f) for f in (features if isinstance(features, list) else [])]
        return shapely.GeometryCollection([p for s in shapes for p in shapely.get_parts(s)])
    if data.get("type") == "Feature":
        return _from_geojson(data.get("geometry") or {})
    try:
        return shapely.from_geojson(json.dumps(data))
    except (shapely.errors.ShapelyError, ValueError, RecursionError) as error:
        raise GeometryError(f"the area is no valid GeoJSON geometry: {error}.") from error


def _short(area: Any) -> str:
    text = str(area)
    return repr(text if len(text) <= 60 else text[:57] + "…")
