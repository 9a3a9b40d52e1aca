from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import geopandas
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely

from embedstore.errors import InputError, StorageError
from query import Engine
from query.export import export
from tests import gpio
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DELETED = make.chip_id(3)
TOWN = (10.0, 45.0, 12.0, 46.5)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Sixty chips of two appends, of which one was deleted, and eight astride the antimeridian."""
    store = make.store(tmp_path_factory.mktemp("exported") / "alps")
    store.append(make.chips(list(range(30)), item="first"))
    store.append(make.chips(list(range(30, 60)), item="second"))
    store.append(make.chips([f"east {i}" for i in range(4)], box=(-179.9, -1, -179.5, 0)))
    store.append(make.chips([f"west {i}" for i in range(4)], box=(179.5, -1, 179.9, 0)))
    store.delete(ids=[DELETED])
    with Engine(store.path) as opened:
        yield opened


def expected(engine: Engine, where: str = "true") -> list[str]:
    table = engine.sql(f"SELECT id FROM embeddings WHERE {where} ORDER BY id")
    return list(table["id"].to_pylist())


def test_geoparquet_holds_the_rows_of_the_filter_whole(engine: Engine, tmp_path: Path) -> None:
    done = export(engine, tmp_path / "all.parquet")
    table = pq.read_table(tmp_path / "all.parquet")
    assert (done.chips, done.format) == (67, "geoparquet")
    assert sorted(table["id"].to_pylist()) == expected(engine)
    assert DELETED not in table["id"].to_pylist()
    assert (np.diff(table["h3"].to_numpy()) >= 0).all()
    by_id = dict(zip(table["id"].to_pylist(), table["embedding"].to_pylist(), strict=True))
    assert np.array(by_id[make.chip_id(5)], np.float32) == pytest.approx(engine.vectors([make.chip_id(5)])[0], abs=1e-3)
    some = export(engine, tmp_path / "some.parquet", bbox=TOWN, between="2021-01-01/..", where="valid_fraction > 0.5")
    passing = f"ST_Within(ST_Centroid(geometry), ST_MakeEnvelope{TOWN}) AND datetime >= '2021-01-01'"
    frame = geopandas.read_parquet(tmp_path / "some.parquet")
    assert 0 < some.chips < 60
    assert sorted(frame["id"]) == expected(engine, passing)


def test_geoparquet_says_what_it_is_and_others_read_it(engine: Engine, tmp_path: Path) -> None:
    export(engine, tmp_path / "a.parquet", within=shapely.box(*TOWN))
    metadata = pq.read_schema(tmp_path / "a.parquet").metadata
    geo, emb = json.loads(metadata[b"geo"]), json.loads(metadata[b"emb"])
    assert (geo["version"], geo["columns"]["geometry"]["geometry_types"]) == ("1.1.0", ["Polygon"])
    assert (emb["emb:dimensions"], emb["model"]["id"]) == (make.DIMENSION, "test")
    frame = geopandas.read_parquet(tmp_path / "a.parquet")
    assert frame.crs.to_string() == "OGC:CRS84"
    west, south, east, north = geo["columns"]["geometry"]["bbox"]
    assert np.allclose(frame.total_bounds, (west, south, east, north), atol=1e-8)
    assert shapely.box(west, south, east, north).covers(shapely.box(*frame.total_bounds))
    rows = len(frame)
    assert duckdb.sql(f"SELECT count(*) FROM '{tmp_path}/a.parquet'").fetchall() == [(rows,)]
    assert pl.read_parquet(tmp_path / "a.parquet").height == rows


@pytest.mark.parametrize("box", [TOWN, (-180, -90, 180, 90)])
def test_the_geoparquet_checker_passes(engine: Engine, tmp_path: Path, box: tuple[float, ...]) -> None:
    export(engine, tmp_path / "a.parquet", bbox=box)
    gpio.check(tmp_path / "a.parquet", tmp_path)


def test_paths_of_scenes_are_not_told_and_urls_are(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    chips = make.chips([1, 2])
    inputs = chips["inputs"].to_pylist()
    inputs[0][0]["href"], inputs[1][0]["href"] = "/data/secret/a.tif", "s3://open/b.tif"
    field = chips.schema.field("inputs")
    store.append(chips.set_column(4, field, pa.array(inputs, field.type)))
    with Engine(store.path) as engine:
        export(engine, tmp_path / "a.parquet")
        export(engine, tmp_path / "a.geojson")
    hrefs = {part[0]["href"] for part in pq.read_table(tmp_path / "a.parquet")["inputs"].to_pylist()}
    assert hrefs == {"a.tif", "s3://open/b.tif"}
    assert "secret" not in (tmp_path / "a.geojson").read_text()


def test_geojson_is_what_gdal_opens(engine: Engine, tmp_path: Path) -> None:
    export(engine, tmp_path / "a.geojson", bbox=TOWN)
    frame = pyogrio.read_dataframe(tmp_path / "a.geojson")
    ids = pq.read_table(_parquet(engine, tmp_path))["id"].to_pylist()
    assert frame["id"].tolist() == ids
    assert frame.crs.to_epsg() == 4326
    assert "embedding" not in frame.columns
    collection = json.loads((tmp_path / "a.geojson").read_text())
    assert all(shapely.from_geojson(json.dumps(f["geometry"])).exterior.is_ccw for f in collection["features"])


def _parquet(engine: Engine, folder: Path) -> Path:
    export(engine, folder / "same.parquet", bbox=TOWN)
    return folder / "same.parquet"


def test_nothing_passing_gives_files_that_hold_nothing(engine: Engine, tmp_path: Path) -> None:
    assert export(engine, tmp_path / "a.parquet", bbox=(0, 0, 1, 1)).chips == 0
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 0
    assert len(geopandas.read_parquet(tmp_path / "a.parquet")) == 0
    export(engine, tmp_path / "a.geojson", bbox=(0, 0, 1, 1))
    assert json.loads((tmp_path / "a.geojson").read_text()) == {"type": "FeatureCollection", "features": []}
    with pytest.raises(InputError, match="needs an extent"):
        export(engine, tmp_path / "stac", "stac", bbox=(0, 0, 1, 1))
    assert not (tmp_path / "stac").exists()


def validated(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the Collection and its Items, all valid by STAC's schemas and the extension's fields."""
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    from tests.query.export.emb_schema import EXTENSION, SCHEMA

    validator = JsonSchemaSTACValidator()
    validator.schema_cache[EXTENSION] = SCHEMA

    def check(body: dict[str, Any], kind: Any) -> None:
        newer = {**body, "stac_version": "1.1.0"}  # the version whose schemas pystac brings along
        validator.validate_core(newer, kind, "1.1.0")
        validator.validate_extension(newer, kind, "1.1.0", EXTENSION)

    from pystac import STACObjectType

    collection = json.loads((folder / "collection.json").read_text())
    check(collection, STACObjectType.COLLECTION)
    items = [json.loads((folder / link["href"]).read_text()) for link in collection["links"] if link["rel"] == "item"]
    for item in items:
        check(item, STACObjectType.ITEM)
    return collection, items


def test_stac_is_valid_and_complete(engine: Engine, tmp_path: Path) -> None:
    export(engine, tmp_path / "stac", "stac", licence="CC-BY-4.0")
    collection, items = validated(tmp_path / "stac")
    assert (collection["id"], collection["license"], collection["stac_version"]) == ("alps", "CC-BY-4.0", "1.0.0")
    assert (collection["emb:type"], collection["emb:dimensions"]) == ("chip", make.DIMENSION)
    ids: list[str] = []
    for item in items:
        folder = tmp_path / "stac" / item["id"]
        table = pq.read_table(folder / item["assets"]["embeddings"]["href"])
        ids += table["id"].to_pylist()
        when = [f"{t:%Y-%m-%dT%H:%M:%SZ}" for t in table["datetime"].to_pylist()]
        assert (item["properties"]["start_datetime"], item["properties"]["end_datetime"]) == (min(when), max(when))
        assert all((folder / link["href"]).is_file() for link in item["links"])
        if item["bbox"][0] <= item["bbox"][2]:
            outline = shapely.from_geojson(json.dumps(item["geometry"])).buffer(1e-9)
            assert all(outline.covers(shapely.from_wkb(w)) for w in table["geometry"].to_pylist())
    assert sorted(ids) == expected(engine)
    hrefs = [link["href"] for link in collection["links"] if not link["href"].startswith("http")]
    assert all((tmp_path / "stac" / href).is_file() for href in hrefs)
    sources = json.loads((tmp_path / "stac" / "sources.json").read_text())
    assert {s["item"] for s in sources["inputs"]} == {"first", "second", "scene"}


def test_stac_boxes_cross_the_antimeridian(engine: Engine, tmp_path: Path) -> None:
    export(engine, tmp_path / "stac", "stac", bbox=(179, -2, -179, 1))
    collection, _ = validated(tmp_path / "stac")
    west, _, east, _ = collection["extent"]["spatial"]["bbox"][0]
    assert west > 179
    assert east < -179


def test_pystac_reads_the_catalogue(engine: Engine, tmp_path: Path) -> None:
    import pystac

    export(engine, tmp_path / "stac", "stac", bbox=TOWN)
    collection = pystac.Collection.from_file(str(tmp_path / "stac" / "collection.json"))
    items = list(collection.get_items())
    assert items
    assert all(item.assets["embeddings"].media_type == "application/vnd.apache.parquet" for item in items)


def test_the_validation_can_fail(engine: Engine, tmp_path: Path) -> None:
    from pystac.errors import STACValidationError

    export(engine, tmp_path / "stac", "stac", bbox=TOWN)
    path = tmp_path / "stac" / "collection.json"
    body = json.loads(path.read_text())
    for broken in (
        {**body, "emb:type": "tile"},
        {**body, "emb:colour": 1},
        {**body, "links": [link for link in body["links"] if link["rel"] != "emb:model"]},
        {k: v for k, v in body.items() if k != "extent"},
    ):
        path.write_text(json.dumps(broken))
        with pytest.raises(STACValidationError):
            validated(tmp_path / "stac")


def test_chips_without_a_time_cannot_be_items(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    chips = make.chips([1, 2])
    for name in ("datetime", "datetime_end"):
        at = chips.schema.get_field_index(name)
        chips = chips.set_column(at, chips.schema.field(name), pa.nulls(2, chips.schema.field(name).type))
    store.append(chips)
    with Engine(store.path) as engine, pytest.raises(InputError, match="2 chips have no time"):
        export(engine, tmp_path / "stac", "stac")
    assert not (tmp_path / "stac").exists()


def test_what_makes_no_sense_is_refused(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not tell its format"):
        export(engine, tmp_path / "a.bin")
    with pytest.raises(InputError, match="there is no format 'shapefile'"):
        export(engine, tmp_path / "a.shp", "shapefile")
    with pytest.raises(StorageError):
        export(engine, tmp_path / "nowhere" / "a.parquet")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        export(engine, tmp_path / "full", "stac")
