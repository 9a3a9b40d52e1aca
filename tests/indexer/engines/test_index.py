"""Segments written by workers: what they cover, and what is found with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore import grid
from embedstore.errors import LimitError
from embedstore.store import Store
from indexer import build as builder
from indexer.build import build
from query import Engine
from tests.embedstore import make
from tests.indexer.engines.test_scatter import Elsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.engines.base import Executor


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.build.FLAT_ROWS", 500)
    monkeypatch.setattr("indexer.segments.SHARE", 1000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """2,960 rows, from six appends of 500 less 40, compacted."""
    made = make.store(tmp_path / "store")
    for part in range(6):
        made.append(make.chips([(part, i) for i in range(500)]))
    made.delete(ids=[make.chip_id((2, i)) for i in range(40)])
    made.compact()
    return tmp_path / "store"


def searched(path: Path) -> Any:
    with Engine(path) as engine:
        vectors = np.random.default_rng(5).normal(size=(8, make.DIMENSION)).astype(np.float32)
        return [engine.search(vector=v, k=10, recall=0.9).to_arrow()["id"].to_pylist() for v in vectors]


def check(path: Path, engine: Executor) -> None:
    """Build with an engine, and check that nothing is missing and that each segment holds something of every region."""
    exact = searched(path)
    report = build(path, recall=0.9, engine=engine)
    assert (report.rows, report.segments, report.trained) == (2960, 2, True)
    opened = Store.open(path)
    snapshot = opened.snapshot()
    assert not snapshot.uncovered
    assert not snapshot.degraded
    assert sum(p.count for p in snapshot.pieces) == 2960
    assert all(p.segment.manifest.codebook for p in snapshot.pieces)
    rows = [p.count for p in snapshot.pieces]
    assert max(rows) < 1.3 * min(rows)
    cells = [np.unique(grid.parents(p.segment.column("h3"), 1)) for p in snapshot.pieces]
    assert np.array_equal(*cells)
    assert not opened.verify()
    found = searched(path)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found, strict=True)]) > 0.9


def test_a_share_for_each_worker(store: Path) -> None:
    check(store, Elsewhere())


def test_a_share_for_each_worker_on_ray(store: Path, on_ray: Executor) -> None:
    check(store, on_ray)


def test_finer_codes_for_all_of_them(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder._Build, "_calibrate", dull(builder._Build._calibrate))
    report = build(store, recall=0.99, engine=Elsewhere())
    assert report.segments == 2
    assert not Store.open(store).verify()
    assert sum(p.count for p in Store.open(store).snapshot().pieces) == 2960


def dull(calibrate: Any) -> Any:
    """Make a calibration find no recall high enough."""
    from dataclasses import replace

    def found(*args: Any) -> Any:
        made = calibrate(*args)
        return made and replace(made, efforts=tuple(replace(e, recall=0.5) for e in made.efforts))

    return found


def test_lost_shares_are_an_error_and_change_nothing(store: Path) -> None:
    with pytest.raises(LimitError, match="1 of 2 segments were not written"):
        build(store, engine=Elsewhere(lose=[1]))
    assert Store.open(store).catalog.current() is None or build(store).rows == 2960
