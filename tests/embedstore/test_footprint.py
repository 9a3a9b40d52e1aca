from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from embedstore import area, footprint
from embedstore.errors import GeometryError


def sphere_area(shape: object) -> float:
    """Area in square degrees of an equal-area map: longitude by the sine of latitude."""
    dense = shapely.segmentize(shape, 0.05)
    return float(
        shapely.area(shapely.transform(dense, lambda xy: np.column_stack([xy[:, 0], np.sin(np.radians(xy[:, 1]))])))
    )


def projected(crs: str, x: float, y: float, side: float) -> object:
    xs, ys = [x, x + side, x + side, x], [y, y, y + side, y + side]
    lon, lat = transform(crs, "EPSG:4326", xs, ys)
    return footprint.footprints(np.array([lon]), np.array([lat]))[0]


@given(st.floats(-179.9, 179.9), st.floats(-80, 80), st.floats(0.001, 2), st.floats(0.001, 2))
def test_a_box_anywhere_keeps_its_area_and_centre(x: float, y: float, w: float, h: float) -> None:
    ring = (np.array([[x - w, x + w, x + w, x - w]]), np.array([[y - h, y - h, y + h, y + h]]))
    shapes = footprint.footprints(*ring)
    assert shapes[0].is_valid
    assert shapely.area(shapes[0]) == pytest.approx(4 * w * h, rel=1e-6)
    west, south, east, north = shapes[0].bounds
    assert west >= -180
    assert east <= 180
    assert (south, north) == pytest.approx((y - h, y + h))
    lon, lat = footprint.centres(shapes)
    off = (lon[0] - x + 180) % 360 - 180
    assert abs(off) < 1e-6
    assert abs(lat[0] - y) < 0.01 * max(w, 1), "on the sphere, the middle of a wide box lies a little poleward"


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3413", 90), ("EPSG:3031", -90)])
def test_a_chip_over_a_pole_is_a_cap(crs: str, pole: int) -> None:
    shape = projected(crs, -300_000, -300_000, 600_000)
    assert shape.is_valid
    assert shape.bounds[0] == -180
    assert shape.bounds[2] == 180
    assert pole in (shape.bounds[1], shape.bounds[3])
    _, lat = footprint.centres(np.array([shape], object))
    assert abs(lat[0] - pole) < 0.5
    assert shapely.intersects_xy(shape, 37.0, pole * 0.99)
    beside = projected(crs, 400_000, 400_000, 100_000)
    assert beside.bounds[2] - beside.bounds[0] < 30


@pytest.mark.parametrize(("crs", "x"), [("EPSG:32601", 165_640.0), ("EPSG:32660", 833_000.0)])
def test_a_chip_over_the_antimeridian_is_split(crs: str, x: float) -> None:
    shape = projected(crs, x - 10_000, 100_000, 22_000)
    assert shape.geom_type == "MultiPolygon"
    assert shape.bounds[0] == -180
    assert shape.bounds[2] == 180
    whole = projected(crs, 500_000, 100_000, 22_000)
    assert sphere_area(shape) == pytest.approx(sphere_area(whole), rel=0.02)


@pytest.mark.parametrize("west", [-180.0, 179.9, 12.0])
@pytest.mark.parametrize("south", [-90.0, 0.0, 45.0])
def test_the_middle_of_a_box_lies_in_its_middle(west: float, south: float) -> None:
    """Also where a side of it is the antimeridian, which does not cut it."""
    shapes = footprint.footprints(
        np.array([[west, west + 0.1, west + 0.1, west]]), np.array([[south, south, south + 0.1, south + 0.1]])
    )
    lon, lat = footprint.centres(shapes)
    assert (lon[0], lat[0]) == pytest.approx((west + 0.05, south + 0.05), abs=1e-4)


def test_areas_over_the_antimeridian_and_the_pole() -> None:
    for given_ in ([170, 0, -170, 10], "POLYGON((170 0, 190 0, 190 10, 170 10, 170 0))"):
        shape = area.parse(given_)
        assert shape.area == pytest.approx(200)
        assert shapely.intersects_xy(shape, [175, -175, 160], [5, 5, 5]).tolist() == [True, True, False]
    cap = area.parse({"type": "Polygon", "coordinates": [[[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]]]})
    assert shapely.intersects_xy(cap, [-45.0, 135.0, 0.0], [85.0, 89.0, 70.0]).tolist() == [True, True, False]


def test_holes_stay_holes() -> None:
    shape = area.parse("POLYGON((0 0, 9 0, 9 9, 0 9, 0 0), (3 3, 6 3, 6 6, 3 6, 3 3))")
    assert shape.area == pytest.approx(72)


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ("POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))", "Self-intersection"),
        ("LINESTRING(0 0, 1 1)", "no polygon"),
        ("POLYGON((0 0, 1 0", "neither GeoJSON nor WKT"),
        ('{"type": "Polygon"', "no valid GeoJSON"),
        ("missing.geojson", "cannot be read"),
        ("POLYGON((0 0, 0 100, 5 100, 0 0))", "past a pole"),
        ({"type": "FeatureCollection", "features": []}, "no polygon"),
        ([0, 10, 1, 5], "south"),
        ([0, float("nan"), 1, 5], "finite"),
    ],
)
def test_areas_that_make_no_sense_say_why(given_: object, says: str) -> None:
    with pytest.raises(GeometryError, match=says) as caught:
        area.parse(given_)
    assert "\n" not in str(caught.value)
