"""Searches among what is left, or what was there already: rows that do not count must not crowd out those that do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import shapely

import query.plan
from indexer.build import build
from query import Engine
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NORTH, SOUTH = 12_000, 9_000
KINDS = 200


def _land(rng: np.random.Generator, rows: int, north: bool) -> NDArray[np.float32]:
    """Return vectors around some kinds of land, of which the north has the first and the south rather the last."""
    kinds = np.random.default_rng(5).normal(size=(KINDS, make.DIMENSION)) * 0.6
    at = np.arange(KINDS) / KINDS
    likely = np.exp(-at * 10) + 1e-4 if north else np.exp(at * 3 - 3) + 2e-3
    vectors = kinds[rng.choice(KINDS, rows, p=likely / likely.sum())]
    return (vectors + 0.45 * rng.normal(size=vectors.shape)).astype(np.float32)


@pytest.fixture(params=["deleted", "not there yet"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """A store whose north is of few kinds of land, of which the south has little, with the south only to be found."""
    monkeypatch.setattr("indexer.build.FLAT_ROWS", 1_000)
    monkeypatch.setattr("indexer.calibrate.LENGTHS", (400, 3_000))
    monkeypatch.setattr(query.plan, "EXACT_ROWS", 50)
    monkeypatch.setattr(query.plan, "exact_is_cheaper", lambda *_: False)  # so few rows are scanned in no time
    rng = np.random.default_rng(0)
    vectors = np.concatenate([_land(rng, SOUTH, north=False), _land(rng, NORTH, north=True)])
    lat = np.concatenate([rng.uniform(-2, -1, SOUTH), rng.uniform(1, 2, NORTH)])
    lon = rng.uniform(10, 11, SOUTH + NORTH)
    shapes = shapely.to_wkb(shapely.box(lon - 0.001, lat - 0.001, lon + 0.001, lat + 0.001))
    chips = make.chips(list(range(SOUTH + NORTH)))
    columns = {
        "geometry": pa.array(shapes.tolist(), pa.binary()),
        "embedding": pa.array(vectors.tolist(), pa.list_(pa.float32())),
    }
    for name, column in columns.items():
        chips = chips.set_column(chips.schema.get_field_index(name), name, column)
    store = make.store(tmp_path / "s")
    store.append(chips.slice(0, SOUTH))
    south_only = store.version
    store.append(chips.slice(SOUTH))
    build(tmp_path / "s", device="cpu")
    if request.param == "not there yet":
        return Engine(tmp_path / "s", south_only)
    store.refresh()
    assert store.delete(within=shapely.box(9, 0.5, 12, 3)) == NORTH
    return Engine(tmp_path / "s")


@pytest.mark.parametrize("north", [True, False])
def test_the_asked_recall_is_delivered_beside_rows_that_do_not_count(engine: Engine, north: bool) -> None:
    queries = _land(np.random.default_rng(9), 200, north)
    found, true = (engine.search_many(queries, k=10, recall=r) for r in (0.95, "exact"))
    shares = [(f.scores >= t.scores[-1] - 1e-5).mean() for f, t in zip(found, true, strict=True)]
    assert {f.report.candidates for f in found} == {SOUTH}
    assert any(f.report.plan == "ivf" for f in found)
    assert np.mean(shares) >= 0.95
    for query_, hits in list(zip(queries, found, strict=True))[:20]:
        alone = engine.search(query_, k=10, recall=0.95)
        assert alone.report.scanned == hits.report.scanned
        assert np.abs(alone.scores - hits.scores).max() < 1e-5
