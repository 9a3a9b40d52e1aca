from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from query.cover import SIDE, Cover


def star(seed: int, vertices: int) -> shapely.Geometry:
    """A jagged polygon with a hole, seldom the same twice."""
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = rng.uniform(0.4, 1, vertices)
    centre = rng.uniform(-60, 60, 2)
    scale = 10.0 ** rng.uniform(-4, 1)
    outline = centre + scale * np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    hole = centre + 0.2 * scale * np.column_stack([np.cos(angle), np.sin(angle)])
    return shapely.Polygon(outline, [hole])


@given(seed=st.integers(0, 10_000), vertices=st.integers(3, 400))
def test_points_are_held_as_shapely_says(seed: int, vertices: int) -> None:
    shape = star(seed, vertices)
    shapely.prepare(shape)
    rng = np.random.default_rng(seed)
    west, south, east, north = shape.bounds
    lon = rng.uniform(west - 0.1 * (east - west), east + 0.1 * (east - west), 3000)
    lat = rng.uniform(south - 0.1 * (north - south), north + 0.1 * (north - south), 3000)
    corners = shapely.get_coordinates(shape)
    lon, lat = np.concatenate([lon, corners[:, 0], [west, east]]), np.concatenate([lat, corners[:, 1], [north, south]])
    assert np.array_equal(Cover(shape).contains(lon, lat), shapely.intersects_xy(shape, lon, lat))


@given(seed=st.integers(0, 10_000), vertices=st.integers(3, 60))
def test_boxes_inside_are_inside_and_boxes_that_touch_are_not_missed(seed: int, vertices: int) -> None:
    shape = star(seed, vertices)
    rng = np.random.default_rng(seed)
    west, south, east, north = shape.bounds
    corner = rng.uniform([west, south], [east, north], (300, 2)) - 0.05 * rng.random((300, 2)) * [
        east - west,
        north - south,
    ]
    size = rng.exponential(0.1, (300, 2)) * [east - west, north - south] * (rng.random((300, 1)) > 0.1)
    boxes = np.column_stack([corner, corner + size])
    whole, touching = Cover(shape).boxes(boxes)
    geometries = shapely.box(*boxes.T)
    assert shapely.covers(shape, geometries)[whole].all()
    assert touching[shapely.intersects(shape, geometries)].all()
    assert not touching[whole].size or touching[whole].all()


@pytest.mark.parametrize(
    "wkt",
    [
        "POLYGON ((0 0, 10 0, 10 10, 0 10, 0 0))",
        "MULTIPOLYGON (((179 0, 180 0, 180 1, 179 1, 179 0)), ((-180 0, -179 0, -179 1, -180 1, -180 0)))",
        "POLYGON ((0 0, 1e-9 0, 1e-9 1e-9, 0 1e-9, 0 0))",
        "POLYGON ((5 5, 6 5, 5.5 5.0000001, 5 5))",
    ],
)
def test_odd_shapes(wkt: str) -> None:
    shape = shapely.from_wkt(wkt)
    cover = Cover(shape)
    assert cover.cells.shape == (SIDE, SIDE)
    west, south, east, north = shape.bounds
    lon, lat = (v.ravel() for v in np.meshgrid(np.linspace(west, east, 97), np.linspace(south, north, 97)))
    assert np.array_equal(cover.contains(lon, lat), shapely.intersects_xy(shape, lon, lat))
