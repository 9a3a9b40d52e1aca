"""The table is open: other people's readers take it as it is, and its files follow GeoParquet 1.1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import duckdb_extension_spatial
import geopandas
import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

from tests import gpio
from tests.embedstore import make

if TYPE_CHECKING:
    from embedstore.store import Store

ROWS = 600


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = make.store(tmp_path_factory.mktemp("open") / "s")
    store.append(make.chips(list(range(ROWS)), box=(10.1, 45.1, 11.9, 46.9)))
    store.append(make.chips(["east", "west"], box=(179.9999, 0.0, 180.0, 0.1)))
    return store


def parts(store: Store) -> list[Path]:
    return [store.path / f.path for f in store.table.files()]


def test_delta(written: Store) -> None:
    table = DeltaTable(written.path)
    assert table.to_pyarrow_table().num_rows == ROWS + 2
    assert table.metadata().partition_columns == ["h3_cell"]


def test_polars(written: Store) -> None:
    frame = pl.read_delta(str(written.path))
    assert frame.height == ROWS + 2
    assert frame["embedding"].list.len().unique().to_list() == [make.DIMENSION]


def test_geopandas(written: Store) -> None:
    frame = geopandas.read_parquet(parts(written)[0])
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry.is_valid.all()


def spatial(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the spatial extension from its package: no download."""
    folder = Path(duckdb_extension_spatial.__file__).parent
    connection.load_extension(str(next(folder.rglob("spatial.duckdb_extension"))))


def test_duckdb_knows_geometry_and_partitions(written: Store) -> None:
    connection = duckdb.connect()
    spatial(connection)
    files = f"read_parquet('{written.path}/h3_cell=*/*.parquet', hive_partitioning = true)"
    assert connection.sql(f"SELECT count(*), count(DISTINCT h3_cell) > 1 FROM {files}").fetchone() == (ROWS + 2, True)
    inside = connection.sql(
        f"SELECT count(*) FROM {files} WHERE ST_Intersects(geometry, ST_MakeEnvelope(10, 45, 11, 46))"
    ).fetchone()
    assert inside is not None
    assert 0 < inside[0] < ROWS


def test_statistics_prune_files(written: Store) -> None:
    """A reader of the Delta log can skip files by their bounding boxes."""
    actions = DeltaTable(written.path).get_add_actions(flatten=True)
    names = [field.name for field in actions.schema]
    assert {"min.bbox.xmin", "max.bbox.ymax", "min.h3", "min.datetime", "num_records"} <= set(names)


def test_rounded_embeddings_are_small(written: Store) -> None:
    vectors = np.stack(pl.read_delta(str(written.path))["embedding"].to_numpy())
    assert (vectors.view(np.uint32) & 0x1FFF == 0).all(), "thirteen mantissa bits are zero"
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-3


@pytest.mark.parametrize("which", [0, -1])
def test_geoparquet_checker_passes(written: Store, tmp_path: Path, which: int) -> None:
    file = max(parts(written), key=lambda p: p.stat().st_size) if which == 0 else parts(written)[which]
    gpio.check(file, tmp_path)
