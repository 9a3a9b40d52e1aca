"""`embedstore sql`: statements, formats, files, mistakes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import geopandas

from tests.embedstore import make
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


def test_stores_side_by_side(run: Callable[..., Ran], vectors: Path, tmp_path: Path) -> None:
    make.store(tmp_path / "other", 24).append(make.chips([0, "new"], dimension=24))
    attach = ("--attach", f"other={tmp_path / 'other'}")
    counts = "SELECT (SELECT count(*) FROM embeddings) AS a, (SELECT count(*) FROM other.embeddings) AS b"
    ran = run("sql", vectors, counts, *attach, "--format", "csv")
    assert ran.out.split() == ["a,b", f"{CHIPS},2"]
    run("sql", vectors, "SELECT 1", *attach, *attach).refused("its name is taken")
    run("sql", vectors, "SELECT 1", "--attach", "other").refused("is no NAME=STORE")
    run("sql", vectors, "SELECT 1", "--attach", f"other={tmp_path / 'none'}").refused("none", code=1)
