"""One engine, many threads: each question is answered from one snapshot, whatever the others do meanwhile."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import query.plan
from embedstore import sealed, segment
from embedstore.errors import DamageError
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from indexer import build as build_module
from query import Engine
from query.searcher import Searcher
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("threads") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "FLAT_ROWS", 500)
        make.store(path).append(make.chips(list(range(1000))))
        build_module.build(path)
    return path


@pytest.fixture
def path(indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(query.plan, "EXACT_ROWS", 50)
    return shutil.copytree(indexed, tmp_path / "s")


def test_a_refresh_in_the_middle_of_a_question_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The selection of one snapshot is not searched in the pieces of another."""
    engine = Engine(path)
    reached, go_on, real = Event(), Event(), Searcher.select

    def select(self: Searcher, *args: Any) -> Any:
        selections = real(self, *args)
        reached.set()
        assert go_on.wait(20)
        return selections

    with monkeypatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(Searcher, "select", select)
        asked = pool.submit(engine.search, id=chip_id(5), k=2000, recall="exact")
        assert reached.wait(20)
        store = Store.open(path)
        store.append(make.chips(["new"]))
        store.delete(ids=[chip_id(5)])
        engine.refresh()
        go_on.set()
        hits = asked.result()
    assert hits.ids[0] == chip_id(5)
    assert len(hits) == 1000
    assert len(engine.search(id=chip_id("new"), k=2000)) == 1000
    assert hits.to_arrow(geometry=True).num_rows == 1000, "the files of the older version are still there"


def test_questions_while_the_store_changes(path: Path) -> None:
    engine = Engine(path)
    store = Store.open(path)

    def change() -> None:
        for i in range(8):
            store.append(make.chips([f"more {i}"]))
            store.delete(ids=[chip_id(100 + i)])
            engine.refresh()

    with ThreadPoolExecutor(5) as pool:
        changing = pool.submit(change)
        for _ in range(10):
            asked = [pool.submit(engine.search, id=chip_id(i), k=2000, where="lon > 0") for i in range(8)]
            for i, one in enumerate(asked):
                hits = one.result()
                assert hits.ids[0] == chip_id(i)
                assert len(set(hits.ids)) == len(hits) in (1000, 1001)
        changing.result()
    assert len(engine.search(id=chip_id(0), k=2000)) == 1000


def test_threads_that_find_the_same_damage_give_up_the_segment_once(path: Path) -> None:
    right = Engine(path).search(id=chip_id(3), recall="exact").scores
    (lists,) = path.glob("_index/segments/*/lists.faiss")
    raw = bytearray(lists.read_bytes())
    raw[len(raw) // 2] ^= 1
    lists.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedIndexWarning)
        engine = Engine(path)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: engine.search(id=chip_id(3), recall=0.7), range(24)))
    assert all(np.abs(hits.scores - right).max() < 1e-5 for hits in found)


def test_lists_that_a_vacuum_took_away_are_done_without(path: Path) -> None:
    """The file is first opened by the first question that probes it."""
    engine = Engine(path)
    assert Engine(path).search(id=chip_id(3), recall=0.7).report.plan == "ivf"
    (lists,) = path.glob("_index/segments/*/lists.faiss")
    lists.unlink()
    hits = engine.search(id=chip_id(3), recall=0.7)
    assert hits.report.plan == "exact", "the flat segment that the append wrote is still there"
    assert hits.ids[0] == chip_id(3)
    assert len(hits) == 10


def test_damage_that_no_segment_explains_is_raised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def search(*_: Any, **__: Any) -> Any:
        raise DamageError("the data file /elsewhere cannot be read")

    monkeypatch.setattr(Searcher, "search", search)
    with pytest.raises(DamageError, match="elsewhere"):
        Engine(path).search(id=chip_id(3))


def test_damage_where_rows_stand_shows_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files were rewritten, the columns that say so are read as the store is opened; other blocks wait."""
    for module in (sealed, segment):
        monkeypatch.setattr(module, "BLOCK", 1024)
    monkeypatch.setattr(sealed, "WHOLE", 0)
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(3000))))
    store.delete(ids=[chip_id(1)])
    (piece,) = store.snapshot().pieces
    for name in ("file", "row"):
        file = piece.segment.folder / "rows.arrow"
        whole = file.read_bytes()
        at = piece.segment._offsets[name] + 6000
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.warns(DegradedIndexWarning, match="2999 rows"):
            engine = Engine(tmp_path / "s")
        hits = engine.search(id=chip_id(2), k=5000, recall="exact")
        assert len(set(hits.ids)) == len(hits) == 2999
        file.write_bytes(whole)
