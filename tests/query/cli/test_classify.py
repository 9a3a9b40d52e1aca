"""`embedstore classify · suggest · change`: options, output, and what they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import geopandas
import numpy as np
import pytest
import shapely

from query import Engine
from query.fewshot import Labelled, evaluate, suggest
from tests.embedstore import make
from tests.query.fewshot.conftest import CLASSES, SIDE, chips, collection, feature, grid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dates of one place, in stripes of three classes."""
    lon, lat = grid()
    random = np.random.default_rng(3)
    codes = np.arange(SIDE**2) % SIDE // 2 % 3
    vectors = random.normal(size=(3, make.DIMENSION))[codes] + 0.7 * random.normal(size=(SIDE**2, make.DIMENSION))
    made = make.store(tmp_path_factory.mktemp("labels") / "store")
    made.append(chips("a", lon, lat, vectors, datetime(2020, 6, 1, tzinfo=UTC)))
    made.append(chips("b", lon[:9], lat[:9], random.normal(size=(9, make.DIMENSION)), datetime(2021, 6, 1, tzinfo=UTC)))
    return made.path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    lon, lat = grid()
    points = [
        feature(shapely.Point(lon[i], lat[i]), None, kind=CLASSES[i % SIDE // 2 % 3]) for i in range(30, SIDE**2, 11)
    ]
    path = tmp_path / "labels.geojson"
    path.write_text(json.dumps(collection(*points)))
    return path


def test_classify_writes_the_area_and_prints_both_scores(
    run: Callable[..., Ran], store: Path, labels: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.parquet"
    ran = run("classify", store, "--labels", labels, "--label-column", "kind", "-o", out)
    assert ran.code == 0, ran.err
    with Engine(store) as engine:
        score = evaluate(Labelled.read(engine, labels, "kind"))
    lines = ran.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["field", "forest", "water"]
    assert lines[3].startswith(f"spatial CV    accuracy {score.spatial.accuracy}, macro F1 {score.spatial.macro_f1}")
    assert lines[4].startswith(f"random split  accuracy {score.random.accuracy}")
    assert lines[5].strip() == f"spatial: {score.blocks} blocks of {score.block_edge:,.0f} m edge, kept apart"
    assert ran.err == f"wrote 585 chips to {out}\n"
    frame = geopandas.read_parquet(out)
    assert len(frame) == SIDE**2 + 9
    assert frame["class"].value_counts().to_dict() == {
        line.split()[0]: int(line.split()[1].replace(",", "")) for line in lines[:3]
    }


def test_classify_within_an_area_as_json(run: Callable[..., Ran], store: Path, labels: Path, tmp_path: Path) -> None:
    lon, lat = grid()
    area = tmp_path / "area.geojson"
    area.write_text(shapely.to_geojson(shapely.box(lon[0] - 1, lat[0] - 1e-3, lon[SIDE - 1] + 1, lat[2 * SIDE] + 1e-3)))
    out = tmp_path / "out.parquet"
    options = ("--label-column", "kind", "--method", "probe", "-k", 3, "--abstain-below", 0.5, "--within", area)
    ran = run(
        "classify", store, "--labels", labels, *options, "--between", "2020-01-01/2020-12-31", "-o", out, "--json"
    )
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["chips"] == len(geopandas.read_parquet(out)) == 3 * SIDE
    assert told["method"] == told["evaluation"]["method"] == "probe"
    assert told["neighbours"] == 3
    assert told["evaluation"]["spatial"]["accuracy"]["value"] > 0.4


def test_classify_without_a_score_says_why(run: Callable[..., Ran], store: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"id,class\n{make.chip_id('a0')},x\n{make.chip_id('a1')},y\n")
    ran = run("classify", store, "--labels", path, "-k", 1, "-o", tmp_path / "out.parquet")
    assert ran.code == 0
    assert "spatial" not in ran.out
    assert "warning: no score: all 2 labelled chips lie in one block" in ran.err


def test_classify_refuses(run: Callable[..., Ran], store: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    run("classify", store, "--labels", labels, "--label-column", "name", "-o", out).refused("'name'", "kind")
    ok = ("--labels", labels, "--label-column", "kind")
    run("classify", store, *ok, "-o", out, "--method", "svm").refused("no method 'svm'", "prototype")
    run("classify", store, *ok, "-o", out, "-k", 0).refused("k = 0")
    run("classify", store, *ok).refused("output")
    run("classify", store, "--labels", "nowhere.geojson", "-o", out).refused("nowhere.geojson")
    assert not out.exists()


def test_suggest_prints_what_the_library_suggests(run: Callable[..., Ran], store: Path, labels: Path) -> None:
    options = ("--labels", labels, "--label-column", "kind", "-n", 4)
    with Engine(store) as engine:
        expected = suggest(engine, Labelled.read(engine, labels, "kind"), 4).to_pylist()
    told = json.loads(run("suggest", store, *options, "--json").out)["suggestions"]
    assert [row["id"] for row in told] == [row["id"] for row in expected]
    lines = run("suggest", store, *options).out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *(row["id"] for row in expected)]
    run("suggest", store, *options, "--bbox", "0,0,1,1").refused("no chip lies in the area")


def test_change_ranks_places(run: Callable[..., Ran], store: Path, tmp_path: Path) -> None:
    options = ("change", store, "--between", "2020-06-01", "--and", "2021-01-01/2021-12-31")
    pairs = json.loads(run(*options, "--json").out)["pairs"]
    assert len(pairs) == 9
    assert [p["distance"] for p in pairs] == sorted((p["distance"] for p in pairs), reverse=True)
    assert pairs[0]["datetime_b"] == "2021-06-01T00:00:00Z"
    lines = run(*options, "-k", 2).out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[-2:] == [pairs[0]["id_a"], pairs[0]["id_b"]]
    out = tmp_path / "change.parquet"
    assert run(*options, "-o", out).err == f"wrote 9 pairs to {out}\n"
    assert geopandas.read_parquet(out)["id_b"].tolist() == [p["id_b"] for p in pairs]
    run("change", store, "--between", "2020-06-01", "--and", "2020-06-01").refused("overlap")
    run("change", store, "--between", "1999-06-01", "--and", "2020-06-01").refused("1999-06-01")
