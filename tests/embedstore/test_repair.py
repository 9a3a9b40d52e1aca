"""Repair: what is derived comes back, what is lost is named, and a store that forgot it serves again."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from embedstore.store import Store
from tests.embedstore import make
from tests.query.cli.conftest import Ran, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["run"]
BOX = (10.0, 45.0, 14.0, 48.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(40)), box=BOX), unit="first")
    store.append(make.chips(list(range(40, 60)), box=BOX), unit="second")
    return tmp_path / "s"


def test_a_sound_store_is_left_as_it_is(root: Path, run: Callable[..., Ran]) -> None:
    before = make.files(Store.open(root))
    ran = run("repair", root)
    assert (ran.code, ran.out) == (0, "sound: there is nothing to mend\n")
    assert make.files(Store.open(root)) == before


@pytest.mark.filterwarnings("ignore::embedstore.snapshot.DegradedIndexWarning")
def test_what_is_derived_comes_back(root: Path, run: Callable[..., Ran]) -> None:
    next(root.glob("_encoder/*/spec.json")).write_bytes(b"{")
    for segment in root.glob("_index/segments/*"):
        (segment / "vectors.f16").write_bytes(b"")
    assert Store.open(root).verify()
    ran = run("repair", root)
    assert ran.code == 0, ran.err
    assert "spec.json was written again" in ran.out
    assert "the index was built anew" in ran.out
    assert Store.open(root).verify() == []


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_what_is_lost_is_named_forgotten_and_encoded_again(root: Path, run: Callable[..., Ran], how: str) -> None:
    store = Store.open(root)
    lost = store.table.files()[0]
    copy = root.parent / "copy.parquet"
    shutil.copy(root / lost.path, copy)
    if how == "gone":
        (root / lost.path).unlink()
    else:
        (root / lost.path).write_bytes(copy.read_bytes()[:-100])
    ran = run("repair", root, "--json")
    assert ran.code == 1
    (named,) = json.loads(ran.out)["lost"]
    assert (named["path"], named["rows"], len(named["ids"])) == (lost.path, lost.rows, lost.rows)
    assert Store.open(root).rows == 60, "a copy may still be put in its place"
    shutil.copy(copy, root / lost.path)
    assert run("repair", root).code == 0
    (root / lost.path).unlink()
    assert run("repair", root, "--forget-lost").code == 0
    left = Store.open(root)
    assert left.rows == 60 - lost.rows
    assert not left.held(named["ids"]).any()
    assert left.deletions == 1, "units of work are looked at again"
    assert left.append(make.chips(list(range(60)), box=BOX), unit="first, again") == lost.rows
    assert left.verify() == []


def test_what_cannot_be_read_is_not_forgotten(root: Path, run: Callable[..., Ran]) -> None:
    """It may be whole: a mount that is away, a permission that is missing."""
    lost = Store.open(root).table.files()[0]
    path = root / lost.path
    away = path.rename(root.parent / "away.parquet")
    path.mkdir()
    assert run("repair", root).code == 1
    ran = run("repair", root, "--forget-lost")
    assert ran.code == 1
    assert "cannot be read" in ran.err
    path.rmdir()
    away.rename(path)
    assert Store.open(root).rows == 60
    assert Store.open(root).verify() == []
