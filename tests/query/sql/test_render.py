"""Rows in every format, read again by those who know the format."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore.errors import InputError, StorageError
from query.sql.render import choose_format, document, feature_collection, render, save

if TYPE_CHECKING:
    from pathlib import Path

    from query import Engine

EVERYTHING = """
SELECT id, geometry, h3, h3_grid_disk(h3, 1)[1:2] AS h3_near, valid_fraction, 0.1::FLOAT AS tenth, 0.1::DOUBLE AS wide,
    datetime, datetime::DATE AS day, thumbnail, bbox, 'nan'::DOUBLE AS nan, NULL AS nothing, 9007199254740993 AS big,
    1.50::DECIMAL(5, 2) AS price, TRUE AS yes, 'ä,"b"' AS text
FROM embeddings ORDER BY id LIMIT 2
"""


@pytest.fixture(scope="module")
def rows(engine: Engine) -> pa.Table:
    return engine.sql(EVERYTHING)


def test_json_has_columns_and_rows_that_json_takes(rows: pa.Table) -> None:
    told = json.loads(render(rows, "json"))
    assert told == document(rows)
    assert told["truncated"] is False
    assert [c["name"] for c in told["columns"]] == rows.column_names
    first = dict(zip(rows.column_names, told["rows"][0], strict=True))
    assert first["geometry"]["type"] == "Polygon"
    assert first["h3"] == f"{rows['h3'][0].as_py():x}"
    assert first["h3_near"] == [f"{cell:x}" for cell in rows["h3_near"][0].as_py()]
    assert (first["tenth"], first["wide"], first["nan"], first["nothing"]) == (0.1, 0.1, None, None)
    assert dt.datetime.fromisoformat(first["datetime"]) == rows["datetime"][0].as_py()
    assert first["day"] == first["datetime"][:10]
    assert (first["big"], first["price"], first["yes"]) == ("9007199254740993", float(Decimal("1.5")), True)
    assert set(first["bbox"]) == {"xmin", "ymin", "xmax", "ymax"}
    assert {c["name"]: c["type"] for c in told["columns"]}["geometry"] == "geometry"


def test_geojson_is_read_by_geopandas(rows: pa.Table) -> None:
    frame = geopandas.GeoDataFrame.from_features(feature_collection(rows), crs=4326)
    assert frame["id"].tolist() == rows["id"].to_pylist()
    assert "geometry" not in feature_collection(rows)["features"][0]["properties"]
    expected = shapely.from_wkb(rows["geometry"].to_pylist())
    assert frame.geometry.geom_equals_exact(geopandas.GeoSeries(expected, crs=4326), 1e-6).all()


def test_geojson_needs_a_geometry_and_takes_one_that_is_null(engine: Engine) -> None:
    with pytest.raises(InputError, match="no column is a geometry"):
        render(engine.sql("SELECT id FROM embeddings"), "geojson")
    made = feature_collection(engine.sql("SELECT NULL::GEOMETRY AS g, 1 AS n"))
    assert made["features"] == [{"type": "Feature", "geometry": None, "properties": {"n": 1}}]


def test_csv_is_read_again(rows: pa.Table) -> None:
    read = list(csv.DictReader(io.StringIO(render(rows, "csv"))))
    assert len(read) == 2
    assert read[0]["text"] == 'ä,"b"'
    assert shapely.from_wkt(read[0]["geometry"]).is_valid
    assert read[0]["nothing"] == ""


def test_a_table_is_aligned_and_cut(rows: pa.Table) -> None:
    lines = render(rows.select(["id", "tenth", "geometry"]), "table").splitlines()
    assert lines[0].split() == ["id", "tenth", "geometry"]
    assert lines[1].index("0.1") + 3 == lines[0].index("tenth") + 5
    assert lines[1].endswith("…")
    assert render(pa.table({}), "table") == ""


def test_parquet_is_geoparquet_where_there_is_a_geometry(engine: Engine, rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    save(rows, "parquet", path)
    frame = geopandas.read_parquet(path)
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert frame["id"].tolist() == rows["id"].to_pylist()
    assert json.loads(pq.read_metadata(path).metadata[b"geo"])["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    save(engine.sql("SELECT 1 AS a, 2 AS a"), "parquet", path)
    assert pq.read_table(path).to_pylist() == [{"a": 1, "a_1": 2}]
    save(engine.sql("SELECT geometry FROM embeddings WHERE false"), "parquet", path)
    assert geopandas.read_parquet(path).empty


def test_the_format_goes_by_name_then_by_suffix(tmp_path: Path) -> None:
    assert choose_format(None, None) == "table"
    assert choose_format(None, tmp_path / "a.GeoJSON") == "geojson"
    assert choose_format("csv", tmp_path / "a.json") == "csv"
    with pytest.raises(InputError, match="no format 'xml'"):
        choose_format("xml", None)
    with pytest.raises(InputError, match="-o"):
        choose_format("parquet", None)


def test_a_file_that_cannot_be_written_is_told(rows: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        save(rows, "csv", tmp_path / "nowhere" / "rows.csv")
