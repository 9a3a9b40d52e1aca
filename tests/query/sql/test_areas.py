"""Areas in SQL: the rows that meet them, all of them, and little else that is read."""

from __future__ import annotations

import json
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from query import Engine
from query.sql import Session
from tests.embedstore import make
from tests.query.sql.conftest import BOX, ids

if TYPE_CHECKING:
    from pathlib import Path


def plan(engine: Engine, statement: str) -> dict[str, Any]:
    """Analyse a statement as the first of a session, which has read nothing yet."""
    with Session(engine) as session:
        table = session.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
    return dict(json.loads(table["explain_value"][0].as_py()))


def scan(node: dict[str, Any]) -> dict[str, Any]:
    """What the analysed plan says of reading the files."""
    if node.get("operator_name", "").strip() == "READ_PARQUET":
        return dict(node["extra_info"])
    return next((found for child in node.get("children", []) if (found := scan(child))), {})


def brute(truth: pa.Table, area: Any) -> set[str]:
    held = shapely.intersects(shapely.from_wkb(truth["geometry"].to_pylist()), area)
    return {i for i, hit in zip(truth["id"].to_pylist(), held.tolist(), strict=True) if hit}


TRIANGLE = shapely.Polygon([(10.2, 45.1), (12.9, 45.9), (11.0, 47.7)])
BOTH_SIDES = shapely.MultiPolygon([shapely.box(179.4, -0.5, 180, 0.5), shapely.box(-180, -0.5, -179.6, 0.5)])


@pytest.mark.parametrize("area", [BOX, TRIANGLE, BOTH_SIDES, shapely.box(50, 50, 51, 51)], ids=lambda a: a.geom_type)
def test_embeddings_in_an_area_are_all_that_meet_it(engine: Engine, truth: pa.Table, area: Any) -> None:
    expected = brute(truth, area)
    assert ids(engine.sql(f"SELECT id FROM embeddings_in('{area.wkt}')")) == expected
    assert ids(engine.sql(f"SELECT id FROM embeddings_in(ST_GeomFromText('{area.wkt}'))")) == expected
    narrowed = f"may_intersect(h3_cell, bbox, '{area.wkt}') AND ST_Intersects(geometry, '{area.wkt}'::GEOMETRY)"
    assert ids(engine.sql(f"SELECT id FROM embeddings WHERE {narrowed}")) == expected


def test_embeddings_in_a_box_are_those_whose_bounds_meet_it(engine: Engine, truth: pa.Table) -> None:
    assert ids(engine.sql("SELECT id FROM embeddings_in_box(11, 46, 12.5, 47)")) == brute(truth, BOX)
    across = brute(truth, BOTH_SIDES)
    assert across
    assert ids(engine.sql("SELECT id FROM embeddings_in_box(179.4, -0.5, -179.6, 0.5)")) == across
    found = engine.sql("SELECT id, embedding FROM embeddings_in_box(11, 46, 12.5, 47)")
    np.testing.assert_allclose(
        np.array(found["embedding"].to_pylist()), engine.vectors(found["id"].to_pylist()), atol=1e-3
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT id FROM embeddings_in(ST_MakeEnvelope(11, 46, 11.3, 46.2))",
        "SELECT id FROM embeddings_in_box(11, 46, 11.3, 46.2)",
        "SELECT id FROM embeddings WHERE may_intersect(h3_cell, bbox, ST_MakeEnvelope(11, 46, 11.3, 46.2))",
    ],
)
def test_files_elsewhere_are_not_read(engine: Engine, statement: str) -> None:
    read, files = map(int, scan(plan(engine, statement))["Scanning Files"].split("/"))
    assert files == len(engine.snapshot.files)
    assert 0 < read <= files / 4
    assert "Scanning Files" not in scan(plan(engine, "SELECT id FROM embeddings WHERE ST_IsValid(geometry)"))


def test_row_groups_elsewhere_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstore.geoparquet.ROW_GROUP", 16)
    store = make.store(tmp_path / "store")
    chips = make.chips(list(range(300)), box=(10.0, 45.0, 10.4, 45.4))
    pictures = pa.array([np.random.default_rng(i).bytes(2000) for i in range(300)], pa.binary())
    store.append(chips.set_column(chips.column_names.index("thumbnail"), "thumbnail", pictures))
    with Engine(store.path) as engine:
        whole = bytes_read(engine, "SELECT thumbnail FROM embeddings", monkeypatch)
        near = "may_intersect(h3_cell, bbox, ST_MakeEnvelope(10.1, 45.1, 10.15, 45.15))"
        part = bytes_read(engine, f"SELECT thumbnail FROM embeddings WHERE {near}", monkeypatch)
        held = engine.sql(f"SELECT thumbnail FROM embeddings WHERE {near}").num_rows
    assert 0 < held < 15
    assert whole > 600_000
    assert part < 0.5 * whole


def bytes_read(engine: Engine, statement: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes of data files that DuckDB asks for, besides those of checking each once."""
    taken = []

    class Counted(mmap.mmap):
        def read(self, n: int | None = None, /) -> bytes:
            taken.append(super().read(n))
            return taken[-1]

    with monkeypatch.context() as patched, Session(engine) as session:
        patched.setattr("query.sql.files.mmap", Counted)
        session.query(statement)
    return sum(map(len, taken))


def test_vectors_are_not_read_from_the_files(engine: Engine) -> None:
    assert "embedding" not in scan(plan(engine, "SELECT id, embedding FROM embeddings"))["Projections"]
