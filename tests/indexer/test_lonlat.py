"""Positions in degrees, and numbers that are no position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from embedstore.errors import EmbeddingsError, RasterError
from indexer.importers import footprints
from indexer.lonlat import FARTHEST, lonlat


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857", "EPSG:4326"])
def test_positions_are_those_of_proj(crs: str) -> None:
    rng = np.random.default_rng(0)
    scale = 1.0 if crs == "EPSG:4326" else 1e5
    x, y = rng.uniform(1, 8, 50) * scale, rng.uniform(1, 60, 50) * scale
    expected = Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(x, y)
    assert np.allclose(lonlat(crs, x, y), expected, atol=1e-9)


@pytest.mark.parametrize("far", [1e300, -1e18, 2 * FARTHEST, np.inf, np.nan])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857", "EPSG:4326"])
def test_numbers_that_are_no_position_take_no_time(crs: str, far: float) -> None:
    lon, lat = lonlat(crs, [far, 10.0, 10.0], [45.0, far, 45.0])
    assert np.isinf([lon[0], lat[0], lon[1], lat[1]]).all()
    assert np.isfinite([lon[2], lat[2]]).all()


def test_footprints_far_off_the_earth_are_refused() -> None:
    shapes = np.array([shapely.box(5e5, 5e6, 5.01e5, 5.001e6), shapely.box(-1e300, 0, 1, 1)], object)
    with pytest.raises(EmbeddingsError, match=r"row 1 .* not on Earth"):
        footprints.polygons(shapes, "EPSG:32633", np.arange(2), Path("a.parquet"))


def test_what_proj_gives_up_is_told() -> None:
    with pytest.raises(RasterError, match="EPSG:32633 cannot be told in degrees"):
        lonlat("EPSG:32633", np.full(50, 9e8), np.full(50, 5e6))
