"""`embedstore search`: every kind of example, filter and format, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import geopandas
import numpy as np
import pytest

from embedstore.store import Store
from query import Engine
from tests.embedstore import make
from tests.query.cli.conftest import CHIPS, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran

SECOND, THIRD = make.chip_id(1), make.chip_id(2)


def ids(ran: Ran) -> list[str]:
    assert ran.code == 0, ran.err
    return [hit["id"] for hit in json.loads(ran.out)["hits"]]


@pytest.fixture
def search(run: Callable[..., Ran], vectors: Path) -> Callable[..., Ran]:
    return lambda *options: run("search", vectors, *options)


def vector_of(name: object) -> list[float]:
    return make.chips([name])["embedding"].to_pylist()[0]  # type: ignore[no-any-return]


def test_the_table_has_rank_score_id_place_date_and_item(search: Callable[..., Ran]) -> None:
    ran = search("--id", FIRST, "-k", 3)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["rank", "score", "id", "lon", "lat", "date", "item"]
    assert len(lines) == 4
    rank, score, id_, lon, lat, date, item = lines[1].split()
    assert (rank, id_, item) == ("1", FIRST, "first")
    assert float(score) >= 0.999
    assert 10 <= float(lon) <= 14
    assert 45 <= float(lat) <= 48
    assert date[:2] == "20"
    assert ran.err == f"exact: {CHIPS} candidates, {CHIPS} scored, 0 lists probed\n"


def test_an_example_by_id_position_and_vector_finds_the_same(
    search: Callable[..., Ran], vectors: Path, tmp_path: Path
) -> None:
    by_id = ids(search("--id", FIRST, "-k", 5, "--json"))
    assert by_id[0] == FIRST
    with Engine(vectors) as engine:
        first = engine.search(id=FIRST, k=1)
    assert ids(search("--at", f"{first.lon[0]:.6f},{first.lat[0]:.6f}", "-k", 5, "--json")) == by_id
    np.save(tmp_path / "v.npy", np.array(vector_of(0), np.float32))
    assert ids(search("--vector", tmp_path / "v.npy", "-k", 5, "--json")) == by_id
    (tmp_path / "v.json").write_text(json.dumps(vector_of(0)))
    assert ids(search("--vector", tmp_path / "v.json", "-k", 5, "--format", "json")) == by_id


def test_several_positives_and_negatives(search: Callable[..., Ran], vectors: Path) -> None:
    with Engine(vectors) as engine:
        expected = engine.search(like=[FIRST, SECOND], unlike=[THIRD], k=5).ids
    assert ids(search("--id", FIRST, "--id", SECOND, "--unlike", THIRD, "-k", 5, "--json")) == expected


def test_negative_numbers_are_values_and_not_options(search: Callable[..., Ran]) -> None:
    search("--at", "-77.1,35.2").refused("-77.1")  # parsed, and far from every chip
    ran = search("--id", FIRST, "--bbox", "-80,-10,-70,10")
    assert ran.code == 0
    assert ran.err.splitlines()[1:] == ["warning: no chip passes the filter"]


def test_filters_reach_the_engine(search: Callable[..., Ran], tmp_path: Path, vectors: Path) -> None:
    (tmp_path / "area.geojson").write_text(
        json.dumps({"type": "Polygon", "coordinates": [[[10, 45], [12, 45], [12, 48], [10, 48], [10, 45]]]})
    )
    everything = json.loads(search("--id", FIRST, "-k", CHIPS, "--json").out)["hits"]
    west = {h["id"] for h in everything if h["lon"] <= 12}
    early = {h["id"] for h in everything if h["datetime"] < "2021-01-01"}
    assert 0 < len(west) < CHIPS
    assert 0 < len(early) < CHIPS
    assert set(ids(search("--id", FIRST, "-k", len(west), "--bbox", "10,45,12,48", "--json"))) == west
    assert set(ids(search("--id", FIRST, "-k", len(west), "--within", tmp_path / "area.geojson", "--json"))) == west
    assert set(ids(search("--id", FIRST, "-k", len(west), "--where", "lon <= 12", "--json"))) == west
    assert set(ids(search("--id", FIRST, "-k", len(early), "--between", "../2020-12-31", "--json"))) == early
    spread = search("--id", FIRST, "--spread", 1000, "--recall", "exact", "-k", 4, "--json")
    with Engine(vectors) as engine:
        assert ids(spread) == engine.search(id=FIRST, k=4, spread=1000, recall="exact").ids
    assert json.loads(spread.out)["report"]["exact"] is True


def test_k_larger_than_the_table_returns_all_and_says_so(search: Callable[..., Ran]) -> None:
    ran = search("--id", FIRST, "-k", 1000, "--json")
    assert len(ids(ran)) == CHIPS
    assert ran.err.startswith("warning: k = 1000")


@pytest.mark.parametrize("name", ["hits.geojson", "hits.json", "hits.parquet", "hits.txt"])
def test_a_file_gets_the_format_of_its_suffix(search: Callable[..., Ran], tmp_path: Path, name: str) -> None:
    ran = search("--id", FIRST, "-k", 5, "-o", tmp_path / name)
    assert ran.code == 0
    assert ran.out == ""
    assert ran.err.startswith(f"wrote 5 hits to {tmp_path / name}\n")
    assert [p.name for p in tmp_path.iterdir()] == [name]
    if name.endswith(("geojson", "parquet")):
        read = geopandas.read_file if name.endswith("geojson") else geopandas.read_parquet
        frame = read(tmp_path / name)
        assert len(frame) == 5
        assert frame["id"][0] == FIRST
        assert frame.geometry.is_valid.all()
    elif name.endswith("json"):
        assert json.loads((tmp_path / name).read_text())["hits"][0]["id"] == FIRST
    else:
        assert (tmp_path / name).read_text().startswith("rank")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to look for"),
        (["--id", FIRST, "-k", "0"], "k = 0"),
        (["--id", "f" * 32], "f" * 32),
        (["--id", "nonsense"], "nonsense"),
        (["--id", FIRST, "--unlike", "0" * 32], "0" * 32),
        (["--id", FIRST, "--recall", "1.5"], "1.5"),
        (["--id", FIRST, "--recall", "most"], "most"),
        (["--id", FIRST, "--spread", "-1"], "spread"),
        (["--id", FIRST, "--spread", "nan"], "spread"),
        (["--id", FIRST, "--bbox", "1,2,3"], "west,south,east,north"),
        (["--id", FIRST, "--bbox", "1,2,3,x"], "west,south,east,north"),
        (["--id", FIRST, "--bbox", "10,48,14,45"], "south"),
        (["--id", FIRST, "--bbox", "nan,0,1,1"], "nan"),
        (["--at", "12"], "LON,LAT"),
        (["--at", "12,146"], "146"),
        (["--id", FIRST, "--between", "2020"], "2020"),
        (["--id", FIRST, "--between", "2021-01-01/2020-01-01"], "before"),
        (["--id", FIRST, "--where", "no_such_column > 1"], "no_such_column"),
        (["--id", FIRST, "--where", "1 = 1; DROP TABLE x"], "DROP"),
        (["--id", FIRST, "--within", "absent.geojson"], "absent.geojson"),
        (["--id", FIRST, "--within", "POINT (1 2)"], "POINT"),
        (["--id", FIRST, "--within", "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"], "invalid"),
        (["--id", FIRST, "--format", "csv"], "csv"),
        (["--id", FIRST, "--format", "geoparquet"], "-o"),
        (["--vector", "absent.npy"], "absent.npy"),
    ],
)
def test_bad_questions_are_refused_in_one_line(search: Callable[..., Ran], options: list[str], words: str) -> None:
    search(*options).refused(words)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.json", "[1, 2, 3]"),
        ("v.json", "[]"),
        ("v.json", '{"a": 1}'),
        ("v.json", "[1, 2"),
        ("v.json", f"[{', '.join(['NaN'] * make.DIMENSION)}]"),
        ("v.json", f"[{', '.join(['0'] * make.DIMENSION)}]"),
        ("v.json", f"[[{', '.join(['1'] * make.DIMENSION)}]]"),
        ("v.npy", ""),
        ("v.npy", "no array"),
    ],
)
def test_bad_vectors_are_refused(search: Callable[..., Ran], tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    search("--vector", tmp_path / name).refused()


def test_a_pickle_is_not_executed(search: Callable[..., Ran], tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([print], dtype=object), allow_pickle=True)
    search("--vector", tmp_path / "v.npy").refused("v.npy")


@pytest.mark.parametrize("output", ["absent/hits.json", "."])
def test_a_file_that_cannot_be_written_is_refused(search: Callable[..., Ran], tmp_path: Path, output: str) -> None:
    search("--id", FIRST, "-o", tmp_path / output).refused("could not write", code=1)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_answers_a_vector_with_nothing_and_refuses_a_place(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    Store.create(tmp_path / "empty", make.ENCODER, make.GRID)
    (tmp_path / "v.json").write_text(json.dumps(vector_of(0)))
    ran = run("search", tmp_path / "empty", "--vector", tmp_path / "v.json", "--format", "geojson")
    assert json.loads(ran.out)["features"] == []
    assert run("search", tmp_path / "empty", "--vector", tmp_path / "v.json").out.split()[0] == "rank"
    saved = tmp_path / "none.parquet"
    assert run("search", tmp_path / "empty", "--vector", tmp_path / "v.json", "-o", saved).code == 0
    assert len(geopandas.read_parquet(saved)) == 0
    run("search", tmp_path / "empty", "--at", "12,46").refused("empty")
