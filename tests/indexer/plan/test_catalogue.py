"""Catalogues of every kind give the same plan, and what is wrong with one is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import shapely

from embedstore import area
from embedstore.errors import MissingExtraError, PlanError
from indexer.plan import catalogue, file, make
from indexer.plan.catalogue import Fault, Question
from tests.indexer.plan import world
from tests.indexer.plan.server import Api, serving

if TYPE_CHECKING:
    from pathlib import Path

SPRING = "2024-03-01/2024-05-31"


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "scenes").mkdir()
    return world.tiling(tmp_path / "scenes", 3, 2, step=48, size=64)


def question(items: list[dict[str, Any]]) -> Question:
    start, end = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    return Question(area.parse(world.around(items, 0.01)), start, end)


def found(source: str, items: list[dict[str, Any]]) -> tuple[list[str], list[Fault]]:
    faults: list[Fault] = []
    return sorted(item["id"] for item in catalogue.items(source, question(items), faults)), faults


def static(folder: Path, items: list[dict[str, Any]], dead: tuple[str, ...] = ()) -> str:
    """Write a static catalogue: a root, a collection, Items with relative hrefs."""
    folder.mkdir()
    root = {"type": "Catalog", "stac_version": "1.1.0", "id": "root", "description": "made"}
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}}
    collection = {**root, "type": "Collection", "id": "made", "license": "CC0-1.0", "extent": extent}
    links = [{"rel": "item", "href": f"./{item['id']}.json"} for item in items]
    links += [{"rel": "item", "href": f"./{name}.json"} for name in dead]
    up = [{"rel": "parent", "href": "../catalog.json"}, {"rel": "root", "href": "../catalog.json"}]
    (folder / "made").mkdir()
    (folder / "catalog.json").write_text(
        json.dumps({**root, "links": [{"rel": "child", "href": "./made/collection.json"}]})
    )
    (folder / "made" / "collection.json").write_text(json.dumps({**collection, "links": links + up}))
    for item in items:
        path = f"../../scenes/{item['id']}-optical.tif"
        assets = {"optical": {**item["assets"]["optical"], "href": path}}
        (folder / "made" / f"{item['id']}.json").write_text(json.dumps({**item, "assets": assets}))
    return str(folder / "catalog.json")


def test_all_kinds_give_the_same_plan(items: list[dict[str, Any]], tmp_path: Path) -> None:
    from stac_geoparquet import arrow

    arrow.to_parquet(arrow.parse_stac_items_to_arrow(items), tmp_path / "items.parquet")
    sources = [
        world.collection_file(tmp_path / "items.json", items),
        static(tmp_path / "static", items),
        str(tmp_path / "items.parquet"),
    ]
    api = Api(items)
    plans = []
    with serving(api) as url:
        for n, source in enumerate((*sources, url)):
            out = tmp_path / f"{n}.parquet"
            report = make.plan(world.around(items, 0.01), source, SPRING, out, chip_size=8)
            assert report.faults == ()
            plans.append(list(file.read(out).units))
    assert sum(u.chips for u in plans[0]) == 280
    for other in plans[1:]:
        assert plans[0][0].sources == other[0].sources
        assert plans[0] == other
    assert len(api.asked) == 3  # pages


def test_an_api_is_asked_for_the_area_the_dates_and_the_collections(
    items: list[dict[str, Any]], tmp_path: Path
) -> None:
    api = Api([*items, {**items[0], "id": "other", "collection": "other"}])
    with serving(api) as url:
        make.plan(
            world.around(items, 0.01),
            url,
            SPRING,
            tmp_path / "p.parquet",
            chip_size=8,
            modalities=["optical=made/optical"],
        )
    asked = api.asked[0]
    assert asked["collections"] == ["made"]
    assert asked["datetime"].startswith("2024-03-01T00:00:00Z/2024-05-31T23:59:59")
    assert asked["bbox"] == pytest.approx(list(world.around(items, 0.01).bounds))


def test_an_area_over_the_antimeridian_is_asked_for_on_both_sides(tmp_path: Path) -> None:
    both = [
        world.item(tmp_path, "w", crs="EPSG:32760", west=819_800, north=8_174_000),
        world.item(tmp_path, "e", crs="EPSG:32701", west=180_500, north=8_174_000),
    ]
    wide = area.box(179.5, -17, -179.5, -16)
    api = Api(both, page=1)
    with serving(api) as url:
        make.plan(wide, url, SPRING, tmp_path / "p.parquet", chip_size=8)
    assert [asked["bbox"][0] for asked in api.asked if "token" not in asked] == [-180.0, 179.5]
    assert {u.sources[0].item for u in file.units(tmp_path / "p.parquet")} == {"stac:made/w", "stac:made/e"}


def test_an_api_that_fails_on_the_way_gives_no_plan(items: list[dict[str, Any]], tmp_path: Path) -> None:
    with serving(Api(items, fails_at=1)) as url, pytest.raises(PlanError, match="Nothing was planned"):
        make.plan(world.around(items), url, SPRING, tmp_path / "p.parquet", chip_size=8)
    assert not (tmp_path / "p.parquet").exists()
    with pytest.raises(PlanError, match="cannot be read"):
        make.plan(world.around(items), url, SPRING, tmp_path / "p.parquet", chip_size=8)


def test_dead_links_are_listed_and_the_rest_is_planned(items: list[dict[str, Any]], tmp_path: Path) -> None:
    root = static(tmp_path / "static", items, dead=("gone", "lost"))
    (tmp_path / "static" / "made" / "lost.json").write_text("{not JSON")
    report = make.plan(world.around(items, 0.01), root, SPRING, tmp_path / "p.parquet", chip_size=8)
    assert report.estimate["chips"] == 280
    assert sorted(fault.what.rpartition("/")[2] for fault in report.faults) == ["gone.json", "lost.json"]
    assert "leads to nothing" in str(report.faults[0])


def test_items_that_cannot_be_used_are_listed(items: list[dict[str, Any]], tmp_path: Path) -> None:
    two = {"a": items[0]["assets"]["optical"], "b": items[0]["assets"]["optical"]}
    gone = {"optical": {"href": str(tmp_path / "gone.tif"), "roles": ["data"]}}
    elsewhere = items[0]["properties"] | {"proj:transform": [10, 0, 100_000, 0, -10, 1_000_000]}
    bad = [
        {**items[0], "id": "nowhere", "geometry": None},
        {**items[0], "id": "never", "properties": {}},
        {**items[0], "id": "which", "assets": two},
        {**items[0], "id": "apart", "properties": elsewhere},
        {**items[0], "id": "lost", "properties": {"datetime": "2024-04-01T00:00:00Z"}, "assets": gone},
        {**items[0], "id": "odd", "properties": items[0]["properties"] | {"proj:code": "EPSG:1"}},
        {**items[0], "id": "flat", "properties": items[0]["properties"] | {"proj:transform": [0, 0, 1, 0, 0, 1]}},
    ]
    source = world.collection_file(tmp_path / "items.json", [*bad, *items])
    report = make.plan(world.around(items, 0.01), source, SPRING, tmp_path / "p.parquet", chip_size=8)
    reasons = {fault.what: fault.reason for fault in report.faults}
    assert report.estimate["chips"] == 280
    for name, words in (
        ("nowhere", "no geometry"),
        ("never", "when it was taken"),
        ("which", "--modality optical=a,b"),
        ("apart", "do not meet"),
        ("lost", "there is no file"),
        ("odd", "no CRS that PROJ knows"),
        ("flat", "covers no ground"),
    ):
        assert words in reasons.pop(name)
    assert not reasons
    world.collection_file(tmp_path / "items.json", bad)
    with pytest.raises(PlanError, match="the first of 7 that cannot be used is nowhere"):
        make.plan(world.around(items, 0.01), source, SPRING, tmp_path / "p.parquet", chip_size=8)


def test_an_item_lacks_one_of_the_assets(items: list[dict[str, Any]], tmp_path: Path) -> None:
    source = world.collection_file(tmp_path / "items.json", items)
    with pytest.raises(PlanError, match=r"lacks the asset\(s\) nir"):
        make.plan(
            world.around(items), source, SPRING, tmp_path / "p.parquet", chip_size=8, modalities=["optical=optical,nir"]
        )


def test_an_item_without_projection_is_planned_from_its_file(items: list[dict[str, Any]], tmp_path: Path) -> None:
    named = {"proj:code", "proj:shape", "proj:transform"}
    bare = [{**i, "properties": {k: v for k, v in i["properties"].items() if k not in named}} for i in items]
    epsg = [
        {**i, "properties": {**p["properties"], "proj:epsg": 32633, **_old(i)}}
        for i, p in zip(items, bare, strict=True)
    ]
    plans = []
    for n, some in enumerate((items, bare, epsg)):
        source = world.collection_file(tmp_path / "items.json", some)
        make.plan(world.around(items, 0.01), source, SPRING, tmp_path / f"{n}.parquet", chip_size=8)
        plans.append(list(file.units(tmp_path / f"{n}.parquet")))
    assert plans[0] == plans[1] == plans[2]


def _old(item: dict[str, Any]) -> dict[str, Any]:
    """Return the grid as version 1 of the projection extension had it."""
    return {"proj:shape": [64, 64], "proj:transform": [*item["properties"]["proj:transform"], 0, 0, 1]}


@pytest.mark.parametrize(
    ("text", "words"),
    [("[1]", "no STAC"), ("{}", "no STAC"), ("{", "cannot be read"), ('{"type": "Topology"}', "no STAC")],
)
def test_what_is_no_catalogue(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(PlanError, match=words):
        found(str(tmp_path / "c.json"), [world.item(tmp_path, "a")])


def test_what_is_no_stac_geoparquet(tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    for name in ("c.parquet", "d.parquet"):
        with pytest.raises(PlanError, match=r"stac-geoparquet"):
            found(str(tmp_path / name), [world.item(tmp_path, "a")])


def test_links_that_go_round_in_a_circle_end(items: list[dict[str, Any]], tmp_path: Path) -> None:
    root = static(tmp_path / "static", items)
    path = tmp_path / "static" / "made" / "collection.json"
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "links": [*body["links"], {"rel": "child", "href": "../catalog.json"}]}))
    assert found(root, items) == (sorted(i["id"] for i in items), [])


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(MissingExtraError, match=r"embedstore\[stac\]"):
        found(str(tmp_path / "c.json"), [world.item(tmp_path, "a")])


def test_an_outline_with_less_than_the_raster_counts(tmp_path: Path) -> None:
    item = world.item(tmp_path, "one")
    west, south, east, north = shapely.geometry.shape(item["geometry"]).bounds
    half = {**item, "geometry": shapely.geometry.mapping(shapely.box(west, south, (west + east) / 2, north))}
    source = world.collection_file(tmp_path / "items.json", [half])
    report = make.plan(world.around([item], 0.01), source, SPRING, tmp_path / "p.parquet", chip_size=8)
    assert 24 <= report.estimate["chips"] <= 40
