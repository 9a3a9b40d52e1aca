"""Footprints on the sphere: polygons in degrees that mind the antimeridian and the poles.

A ring that jumps by more than 180° of longitude crosses the antimeridian and is split there; a ring that goes once
round the world encloses a pole and is closed over it. This follows RFC 7946, section 3.1.9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Geometries = NDArray[Any]


def footprints(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Geometries:
    """Return one polygon a ring, split at 180° and closed over a pole where need be.

    Parameters
    ----------
    lon, lat
        Degrees, OGC:CRS84, shape (n, m): the m corners of each ring in order, not closed.

    Returns
    -------
    Array of shapely Polygon or MultiPolygon, shape (n,).
    """
    lon = (np.asarray(lon, np.float64) + 180) % 360 - 180
    lat = np.asarray(lat, np.float64)
    shapes = shapely.polygons(np.stack([lon, lat], axis=-1))
    step = np.diff(lon, axis=1, append=lon[:, :1])
    for i in np.flatnonzero((np.abs(step) > 180).any(axis=1)):
        shapes[i] = ring(lon[i].tolist(), lat[i].tolist())
    oriented: Geometries = shapely.orient_polygons(shapes)
    return oriented


def ring(lon: Sequence[float], lat: Sequence[float]) -> Any:
    """Return the area within one ring (not closed) that may cross the antimeridian or enclose a pole."""
    xs = np.unwrap(np.asarray(lon, np.float64), period=360)
    ys = np.asarray(lat, np.float64)
    closing = (lon[0] - xs[-1] + 180) % 360 - 180
    turns = round((xs[-1] + closing - xs[0]) / 360)
    if turns:
        return _pole_cap(xs, ys)
    return split(shapely.Polygon(np.column_stack([xs, ys])))


def _pole_cap(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Any:
    """Close a ring that goes once round the world over the nearer pole."""
    pole = 90.0 if ys.mean() > 0 else -90.0
    x = (xs + 180) % 360 - 180
    order = np.argsort(x, kind="stable")
    x, y = x[order], ys[order]
    # the latitude at which the ring passes the antimeridian, between its last and its first corner
    gap = x[0] + 360 - x[-1]
    seam = y[-1] + (y[0] - y[-1]) * ((180 - x[-1]) / gap if gap > 0 else 0.0)
    corners = [(-180.0, seam), *zip(x.tolist(), y.tolist(), strict=True), (180.0, seam), (180.0, pole), (-180.0, pole)]
    return shapely.Polygon(corners)


def split(shape: Any) -> Any:
    """Bring a geometry whose longitudes run past ±180° back, cut at the antimeridian."""
    west, _, east, _ = shape.bounds
    if west >= -180 and east <= 180:
        return shape
    parts = []
    first, last = int(np.floor((west + 180) / 360)), int(np.ceil((east + 180) / 360))
    for world in range(first, last):
        part = shapely.intersection(shape, shapely.box(-180 + 360 * world, -90, 180 + 360 * world, 90))
        parts.append(shapely.transform(part, lambda xy, w=world: xy - [360.0 * w, 0.0]))
    polygons = [p for p in shapely.get_parts(shapely.get_parts(parts)) if p.area > 0]
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def centres(shapes: Geometries) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude of the middle of each footprint.

    The centroid in degrees; of a footprint that was cut at the antimeridian or holds a pole, the mean direction of its
    corners on the sphere.

    Returns
    -------
    Two float64 arrays of shape (n,), degrees.
    """
    middle = shapely.centroid(shapes)
    lon, lat = shapely.get_x(middle), shapely.get_y(middle)
    box = shapely.bounds(shapes)
    for i in np.flatnonzero((box[:, 0] <= -180) & (box[:, 2] >= 180)):
        lon[i], lat[i] = _mean_direction(shapely.get_coordinates(shapes[i]))
    return lon, lat


def _mean_direction(corners: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of positions on the sphere.

    Corners at a pole itself only close a cap and do not count. Those on the antimeridian are mostly of the cut: they
    count, once, only where a rectangle has no four others.
    """
    kept = np.unique(corners[np.abs(corners[:, 1]) < 90], axis=0)
    inner = kept[np.abs(kept[:, 0]) < 180]
    kept = inner if len(inner) >= 4 else kept[kept[:, 0] > -180]
    x, y = np.radians(kept).T
    mean = np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)]).mean(axis=1)
    lon, lat = np.degrees(np.arctan2(mean[1], mean[0])), np.degrees(np.arctan2(mean[2], np.hypot(mean[0], mean[1])))
    return float(lon), float(lat)
