"""Trusted sessions: what the view holds and what the functions answer, against the table and brute force."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import geopandas
import h3.api.basic_int as h3
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import shapely

from embedstore import errors
from embedstore.errors import FilterError, GeometryError, QueryError, SqlError, UnknownIdError
from embedstore.store import Store
from query import Engine
from query.sql import Session
from query.sql.database import Database
from tests.embedstore import make
from tests.query.sql.conftest import BOX, DELETED, ROWS, ids

if TYPE_CHECKING:
    from pathlib import Path

KEPT = ROWS + 80 - len(DELETED)
ONE = make.chip_id(1)


def test_the_view_holds_the_live_rows_with_typed_columns(engine: Engine, truth: pa.Table) -> None:
    rows = engine.sql("SELECT * FROM embeddings ORDER BY id")
    assert rows.num_rows == KEPT
    assert rows["id"].to_pylist() == truth["id"].to_pylist()
    assert not ids(rows) & set(DELETED)
    for name in ("h3", "bbox", "datetime", "modalities", "valid_fraction", "inputs", "thumbnail"):
        assert rows[name].to_pylist() == truth[name].to_pylist(), name
    assert shapely.equals(
        shapely.from_wkb(rows["geometry"].to_pylist()), shapely.from_wkb(truth["geometry"].to_pylist())
    ).all()
    types = {row["column_name"]: row["column_type"] for row in engine.sql("DESCRIBE embeddings").to_pylist()}
    assert types["geometry"] == "GEOMETRY('OGC:CRS84')"
    assert types["embedding"] == f"FLOAT[{make.DIMENSION}]"
    assert types["datetime"] == "TIMESTAMP WITH TIME ZONE"
    assert rows.schema.field("datetime").type == pa.timestamp("us", "UTC")


def test_embeddings_are_those_of_the_table_to_the_last_bit_that_halves_keep(engine: Engine, truth: pa.Table) -> None:
    rows = engine.sql("SELECT embedding FROM embeddings ORDER BY id")
    found = np.stack(rows["embedding"].combine_chunks().to_numpy(zero_copy_only=False))
    np.testing.assert_allclose(found, np.array(truth["embedding"].to_pylist()), atol=3e-8)
    cast = engine.sql(f"SELECT embedding::FLOAT[{make.DIMENSION}] AS e FROM embeddings ORDER BY id")
    assert cast["e"].to_pylist() == rows["embedding"].to_pylist()


@pytest.mark.parametrize("deep", [4, 64])
def test_many_chips_of_one_place_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deep: int) -> None:
    monkeypatch.setattr("query.sql.stored.DEEP", deep)
    store = make.store(tmp_path / "store")
    dot = (10.0, 45.0, 10.0 + 1e-9, 45.0 + 1e-9)
    store.append(make.chips(list(range(20)), box=dot))
    store.append(make.chips(list(range(20, 30)), box=dot, item="later"))
    with Engine(store.path) as engine:
        rows = engine.sql("SELECT id, embedding FROM embeddings")
        np.testing.assert_allclose(
            np.array(rows["embedding"].to_pylist()), engine.vectors(rows["id"].to_pylist()), atol=1e-3
        )
        assert len({tuple(e) for e in rows["embedding"].to_pylist()}) == 30


def test_a_session_stays_at_its_version(worn: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(worn, path)
    with Engine(path) as engine, Session(engine) as session:
        Store.open(path).append(make.chips(["new"], item="new"))
        Store.open(path).delete(ids=[ONE])
        engine.refresh()
        assert session.query("SELECT count(*) AS n FROM embeddings")["n"][0].as_py() == KEPT
        vector = f"chip_vector('{ONE}')"
        assert session.query(f"SELECT id FROM nearest({vector}, 1)")["id"].to_pylist() == [ONE]
        assert ids(engine.sql("SELECT id FROM embeddings")) >= {make.chip_id("new")}
        with pytest.raises(UnknownIdError, match=ONE):
            engine.sql(f"SELECT {vector}")


def test_an_empty_store_has_the_same_columns(tmp_path: Path, engine: Engine) -> None:
    store = make.store(tmp_path / "store")
    with Engine(store.path) as empty:
        table = empty.sql("SELECT * FROM embeddings")
        assert table.num_rows == 0
        assert empty.sql("DESCRIBE embeddings") == engine.sql("DESCRIBE embeddings")
        assert empty.sql("SELECT * FROM embeddings_in_box(0, 0, 1, 1)").num_rows == 0


def test_nearest_is_what_search_finds(engine: Engine) -> None:
    hits = engine.search(id=ONE, k=7)
    found = engine.sql(f"SELECT * FROM nearest(chip_vector('{ONE}'), 7)")
    assert found.column_names == ["id", "score", "lon", "lat", "h3_cell"]
    assert found["id"].to_pylist() == hits.ids
    np.testing.assert_allclose(found["score"].to_numpy(), hits.scores, atol=1e-6)
    np.testing.assert_array_equal(found["lon"].to_numpy(), hits.lon)


def test_nearest_joins_the_rows(engine: Engine, truth: pa.Table) -> None:
    for key in ("id", "id, h3_cell"):
        found = engine.sql(
            f"SELECT id, e.h3, n.score FROM nearest(chip_vector('{ONE}'), 9) n JOIN embeddings e USING ({key}) "
            "WHERE ST_Intersects(e.geometry, ST_MakeEnvelope(-10, 40, 50, 60)) ORDER BY n.score DESC"
        )
        hits = engine.search(id=ONE, k=9)
        assert found["id"].to_pylist() == [i for i, lon in zip(hits.ids, hits.lon, strict=True) if abs(lon) < 50]
        cells = dict(zip(truth["id"].to_pylist(), truth["h3"].to_pylist(), strict=True))
        assert found["h3"].to_pylist() == [cells[i] for i in found["id"].to_pylist()]


def test_nearest_of_every_row_of_a_query(engine: Engine) -> None:
    found = engine.sql(
        "SELECT e.id, n.id AS near FROM (SELECT id, embedding FROM embeddings ORDER BY id LIMIT 3) e, "
        "nearest(e.embedding, 2) n"
    )
    assert found.num_rows == 6
    assert set(found["id"].to_pylist()) <= set(found["near"].to_pylist())


FILTERS: dict[str, dict[str, Any]] = {
    "ST_MakeEnvelope(11, 46, 12.5, 47)": {"within": BOX},
    f"'{BOX.wkt}'": {"within": BOX},
    f"'{shapely.to_geojson(BOX)}'": {"within": BOX},
    "'{\"bbox\": [11, 46, 12.5, 47]}'": {"bbox": (11, 46, 12.5, 47)},
    '\'{"between": "2020-06-01/2021-06-01", "where": "lat > 46"}\'': {
        "between": "2020-06-01/2021-06-01",
        "where": "lat > 46",
    },
    f"'{{\"within\": {shapely.to_geojson(BOX)}}}'": {"within": BOX},
    f'\'{{"within": "{BOX.wkt}"}}\'': {"within": BOX},
    "''": {},
}


@pytest.mark.parametrize("written", FILTERS)
def test_nearest_within_is_what_a_filtered_search_finds(engine: Engine, written: str) -> None:
    found = engine.sql(f"SELECT id FROM nearest_within(chip_vector('{ONE}'), 8, {written})")
    expected = engine.search(engine.vectors([ONE])[0], k=8, **FILTERS[written])
    assert len(expected)
    assert found["id"].to_pylist() == expected.ids


@pytest.mark.parametrize(
    "written",
    [
        "area.geojson",
        "/etc/hostname",
        '{"within": "area.geojson"}',
        '{"within": 3}',
        '{"where": 3}',
        '{"chip": "a"}',
        "{",
    ],
)
def test_a_filter_is_never_the_name_of_a_file(engine: Engine, tmp_path: Path, written: str) -> None:
    file = tmp_path / "area.geojson"
    file.write_text(shapely.to_geojson(BOX))
    with pytest.raises(FilterError, match="nearest_within"):
        engine.sql(
            f"SELECT * FROM nearest_within(chip_vector('{ONE}'), 1, '{written.replace('area.geojson', str(file))}')"
        )


def test_chip_vector_and_similarity(engine: Engine) -> None:
    two = make.chip_id(2)
    found = engine.sql(
        f"SELECT chip_vector('{ONE}') AS v, similarity(chip_vector('{ONE}'), chip_vector('{two}')) AS s, "
        "chip_vector(NULL) AS nothing"
    ).to_pylist()[0]
    vectors = engine.vectors([ONE, two])
    np.testing.assert_array_equal(found["v"], vectors[0])
    assert found["s"] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-6)
    assert found["nothing"] is None


def test_encode_chip_finds_the_scene(scene: Path, store: Path) -> None:
    with Engine(store) as engine:
        found = engine.sql(f"SELECT encode_chip('{scene}') AS v")["v"][0].as_py()
        np.testing.assert_array_equal(found, engine.encode_chip(scene)[0])


@pytest.mark.parametrize(
    ("statement", "error", "words"),
    [
        ("SELECT chip_vector('x')", UnknownIdError, "holds no chip 'x'"),
        ("SELECT * FROM nearest(chip_vector('{one}'), 0)", QueryError, "k = 0"),
        ("SELECT * FROM nearest([0.1, 0.2], 3)", SqlError, "length 2"),
        ("SELECT * FROM nearest((SELECT list(0.0) FROM range(16)), 3)", QueryError, "no length"),
        ("SELECT * FROM embeddings_in_box(0, 2, 1, 1)", GeometryError, "south"),
        ("SELECT h3_cell_to_parent(1, 5)", QueryError, "no H3 cell"),
        ("SELECT h3_latlng_to_cell(45, 12, 16)", QueryError, "0 to 15"),
        ("SELECT h3_latlng_to_cell(145, 12, 5)", QueryError, "degrees"),
        ("SELECT h3_cell_to_parent(h3, 15) FROM embeddings", QueryError, "coarser"),
        ("SELECT h3_grid_disk(h3, 100000) FROM embeddings", QueryError, "cells"),
        ("SELECT h3_polygon_to_cells(ST_MakeEnvelope(0, 0, 90, 80), 15)", QueryError, "coarser resolution"),
        ("SELECT h3_polygon_to_cells(ST_Point(0, 0), 5)", QueryError, "Point"),
        ("SELECT nothing FROM embeddings", SqlError, "nothing"),
        ("SELEC 1", SqlError, "syntax error"),
    ],
)
def test_mistakes_are_told_in_one_line(engine: Engine, statement: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as raised:
        engine.sql(statement.format(one=ONE))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
    assert ".py" not in str(raised.value)


def test_h3_functions_are_h3(engine: Engine) -> None:
    cell = h3.latlng_to_cell(45.7, 13.1, 8)
    row = engine.sql(
        f"SELECT h3_latlng_to_cell(45.7, 13.1, 8) AS cell, h3_cell_to_parent({cell}, 4) AS parent, "
        f"h3_cell_to_boundary({cell}) AS outline, list_sort(h3_grid_disk({cell}, 2)) AS disk, "
        "list_sort(h3_polygon_to_cells(ST_MakeEnvelope(13, 45, 13.2, 45.1), 7)) AS held, "
        f"h3_h3_to_string({cell}) AS text, h3_string_to_h3('{cell:x}') AS back, "
        "h3_cell_to_parent(NULL, 4) AS nothing"
    ).to_pylist()[0]
    assert row["cell"] == row["back"] == cell
    assert row["parent"] == h3.cell_to_parent(cell, 4)
    assert row["text"] == f"{cell:x}"
    assert row["disk"] == sorted(h3.grid_disk(cell, 2))
    assert row["held"] == sorted(h3.geo_to_cells(shapely.box(13, 45, 13.2, 45.1), 7))
    outline = shapely.Polygon([(lng, lat) for lat, lng in h3.cell_to_boundary(cell)])
    assert shapely.from_wkb(row["outline"]).symmetric_difference(outline).area < 1e-12
    assert row["nothing"] is None
    parents = engine.sql("SELECT DISTINCT h3_cell, h3_h3_to_string(h3_cell_to_parent(h3, 3)) AS parent FROM embeddings")
    assert parents["h3_cell"].to_pylist() == parents["parent"].to_pylist()


def test_pandas_polars_and_geopandas_take_the_answer(engine: Engine) -> None:
    table = engine.sql("SELECT id, geometry, embedding, datetime FROM embeddings ORDER BY id LIMIT 5")
    frame = geopandas.GeoDataFrame.from_arrow(table)
    assert frame.crs.to_authority() == ("OGC", "CRS84")
    assert frame.geometry.is_valid.all()
    assert table.to_pandas()["id"].is_monotonic_increasing
    assert pl.from_arrow(table.drop_columns(["geometry"])).shape == (5, 3)


def test_many_threads_share_a_session(engine: Engine) -> None:
    def ask(number: int) -> list[str]:
        one = make.chip_id(100 + number)
        return engine.sql(f"SELECT id FROM nearest(chip_vector('{one}'), 3)")["id"].to_pylist()  # type: ignore[no-any-return]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(40)))
    assert [hits[0] for hits in found] == [make.chip_id(100 + i) for i in range(40)]


def test_a_trusted_statement_may_write(engine: Engine, tmp_path: Path) -> None:
    engine.sql(f"COPY (SELECT id FROM embeddings) TO '{tmp_path / 'ids.csv'}'")
    assert len((tmp_path / "ids.csv").read_text().splitlines()) == KEPT + 1


def test_damage_is_gone_round(worn: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(worn, path)
    with Engine(path) as engine:
        expected = engine.sql("SELECT id, embedding FROM embeddings ORDER BY id")
    vectors = max(path.glob("_index/segments/*/vectors.f16"), key=lambda p: p.stat().st_size)
    raw = bytearray(vectors.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    vectors.write_bytes(raw)
    with Engine(path) as engine, pytest.warns(UserWarning, match="Answers stay right"):
        found = engine.sql("SELECT id, embedding FROM embeddings ORDER BY id")
    assert found.equals(expected)


def test_a_missing_extension_says_what_to_install(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    import query.sql.database as module

    monkeypatch.setattr("duckdb.__version__", "0.0.1")
    module.spatial_extension.cache_clear()
    with pytest.raises(errors.MissingExtraError, match=r"duckdb-extension-spatial==0\.0\.1"):
        Database(engine)
    monkeypatch.undo()
    module.spatial_extension.cache_clear()
