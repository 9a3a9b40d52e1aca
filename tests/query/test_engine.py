"""The engine against brute force, on stores that have been through everything."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import query.plan
from embedstore.errors import FilterError, GeometryError, QueryError, UnknownIdError
from embedstore.store import Store
from indexer import build as build_module
from query import Engine
from tests.embedstore import make
from tests.embedstore.make import chip_id
from tests.query.brute import Truth, build_store, filters, mask_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module", autouse=True)
def _small_thresholds() -> Any:
    """Lists from a thousand rows on, and probing from fifty candidates on, so that small stores take every path."""
    patch = pytest.MonkeyPatch()
    patch.setattr(build_module, "FLAT_ROWS", 1000)
    patch.setattr(query.plan, "EXACT_ROWS", 50)
    patch.setattr(query.plan, "exact_is_cheaper", lambda *args: args[1] <= 100)
    patch.setattr("indexer.calibrate.LENGTHS", (100, 1000))
    yield
    patch.undo()


@pytest.fixture(scope="module", params=["flat", "indexed", "worn"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Truth]:
    path = tmp_path_factory.mktemp("world") / request.param
    store = build_store(path, request.param)
    engine = Engine(path)
    assert not engine.snapshot.degraded
    return engine, Truth.of(store)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=filters(), row=st.integers(0, 10_000), k=st.integers(1, 40))
def test_exact_search_equals_brute_force(world: tuple[Engine, Truth], asked: dict[str, Any], row: int, k: int) -> None:
    engine, truth = world
    vector = truth.vectors[row % len(truth.vectors)]
    mask = mask_of(truth, asked)
    hits = engine.search(vector, k=k, recall="exact", **asked)
    best, scores = truth.best(vector, mask, k)
    assert hits.report.candidates == mask.sum()
    assert len(hits) == min(k, mask.sum())
    assert np.abs(hits.scores - best).max(initial=0) < 1e-5
    row_of = {bytes(i): r for r, i in enumerate(truth.ids)}
    for i, score in zip(hits.column("id"), hits.scores, strict=True):
        assert abs(scores[row_of[bytes(i)]] - score) < 1e-5, "each hit passes the filter and has its own score"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=filters(), row=st.integers(0, 10_000), k=st.integers(1, 200))
def test_probing_never_comes_short(world: tuple[Engine, Truth], asked: dict[str, Any], row: int, k: int) -> None:
    engine, truth = world
    mask = mask_of(truth, asked)
    hits = engine.search(truth.vectors[row % len(truth.vectors)], k=k, recall=0.9, **asked)
    assert len(hits) == min(k, mask.sum())
    assert len(set(hits.ids)) == len(hits)
    assert (np.diff(hits.scores) <= 1e-4).all()
    passing = {bytes(i).hex() for i in truth.ids[mask]}
    assert passing >= set(hits.ids)


@pytest.mark.parametrize(
    "asked", [{}, {"bbox": (10, 45, 12, 48)}, {"where": "lon > 12"}, {"between": "2020-01-01/2021-01-01"}]
)
def test_the_asked_recall_is_delivered(world: tuple[Engine, Truth], asked: dict[str, Any]) -> None:
    engine, truth = world
    mask = mask_of(truth, asked)
    rng = np.random.default_rng(3)
    found = []
    for row in rng.choice(len(truth.vectors), 200):
        noisy = truth.vectors[row] + 0.02 * rng.normal(size=make.DIMENSION).astype(np.float32)
        best, _ = truth.best(noisy, mask, 10)
        found.append((engine.search(noisy, recall=0.9, **asked).scores >= best[-1] - 1e-5).mean())
    assert np.mean(found) >= 0.9


@pytest.mark.parametrize("k", [30, 100, 400])
def test_the_asked_recall_is_delivered_for_many_hits(world: tuple[Engine, Truth], k: int) -> None:
    engine, truth = world
    mask = mask_of(truth, {})
    found = []
    for row in np.random.default_rng(4).choice(len(truth.vectors), 50):
        best, _ = truth.best(truth.vectors[row], mask, k)
        found.append((engine.search(truth.vectors[row], k=k, recall=0.9).scores >= best[-1] - 1e-5).mean())
    assert np.mean(found) >= 0.9


def truth_score(truth: Truth, chip: str, vector: np.ndarray) -> float:
    (at,) = np.flatnonzero(truth.ids == np.void(bytes.fromhex(chip)))
    return float(truth.vectors[at] @ vector)


@given(asked=filters(), k=st.integers(1, 30), recall=st.sampled_from([0.8, 0.95, "exact"]))
def test_a_batch_answers_as_one_by_one(
    world: tuple[Engine, Truth], asked: dict[str, Any], k: int, recall: float | str
) -> None:
    engine, truth = world
    vectors = truth.vectors[:300:7]
    batch = engine.search_many(vectors, k=k, recall=recall, **asked)
    assert len(batch) == len(vectors)
    same = []
    for vector, hits in zip(vectors, batch, strict=True):
        alone = engine.search(vector, k=k, recall=recall, **asked)
        assert (len(hits), hits.report.candidates) == (len(alone), alone.report.candidates)
        if recall == "exact":
            assert np.allclose(hits.scores, alone.scores, atol=1e-6)
        else:  # the last bit of a product of many queries may be another, and with it the order of two lists
            same.extend(np.isclose(hits.scores, alone.scores, atol=1e-6))
        assert all(
            truth_score(truth, i, vector) == pytest.approx(s, abs=1e-3)
            for i, s in zip(hits.ids, hits.scores, strict=True)
        )
    assert np.mean([True, *same]) >= 0.95


def test_a_stored_chip_finds_itself_first(world: tuple[Engine, Truth]) -> None:
    engine, truth = world
    for i in truth.ids[::97]:
        hits = engine.search(id=bytes(i).hex())
        assert hits.ids[0] == bytes(i).hex()
        assert hits.scores[0] >= 0.999


def test_near_duplicates_do_not_crowd_out_the_chip_itself(tmp_path: Path) -> None:
    """Open water: thousands of vectors that are the same to the last bit."""
    store = make.store(tmp_path / "s")
    table = make.chips(list(range(2000)))
    same = table["embedding"].take([0] * 2000)
    store.append(table.set_column(table.schema.get_field_index("embedding"), table.schema.field("embedding"), same))
    build_module.build(tmp_path / "s")
    engine = Engine(tmp_path / "s")
    for i in range(0, 2000, 61):
        assert engine.search(id=chip_id(i), k=3).ids[0] == chip_id(i)


def test_spread_keeps_hits_apart_and_gives_all_that_survive(world: tuple[Engine, Truth]) -> None:
    from query.example import distance

    engine, truth = world
    hits = engine.search(truth.vectors[5], k=15, spread=30_000)
    assert len(hits) == 15
    for i in range(len(hits)):
        others = np.arange(len(hits)) != i
        assert distance(hits.lon[others], hits.lat[others], hits.lon[i], hits.lat[i]).min() >= 30_000
    wide = engine.search(truth.vectors[5], k=50, spread=150_000, bbox=(9, 44, 15, 49))
    exact = engine.search(truth.vectors[5], k=50, spread=150_000, bbox=(9, 44, 15, 49), recall="exact")
    assert wide.ids == exact.ids
    assert 1 < len(wide) < 50


def test_several_examples_and_negatives(world: tuple[Engine, Truth]) -> None:
    engine, truth = world
    a, b, c = (bytes(truth.ids[i]).hex() for i in (1, 2, 3))
    va, vb, vc = (v / np.linalg.norm(v) for v in truth.vectors[[1, 2, 3]])
    hits = engine.search(like=[a, b], unlike=[c], recall="exact")
    best, _ = truth.best((va + vb) / 2 - 0.5 * vc, np.ones(len(truth.ids), bool), 10)
    assert np.abs(hits.scores - best).max() < 1e-4


def test_position_and_metadata(world: tuple[Engine, Truth]) -> None:
    engine, truth = world
    at = (float(truth.lon[10]), float(truth.lat[10]))
    hits = engine.search(at=at, k=2)
    assert hits.ids[0] == bytes(truth.ids[10]).hex()
    assert (hits.lon[0], hits.lat[0]) == at
    assert hits.datetime[0] == truth.when[10]
    table = hits.to_arrow(geometry=True)
    centre = shapely.centroid(shapely.from_wkb(table["geometry"][0].as_py()))
    assert abs(centre.x - at[0]) < 1e-9
    assert table["thumbnail"][0].as_py() == b"webp"


def test_threads_get_the_serial_answers(world: tuple[Engine, Truth]) -> None:
    engine, truth = world
    ask = lambda r: engine.search(truth.vectors[r], bbox=(10, 45, 13, 47), where="lon > 11").ids  # noqa: E731
    rows = list(range(0, 600, 7))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, rows)) == [ask(r) for r in rows]


def test_an_old_version_answers_as_it_did(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(100))))
    store.delete(ids=[chip_id(4)])
    store.append(make.chips(list(range(100, 200))))
    assert Engine(tmp_path / "s", version=1).search(id=chip_id(4)).ids[0] == chip_id(4)
    assert len(Engine(tmp_path / "s", version=1).search(id=chip_id(4), k=500)) == 100
    engine = Engine(tmp_path / "s")
    assert len(engine.search(id=chip_id(5), k=500)) == 199
    with pytest.raises(UnknownIdError):
        engine.search(id=chip_id(4))


def test_a_new_row_is_found_at_once_and_by_an_index_built_before_it(tmp_path: Path) -> None:
    build_store(tmp_path / "s", "indexed")
    store = Store.open(tmp_path / "s")
    store.append(make.chips(["new"]))
    engine = Engine(tmp_path / "s")
    assert engine.search(id=chip_id("new")).ids[0] == chip_id("new")
    build_module.build(tmp_path / "s")
    engine.refresh()
    assert engine.search(id=chip_id("new")).ids[0] == chip_id("new")


def test_empty_store_answers_emptily(tmp_path: Path) -> None:
    make.store(tmp_path / "s")
    engine = Engine(tmp_path / "s")
    hits = engine.search(np.ones(make.DIMENSION))
    assert len(hits) == 0
    assert hits.report.warnings
    assert hits.to_arrow(geometry=True).num_rows == 0
    with pytest.raises(QueryError, match="empty"):
        engine.search(at=(0, 0))


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"vector": [1.0, 2.0]}, QueryError, "dimension 16"),
        ({"vector": [float("nan")] * 16}, QueryError, "NaN"),
        ({"vector": [0.0] * 16}, QueryError, "length"),
        ({"id": "beef"}, UnknownIdError, "beef"),
        ({"id": "00" * 16}, UnknownIdError, "no chip"),
        ({}, QueryError, "nothing to look for"),
        ({"at": (100.0, 0.0)}, QueryError, "km away"),
        ({"at": (0.0, 99.0)}, QueryError, "position"),
        ({"k": 0}, QueryError, "at least one"),
        ({"k": 2.5}, QueryError, "at least one"),
        ({"recall": 1.5}, QueryError, "recall"),
        ({"recall": "all"}, QueryError, "recall"),
        ({"recall": float("nan")}, QueryError, "recall"),
        ({"spread": -1.0}, QueryError, "spread"),
        ({"bbox": (1, 2, 3)}, FilterError, "four"),
        ({"bbox": (0, 50, 1, 40)}, GeometryError, "south"),
        ({"within": "POINT (1 1)"}, GeometryError, "no polygon"),
        ({"within": "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"}, GeometryError, "Self-intersection"),
        ({"cells": ["zz"]}, FilterError, "H3"),
        ({"between": "2020-01-01"}, FilterError, "two times"),
        ({"between": "2021-01-01/2020-01-01"}, FilterError, "ends before"),
        ({"between": "yesterday/.."}, FilterError, "no time"),
        ({"where": "nonsense > 1"}, FilterError, "nonsense"),
        ({"where": "1=1; DROP TABLE x"}, FilterError, "cannot be evaluated"),
        ({"where": "lon IN (SELECT content FROM read_text('/etc/hostname'))"}, FilterError, "cannot be evaluated"),
    ],
)  # fmt: skip
def test_bad_questions_get_clear_errors(
    world: tuple[Engine, Truth], asked: dict[str, Any], error: type[Exception], says: str
) -> None:
    engine, truth = world
    if asked and not {"vector", "id", "at"} & asked.keys():
        asked = {**asked, "vector": truth.vectors[0]}
    with pytest.raises(error, match=says) as caught:
        engine.search(**asked)
    assert "\n" not in str(caught.value)


def test_index_reports_and_reuses(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(1500))))
    first = build_module.build(tmp_path / "s")
    assert first.trained
    assert first.recall >= 0.95
    assert first.calibration
    for_hits = [(e.k, e.recall) for e in first.calibration.efforts]
    assert for_hits == sorted(for_hits)
    assert {k for k, _ in for_hits} == {10, 100, 1000}
    store.append(make.chips(list(range(1500, 1600))))
    second = build_module.build(tmp_path / "s")
    assert not second.trained, "rows have not grown fourfold"
    assert second.segments == 2
    store.append(make.chips(list(range(1600, 8000))))
    third = build_module.build(tmp_path / "s")
    assert third.trained
    assert third.segments == 1
    assert store.verify() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Engine(tmp_path / "s").search(id=chip_id(7999), k=20)) == 20
