from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.indexer.importers import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


def test_import_tells_what_it_did(run: Callable[..., Ran], tmp_path: Path) -> None:
    path = files.planet(tmp_path / "p.parquet", haze_percent=[0] * files.ROWS)
    ran = run("import", path, "--store", tmp_path / "s")
    assert (ran.code, ran.out.startswith("imported 11 chips of imported:planet (Planet)")) == (0, True)
    assert "no place for haze_percent" in ran.err
    assert "declared to be in EPSG:3857 and are in degrees" in ran.err
    again = json.loads(run("import", path, "--store", tmp_path / "s", "--json").out)
    assert (again["chips"], again["already_there"]) == (0, files.ROWS)


def test_one_bad_file_does_not_hold_up_the_others(run: Callable[..., Ran], tmp_path: Path) -> None:
    good, bad = files.clay_v0(tmp_path / "good.parquet"), tmp_path / "bad.parquet"
    files.write(bad, {"place": ["a"]})
    ran = run("import", bad, good, "--store", tmp_path / "s")
    assert (ran.code, ran.out.split()[:3]) == (1, ["imported", "12", "chips"])
    assert "error: the columns of" in ran.err
    run("import", bad, "--store", tmp_path / "s").refused("of no layout that is known")


def test_a_chip_cannot_be_encoded_by_a_model_that_is_not_here(
    run: Callable[..., Ran], tmp_path: Path, scene: Path
) -> None:
    run("import", files.clay_v0(tmp_path / "c.parquet"), "--store", tmp_path / "s")
    run("search", tmp_path / "s", "--chip", scene).refused(
        "the model clay-v0 is not here", "by id, place or vector", code=1
    )
    run("encode", scene, "--store", tmp_path / "s").refused("the model clay-v0 is not here", code=1)
    found = run("search", tmp_path / "s", "--at", "10.02,45.02", "-k", 1, "--json")
    assert json.loads(found.out)["hits"][0]["score"] > 0.999
