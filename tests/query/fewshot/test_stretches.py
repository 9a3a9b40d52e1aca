"""Chips classified by workers get the classes that they get here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from embedstore.errors import DamageError, LimitError
from query import Engine
from query.fewshot import Labelled, classify_area
from tests.embedstore import make
from tests.indexer.engines.test_scatter import Elsewhere

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.engines.base import Executor


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """900 rows in three pieces, in stretches of 100 and blocks of 30."""
    monkeypatch.setattr("query.fewshot.stretches.STRETCH", 100)
    monkeypatch.setattr("query.stream.BLOCK", 30)
    made = make.store(tmp_path / "store")
    for part in range(3):
        made.append(make.chips([(part, i) for i in range(300)]))
    return tmp_path / "store"


def classified(store: Path, out: Path, executor: Executor | None, where: str | None = None) -> tuple[object, object]:
    with Engine(store) as engine:
        known = Labelled.read(engine, {make.chip_id((0, i)): "ab"[i % 2] for i in range(12)})
        done = classify_area(engine, known, "knn", out, where=where, executor=executor)
    return done, pq.read_table(out)


@pytest.mark.parametrize("where", [None, "lon < 12"])
def test_the_same_file_as_here(store: Path, tmp_path: Path, where: str | None) -> None:
    here = classified(store, tmp_path / "here.parquet", None, where)
    assert classified(store, tmp_path / "there.parquet", Elsewhere(), where) == here


def test_answers_that_are_lost_are_an_error(store: Path, tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="got no answer"):
        classified(store, tmp_path / "out.parquet", Elsewhere(lose=[4]))
    assert not (tmp_path / "out.parquet").exists()


def test_a_segment_that_workers_cannot_see(store: Path, tmp_path: Path) -> None:
    for folder in (store / "_index" / "segments").iterdir():
        folder.rename(folder.with_name(f"gone-{folder.name}"))
    with pytest.warns(UserWarning, match="read from the table"), pytest.raises(DamageError, match="for a worker"):
        classified(store, tmp_path / "out.parquet", Elsewhere())
