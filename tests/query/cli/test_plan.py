"""`embedstore plan`, and `encode --plan`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.indexer.plan import world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


@pytest.fixture
def asked(tmp_path: Path) -> tuple[object, ...]:
    """Arguments that plan four small scenes."""
    items = world.tiling(tmp_path, 2, 2, step=48, size=64)
    catalogue = world.collection_file(tmp_path / "items.json", items)
    (tmp_path / "aoi.wkt").write_text(world.around(items, 0.01).wkt)
    where = ("--aoi", tmp_path / "aoi.wkt", "--stac", catalogue, "--datetime", "2024-03-01/2024-05-31")
    return (*where, "--chip-size", "8", "-o", tmp_path / "plan.parquet")


def test_a_plan_is_made_and_encoded(run: Callable[..., Ran], asked: tuple[object, ...], tmp_path: Path) -> None:
    ran = run("plan", *asked)
    assert ran.code == 0
    assert ran.out.startswith("planned 196 chips of 4 scenes in 4 units; about ")
    ran = run("encode", "--plan", tmp_path / "plan.parquet", "--store", tmp_path / "store", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["chips"] == 196
    ran = run("encode", "--plan", tmp_path / "plan.parquet", "--store", tmp_path / "store")
    assert "196 were there already" in ran.out


def test_what_is_left_out_is_said_and_the_exit_code_is_1(
    run: Callable[..., Ran], asked: tuple[object, ...], tmp_path: Path
) -> None:
    body = json.loads((tmp_path / "items.json").read_bytes())
    body["features"].append({**body["features"][0], "id": "nowhere", "geometry": None})
    (tmp_path / "items.json").write_text(json.dumps(body))
    ran = run("plan", *asked, "--json")
    assert ran.code == 1
    said = json.loads(ran.out)
    assert said["estimate"]["chips"] == 196
    assert said["faults"][0]["what"] == "nowhere"
    assert ran.err.startswith("error: nowhere: the Item has no geometry")
    (tmp_path / "t00-optical.tif").unlink()
    ran = run("encode", "--plan", tmp_path / "plan.parquet", "--store", tmp_path / "store")
    assert ran.code == 1
    assert ran.out.startswith("encoded ")
    assert "error: optical of stac:made/t00 cannot be used: there is no file" in ran.err


def test_what_makes_no_sense_is_refused(run: Callable[..., Ran], asked: tuple[object, ...], tmp_path: Path) -> None:
    run("plan", *asked, "--datetime", "soon").refused("'soon'", "make no sense")
    run("plan", *asked, "--aoi", "POLYGON ((0 0, 1 0, 1 1, 0 0))").refused("none covers the area")
    run("plan", *asked, "--period", "week").refused("season")
    run("plan", *asked, "--stac", tmp_path / "none.json").refused("none.json", "cannot be read")
    run("plan", *asked, "--encoder", "nothing").refused("nothing", code=1)
    assert not (tmp_path / "plan.parquet").exists()
    run("encode", "--plan", tmp_path / "aoi.wkt", "--store", tmp_path / "store").refused("cannot be read")


def test_a_plan_says_all_but_bands(run: Callable[..., Ran], asked: tuple[object, ...], tmp_path: Path) -> None:
    assert run("plan", *asked).code == 0
    start = ("encode", "--plan", tmp_path / "plan.parquet", "--store", tmp_path / "store")
    run(*start, "--chip-size", "16", "--datetime", "2024-01-01").refused("leave out --chip-size, --datetime")
    run(*start, tmp_path / "t00-optical.tif").refused("leave out SCENE")
    assert run(*start, "--bands", "optical1").code == 0
    run("encode", "--store", tmp_path / "store").refused("SCENE", "--plan")
