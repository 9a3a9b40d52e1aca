"""`embedstore sql`: statements, formats, files, mistakes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import geopandas

from tests.query.cli.conftest import CHIPS, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_a_table_goes_to_stdout(run: Callable[..., Ran], vectors: Path) -> None:
    ran = run("sql", vectors, "SELECT count(*) AS chips FROM embeddings")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == ["chips", str(CHIPS)]


def test_json_and_csv(run: Callable[..., Ran], vectors: Path) -> None:
    statement = f"SELECT id, score FROM nearest(chip_vector('{FIRST}'), 3)"
    told = json.loads(run("sql", vectors, statement, "--format", "json").out)
    assert told["rows"][0][0] == FIRST
    lines = run("sql", vectors, statement, "--format", "csv").out.splitlines()
    assert lines[0] == "id,score"
    assert [line.split(",")[0] for line in lines[1:]] == [row[0] for row in told["rows"]]


def test_files_by_suffix(run: Callable[..., Ran], vectors: Path, tmp_path: Path) -> None:
    for name in ("out.geojson", "out.parquet"):
        ran = run("sql", vectors, "SELECT id, geometry FROM embeddings", "-o", tmp_path / name)
        assert ran.code == 0, ran.err
        assert ran.err == f"wrote {CHIPS} rows to {tmp_path / name}\n"
        read = geopandas.read_parquet if name.endswith("parquet") else geopandas.read_file
        assert len(read(tmp_path / name)) == CHIPS


def test_mistakes(run: Callable[..., Ran], vectors: Path, tmp_path: Path) -> None:
    run("sql", vectors, "SELECT nothing FROM embeddings").refused("nothing", "DESCRIBE embeddings")
    run("sql", vectors, "SELECT 1", "--format", "xml").refused("no format 'xml'")
    run("sql", vectors, "SELECT 1", "--format", "parquet").refused("-o")
    run("sql", vectors, "SELECT 1", "--format", "geojson").refused("no column is a geometry")
    run("sql", vectors, "SELECT chip_vector('x')").refused("holds no chip 'x'")
    run("sql", tmp_path, "SELECT 1").refused("no store", code=1)
