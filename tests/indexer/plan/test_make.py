"""Plans: every chip once a period, the best scenes, modalities joined, and what it will take."""

from __future__ import annotations

import json
from itertools import combinations
from typing import TYPE_CHECKING, Any

import duckdb
import geopandas
import numpy as np
import pytest
import shapely
from rasterio.warp import transform as warp

from embedstore import area
from embedstore.errors import FilterError, GeometryError, PlanError, SpecError
from indexer.plan import choose, estimate, file, make
from tests.indexer.plan import world

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from indexer.plan.work import WorkUnit

SPRING = "2024-03-01/2024-05-31"


def planned(folder: Path, items: Sequence[dict[str, Any]], aoi: Any = None, dates: str = SPRING, **more: Any) -> Any:
    """Plan for some Items; return the report and the plan."""
    catalogue = world.collection_file(folder / "items.json", items)
    out = folder / "plan.parquet"
    where = world.around(items, 0.01) if aoi is None else aoi
    report = make.plan(where, catalogue, dates, out, **{"chip_size": 8, **more})
    return report, file.read(out)


def ids(units: Sequence[WorkUnit]) -> list[str]:
    return [i for unit in units for block in unit.expected().blocks() for i in block.ids]


def test_scenes_side_by_side_lose_no_chip(tmp_path: Path) -> None:
    report, plan = planned(tmp_path, world.tiling(tmp_path, 3, 2, step=64, size=64))
    assert plan.chips == 6 * 8 * 8 == report.estimate["chips"] == sum(u.chips for u in plan.units)
    assert len(set(ids(plan.units))) == plan.chips
    assert report.faults == ()


def test_scenes_that_overlap_give_each_chip_once(tmp_path: Path) -> None:
    report, plan = planned(tmp_path, world.tiling(tmp_path, 3, 2, step=48, size=64))
    assert report.estimate["scenes"] == 6
    assert plan.chips == 20 * 14  # the grids of these scenes lie on each other
    assert len(set(ids(plan.units))) == plan.chips


@pytest.mark.parametrize(
    ("lon", "lat", "west", "east"),
    [(12.0, 45.8, "EPSG:32632", "EPSG:32633"), (180.0, -16.5, "EPSG:32760", "EPSG:32701")],
    ids=["utm zone border", "antimeridian"],
)
def test_two_zones_share_the_ground_between_them(tmp_path: Path, lon: float, lat: float, west: str, east: str) -> None:
    items = []
    for name, crs, shift in (("w", west, -640), ("e", east, -320)):
        (x,), (y,) = warp("OGC:CRS84", crs, [lon], [lat])
        items.append(world.item(tmp_path, name, crs=crs, west=x + shift, north=y, size=96))
    shapes = [shapely.geometry.shape(i["geometry"]) for i in items]
    shared = shapely.area(shapely.intersection(*shapes)) / shapely.area(shapes[0])
    assert 0.1 < shared < 0.9
    _, plan = planned(tmp_path, items, aoi=shapely.union_all(shapes))
    assert {u.sources[0].item for u in plan.units} == {"stac:made/w", "stac:made/e"}
    assert len(set(ids(plan.units))) == plan.chips
    # Two grids that do not lie on each other: as many chips as fit the ground, but for what the seam costs.
    ground = shapely.area(shapely.union_all(shapes)) / shapely.area(shapes[0]) * 12 * 12
    assert 0.9 * ground < plan.chips < 1.02 * ground
    seen = [(lon, lat) for u in plan.units for lon, lat in zip(*_centres(u), strict=True)]
    near = [np.hypot((a[0] - b[0] + 180) % 360 - 180, a[1] - b[1]) for a, b in combinations(seen, 2)]
    assert min(near) > 0  # no place twice


def _centres(unit: WorkUnit) -> Any:
    plan = unit.expected()
    (block,) = plan.blocks()
    return plan.raster.lonlat(block.col + plan.size / 2, block.row + plan.size / 2)


def test_only_chips_centred_in_the_area(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 2, 2, step=48, size=64)
    aoi = shapely.affinity.rotate(shapely.affinity.scale(world.around(items), 0.5, 0.6), 20)
    _, plan = planned(tmp_path, items, aoi=aoi)
    inside = [shapely.contains_xy(aoi, *_centres(unit)) for unit in plan.units]
    assert all(some.all() for some in inside)
    share = shapely.area(aoi) / shapely.area(world.around(items))
    assert abs(plan.chips / 196 - share) < 0.08
    assert any(unit.within for unit in plan.units)


def test_the_clearest_scene_is_taken_and_then_the_one_near_the_middle(tmp_path: Path) -> None:
    cloudy = world.item(tmp_path, "cloudy", cloud=60.0, when="2024-04-15T10:00:00Z")
    early = world.item(tmp_path, "early", cloud=10.0, when="2024-03-02T10:00:00Z")
    middle = world.item(tmp_path, "middle", cloud=10.0, when="2024-04-12T10:00:00Z")
    silent = world.item(tmp_path, "silent", cloud=None, when="2024-04-15T10:00:00Z")
    report, plan = planned(tmp_path, [cloudy, early, middle, silent])
    assert {u.sources[0].item for u in plan.units} == {"stac:made/middle"}
    assert report.too_cloudy == 0
    report, plan = planned(tmp_path, [cloudy, silent, early], max_cloud=20)
    assert {u.sources[0].item for u in plan.units} == {"stac:made/early"}
    assert report.too_cloudy == 2
    _, plan = planned(tmp_path, [cloudy, silent])
    assert {u.sources[0].item for u in plan.units} == {"stac:made/cloudy"}
    with pytest.raises(PlanError, match=r"2 Items have more than 20 % clouds or do not say"):
        planned(tmp_path, [cloudy, silent], max_cloud=20)


def test_a_scene_with_half_the_ground_leaves_the_other_half_to_the_next(tmp_path: Path) -> None:
    half = world.item(tmp_path, "half", size=32, height=64, cloud=1.0)
    whole = world.item(tmp_path, "whole", size=64, cloud=50.0)
    _, plan = planned(tmp_path, [half, whole])
    chips = {name: sum(u.chips for u in plan.units if u.sources[0].item.endswith(name)) for name in ("half", "whole")}
    assert sum(chips.values()) == 64
    assert 20 <= chips["half"] <= 32


def test_every_period_has_its_own_chips(tmp_path: Path) -> None:
    dates = ("2023-12-20", "2024-01-10", "2024-04-01", "2024-05-01", "2024-08-01", "2024-10-30")
    items = [world.item(tmp_path, f"s{n}", when=f"{d}T10:00:00Z") for n, d in enumerate(dates)]
    for period, names in (
        ("season", {"2024-DJF", "2024-MAM", "2024-JJA", "2024-SON"}),
        ("month", {d[:7] for d in dates}),
        ("year", {"2023", "2024"}),
        ("all", {"all"}),
    ):
        _, plan = planned(tmp_path, items, dates="2023-12-01/2024-11-30", period=period)
        assert {u.period for u in plan.units} == names
        assert plan.chips == 64 * len(names)
        assert len(set(ids(plan.units))) == plan.chips


def test_modalities_are_joined_by_place_and_time(tmp_path: Path) -> None:
    optical = world.tiling(tmp_path, 2, 1, step=48, size=64, name="o", collection="s2", assets=("visual",))
    right = {"west": 500_480, "size": 72, "collection": "s1", "assets": ("vv",), "cloud": None}
    near = world.item(tmp_path, "near", when="2024-04-12T05:00:00Z", **right)
    far = world.item(tmp_path, "far", when="2024-04-17T05:00:00Z", **{**right, "west": 499_900, "size": 300})
    late = world.item(tmp_path, "late", when="2024-05-20T05:00:00Z", **{**right, "west": 499_900, "size": 300})
    take = {"encoder": "made", "modalities": ["optical=s2/visual", "sar=s1/vv"]}
    items = [*optical, near, far, late]
    made = pytest.MonkeyPatch()
    with made.context() as patch:
        patch.setattr(make.registry, "modalities", lambda _: {"sar": (), "optical": ()})
        patch.setattr(make.registry, "canonical", lambda name: name)
        _, plan = planned(tmp_path, items, **take)
        assert plan.chips == 14 * 8
        pairs = {tuple(s.item.partition("/")[2] for s in u.sources) for u in plan.units}
        assert pairs == {("o00", "near"), ("o00", "far"), ("o01", "near")}
        assert len(set(ids(plan.units))) == plan.chips
        report, plan = planned(tmp_path, [*optical, near, late], days=3, **take)
        assert 0 < report.alone < plan.chips
        assert report.alone == sum(u.chips for u in plan.units if len(u.sources) == 1)
        report, plan = planned(tmp_path, [*optical, late], **take)
        assert report.alone == plan.chips


def test_the_same_input_gives_the_same_bytes_whatever_its_order(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 3, 2, step=48, size=64)
    planned(tmp_path, items, aoi=world.around(items, 0.01))
    first = (tmp_path / "plan.parquet").read_bytes()
    catalogue = world.collection_file(tmp_path / "items.json", items[::-1])
    make.plan(world.around(items, 0.01), catalogue, SPRING, tmp_path / "again.parquet", chip_size=8)
    assert (tmp_path / "again.parquet").read_bytes() == first


def test_others_open_a_plan(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 2, 1, step=48, size=64)
    _, plan = planned(tmp_path, items)
    frame = geopandas.read_parquet(tmp_path / "plan.parquet")
    assert frame.crs == "OGC:CRS84"
    assert frame["chips"].sum() == plan.chips
    assert shapely.covers(frame.union_all().buffer(1e-3), world.around(items))
    (count, size) = duckdb.sql(
        f"SELECT sum(chips), any_value(grid.width) FROM '{tmp_path}/plan.parquet' WHERE bbox.xmax > 0"
    ).fetchone()  # type: ignore[misc]
    assert (count, size) == (plan.chips, 64)


def test_a_unit_lies_in_one_cell_and_says_all_that_is_needed(tmp_path: Path) -> None:
    import pickle

    _, plan = planned(tmp_path, world.tiling(tmp_path, 2, 1, step=48, size=64))
    for unit in plan.units:
        assert pickle.loads(pickle.dumps(unit)) == unit  # noqa: S301 - our own
        assert choose.unit_resolution(80.0) == (unit.cell >> 52) & 15
    assert plan.units[-1] == plan.units[len(plan.units) - 1]
    assert plan.units[:2] == [plan.units[0], plan.units[1]]
    with pytest.raises(IndexError):
        plan.units[len(plan.units)]
    said = plan.parameters
    assert (said["encoder"], said["chip_size"], said["stride"], said["period"]) == ("rcf", 8, 8, "season")
    assert shapely.from_geojson(said["aoi"]).is_valid


def test_the_estimate_follows_its_coefficients(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 2, 1, step=64, size=64)
    costs = {"seconds_per_unit": 1, "seconds_per_chip": 0.5, "seconds_per_sample": 0.25, "bytes_per_chip": 7}
    (tmp_path / "costs.json").write_text(json.dumps({**costs, "bytes_per_sample": 2}))
    report, plan = planned(tmp_path, items, coefficients=tmp_path / "costs.json")
    assert report.estimate["bytes_to_read"] == 128 * 64 * 2
    assert report.estimate["bytes_to_store"] == 128 * 7
    assert report.estimate["seconds"] == len(plan.units) * 1 + 128 * 0.5 + 128 * 64 * 0.25
    items[0]["assets"]["optical"] |= {"file:size": 64 * 64 * 10, "bands": [{}, {}, {}]}
    report, plan = planned(tmp_path, items, coefficients=tmp_path / "costs.json")
    assert report.estimate["bytes_to_read"] == 64 * 64 * 10 + 64 * 64 * 2
    assert report.estimate["seconds"] == len(plan.units) * 1 + 128 * 0.5 + 64 * 64 * 4 * 0.25
    assert plan.estimate == report.estimate
    with pytest.raises(SpecError, match="seconds_per_chip is -1"):
        estimate.Coefficients(seconds_per_chip=-1)
    (tmp_path / "costs.json").write_text('{"speed": 3}')
    with pytest.raises(SpecError, match="some of seconds_per_unit"):
        planned(tmp_path, items, coefficients=tmp_path / "costs.json")


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"dates": "yesterday"}, FilterError, "make no sense"),
        ({"dates": "2024-05-01/2024-03-01"}, FilterError, "end before they begin"),
        ({"dates": "2024-05-01/.."}, FilterError, "Give both ends"),
        ({"dates": "2019-05-01/2019-06-01"}, PlanError, "none covers the area at these dates"),
        ({"aoi": area.box(100, 10, 101, 11)}, PlanError, "none covers the area"),
        ({"aoi": shapely.Point(15.004, 45.1482).buffer(1e-5)}, GeometryError, "Is it larger than a chip"),
        ({"max_cloud": 101}, SpecError, "from 0 to 100"),
        ({"period": "week"}, SpecError, "choose month, season, year, all"),
        ({"chip_size": 0}, SpecError, "at least one pixel"),
        ({"modalities": ["sar=vv"]}, SpecError, "takes each of optical once"),
        ({"modalities": ["=vv"]}, SpecError, "names no modality"),
        ({"modalities": ["optical=nir"]}, PlanError, "none covers the area"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, more: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        planned(tmp_path, [world.item(tmp_path, "one")], **more)
    assert not (tmp_path / "plan.parquet").exists()
