from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore import schema
from embedstore.errors import InputError, StorageError
from query import output
from query.hits import Report

TIME = datetime(2019, 4, 16, 10, 5, 6, tzinfo=UTC)
CLOCKWISE = shapely.Polygon([(10, 45), (10, 46), (11, 46), (11, 45)])
SPLIT = shapely.MultiPolygon([shapely.box(179.9, 0, 180, 0.1), shapely.box(-180, 0, -179.9, 0.1)])


def hits(shapes: list[Any], when: datetime | None = TIME) -> Any:
    n = len(shapes)
    part = {"modality": "optical", "item": "S2A", "href": "a.tif", "row": 0, "col": 0, "height": 2, "width": 2}
    boxes = [dict(zip(("xmin", "ymin", "xmax", "ymax"), s.bounds, strict=True)) for s in shapes]
    table = pa.table(
        {
            "id": [f"{i:032x}" for i in range(n)],
            "score": pa.array([0.1] * n, pa.float32()),
            "lon": [10.5] * n,
            "lat": [45.5] * n,
            "h3": pa.array([0x8929A1D7577FFFF] * n, pa.int64()),
            "datetime": pa.array([when] * n, schema.TIME),
            "valid_fraction": pa.array([1.0] * n, pa.float32()),
            "geometry": pa.array([shapely.to_wkb(s) for s in shapes], pa.binary()),
            "bbox": pa.array(boxes, schema.BBOX),
            "inputs": pa.array([[{**part, "datetime": when}]] * n, schema.FILE.field("inputs").type),
            "thumbnail": pa.array([b"webp"] * n, pa.binary()),
        }
    )
    report = Report("exact", True, n, n, 0, ("a warning",))
    return SimpleNamespace(report=report, to_arrow=lambda geometry: table if geometry else table.drop("geometry"))


def test_json_says_hits_and_report() -> None:
    document = json.loads(output.render(hits([CLOCKWISE]), "json"))
    assert document["report"] == {
        "plan": "exact", "exact": True, "candidates": 1, "scanned": 1, "lists_probed": 0, "warnings": ["a warning"],
    }  # fmt: skip
    (hit,) = document["hits"]
    assert hit["rank"] == 1
    assert hit["score"] == 0.1
    assert hit["h3"] == "8929a1d7577ffff"
    assert hit["datetime"] == "2019-04-16T10:05:06Z"
    assert hit["inputs"][0]["item"] == "S2A"
    assert not {"geometry", "thumbnail", "bbox"} & hit.keys()


def test_an_unknown_time_is_null_in_json_and_a_dash_in_the_table() -> None:
    unknown = hits([CLOCKWISE], None)
    assert output.document(unknown)["hits"][0]["datetime"] is None
    assert output.render(unknown, "table").splitlines()[1].split()[5] == "-"


def test_geojson_rings_run_as_rfc_7946_asks_and_footprints_stay_cut_at_180_degrees() -> None:
    collection = json.loads(output.render(hits([CLOCKWISE, SPLIT]), "geojson"))
    assert collection["type"] == "FeatureCollection"
    one, two = collection["features"]
    assert shapely.LinearRing(one["geometry"]["coordinates"][0]).is_ccw
    assert shapely.from_geojson(json.dumps(one["geometry"])).equals(CLOCKWISE)
    assert two["geometry"]["type"] == "MultiPolygon"
    assert one["id"] == one["properties"]["id"]
    assert [f["properties"]["rank"] for f in collection["features"]] == [1, 2]


def test_geoparquet_has_a_footer_that_readers_take(tmp_path: Path) -> None:
    output.save(hits([CLOCKWISE, SPLIT]), "geoparquet", tmp_path / "hits.parquet")
    geo = json.loads(pq.read_metadata(tmp_path / "hits.parquet").metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert geo["columns"]["geometry"]["bbox"] == [-180, 0, 180, 46]
    frame = geopandas.read_parquet(tmp_path / "hits.parquet", bbox=(10, 45, 11, 46))
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert frame["id"][0] == f"{0:032x}"


@pytest.mark.parametrize(
    ("name", "path", "form"),
    [
        (None, None, "table"),
        (None, "a.GeoJSON", "geojson"),
        (None, "a.json", "json"),
        (None, "a.parquet", "geoparquet"),
        (None, "a.csv", "table"),
        ("json", "a.geojson", "json"),
    ],
)
def test_the_format_is_the_one_named_or_the_suffix(name: str | None, path: str | None, form: str) -> None:
    assert output.choose_format(name, Path(path) if path else None) == form


def test_a_format_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="csv"):
        output.choose_format("csv", None)
    with pytest.raises(InputError, match="-o"):
        output.choose_format("geoparquet", None)


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "hits.json"
    path.write_text("old")

    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(StorageError, match="No space left"):
        output.replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    output.save(hits([CLOCKWISE]), "json", path)
    assert json.loads(path.read_text())["hits"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    output.save(hits([CLOCKWISE]), "geojson", pipe)
    reader.join(timeout=10)
    assert pipe.is_fifo()
    assert json.loads(read[0])["features"]


def test_a_bare_file_is_called_by_its_name_in_the_table() -> None:
    bare = hits([CLOCKWISE])
    table = bare.to_arrow(geometry=True)
    part = {**table["inputs"].to_pylist()[0][0], "item": "sha256:" + "0" * 64, "href": "/data/a.tif"}
    named = pa.array([[part, part]], schema.FILE.field("inputs").type)
    table = table.set_column(table.schema.get_field_index("inputs"), "inputs", named)
    assert output.text_table(table).splitlines()[1].split()[6:] == ["a.tif"]
