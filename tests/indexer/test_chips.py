from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS

from embedstore import area
from embedstore.errors import GeometryError, RasterError, SpecError
from embedstore.spec import canonical_json, digest
from indexer.bands import Bands
from indexer.chips import BLOCK, ChipPlan
from indexer.rasters import Raster
from tests.indexer.scenes import UTM

ONE = Bands(("B02",), (1,), (1.0,), (0.0,), (0.0,))


def scene(width: int = 640, height: int = 512, crs: str = "EPSG:32633", transform: Affine = UTM) -> Raster:
    when = datetime(2019, 4, 16, tzinfo=UTC)
    return Raster(
        Path("x.tif"), "sha256:00", CRS.from_string(crs), transform, width, height, "uint16", ONE, None, when, 10.0, 512
    )


def windows(plan: ChipPlan) -> list[tuple[int, int]]:
    return [(r, c) for b in plan.blocks() for r, c in zip(b.row.tolist(), b.col.tolist(), strict=True)]


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 300), st.integers(8, 300))
def test_the_grid_holds_every_full_window_once(width: int, height: int, size: int, stride: int) -> None:
    if min(width, height) < size:
        with pytest.raises(RasterError, match=f"--chip-size {min(width, height)} or less"):
            ChipPlan(scene(width, height), "optical", size, stride)
        return
    plan = ChipPlan(scene(width, height), "optical", size, stride)
    expected = [(r, c) for r in range(0, height - size + 1, stride) for c in range(0, width - size + 1, stride)]
    assert sorted(windows(plan)) == expected
    assert plan.count() == len(expected)
    assert all(len(b) <= BLOCK**2 for b in plan.blocks())


@given(
    st.integers(1, 9), st.integers(0, 40), st.integers(0, 40), st.sampled_from([None, datetime(2020, 1, 2, tzinfo=UTC)])
)
def test_an_id_is_the_digest_of_what_went_in(size: int, row: int, col: int, when: datetime | None) -> None:
    raster = dataclasses.replace(scene(50, 50), datetime=when)
    block = next(ChipPlan(raster, "optical", size, 1).blocks())
    at = np.flatnonzero((block.row == min(row, 50 - size)) & (block.col == min(col, 50 - size)))[0]
    window = {"row": int(block.row[at]), "col": int(block.col[at]), "height": size, "width": size}
    said = {
        "chip_size": size,
        "datetime": when.isoformat() if when else None,
        "inputs": [{"modality": "optical", "item": "sha256:00", **window}],
    }
    assert block.ids[at] == digest(said)[:32]
    assert len(set(block.ids)) == len(block)
    assert canonical_json(said)


def test_chips_too_small_or_too_dense() -> None:
    for size, stride in ((0, 8), (8, 0)):
        with pytest.raises(SpecError, match="at least one pixel"):
            ChipPlan(scene(), "optical", size, stride)


def test_an_area_takes_chips_by_their_centres() -> None:
    raster = scene()
    lon, lat = raster.lonlat(np.array([100.0, 400, 400, 100]), np.array([100.0, 100, 300, 300]))
    aoi = area.parse(shapely.Polygon(zip(lon, lat, strict=True)))
    plan = ChipPlan(raster, "optical", 64, 32, aoi)
    expected = [
        (r, c) for r, c in windows(ChipPlan(raster, "optical", 64, 32)) if 100 < r + 32 < 300 and 100 < c + 32 < 400
    ]
    assert windows(plan) == expected
    assert plan.count() == len(expected)


def test_an_area_elsewhere_is_an_error() -> None:
    with pytest.raises(GeometryError, match=r"no chip of x\.tif"):
        ChipPlan(scene(), "optical", 64, 64, area.box(-60, -30, -59, -29)).count()


def outlines(raster: Raster) -> Any:
    return np.concatenate([b.footprints() for b in ChipPlan(raster, "optical", 64, 64).blocks()])


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32601", Affine(100, 0, 300_000, 0, -100, 7_000_000)),
        ("EPSG:32660", Affine(100, 0, 620_000, 0, -100, 7_000_000)),
        ("EPSG:3832", Affine(100, 0, 3_280_000, 0, -100, 1_000_000)),
        ("EPSG:4326", Affine(0.01, 0, 177, 0, -0.01, 10)),
        ("EPSG:3413", Affine(100, 0, -2_000_000, 0, -100, 2_000_000)),
    ],
)
def test_footprints_across_the_antimeridian(crs: str, transform: Affine) -> None:
    shapes = outlines(scene(crs=crs, transform=transform))
    assert shapely.is_valid(shapes).all()
    bounds = shapely.bounds(shapes)
    assert (np.abs(bounds[:, [0, 2]]) <= 180).all()
    split = shapely.get_type_id(shapes) == 6
    assert split.any()
    for shape in shapes[split]:
        assert max(p.bounds[2] - p.bounds[0] for p in shape.geoms) < 90
    # Chips lie side by side: no ground is counted twice, apart from straight edges that are curves on the map.
    assert shapely.union_all(shapes).area == pytest.approx(shapely.area(shapes).sum(), rel=1e-2)


@pytest.mark.parametrize(("crs", "sign"), [("EPSG:3413", 1), ("EPSG:3031", -1)])
def test_the_chip_at_the_pole_holds_the_pole(crs: str, sign: int) -> None:
    shapes = outlines(scene(640, 640, crs, Affine(100, 0, -32_100, 0, -100, 32_100)))
    tops = [s for s in shapes if max(abs(s.bounds[1]), abs(s.bounds[3])) == 90]
    assert len(tops) == 1
    assert tops[0].is_valid
    assert tops[0].contains(shapely.Point(10, sign * 89.999))
    assert tops[0].contains(shapely.Point(-170, sign * 89.999))


def test_a_rotated_scene_lies_where_its_affine_says() -> None:
    raster = scene(transform=UTM @ Affine.rotation(30))
    shape = outlines(raster)[0]
    lon, lat = raster.lonlat(np.array([0.0, 64]), np.array([0.0, 64]))
    corners = shapely.get_coordinates(shape)
    for x, y in zip(lon, lat, strict=True):
        assert np.hypot(*(corners - [x, y]).T).min() < 1e-9
    assert abs(corners[0][0] - corners[1][0]) > 1e-3


def test_a_plan_of_a_giant_scene_costs_nothing() -> None:
    plan = ChipPlan(scene(100_000, 100_000), "optical", 64, 8)
    assert plan.count() == 12_493**2
    assert len(next(plan.blocks())) == BLOCK**2
