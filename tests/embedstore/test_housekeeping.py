from __future__ import annotations

import json
import math
import os
import time
from typing import TYPE_CHECKING

import pytest

from embedstore.errors import InputError, StorageError
from embedstore.log import commit_name
from embedstore.store import Store
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with superfluous files: each append and delete was rewritten by a compaction."""
    made = make.store(tmp_path / "s")
    for i in range(3):
        made.append(make.chips([3 * i, 3 * i + 1, 3 * i + 2], box=(10.0, 45.0, 10.1, 45.1)))
    made.delete(ids=[chip_id(0)])
    made.compact()
    return made


@pytest.mark.parametrize("grace", [-1.0, math.nan, math.inf])
def test_a_grace_period_that_makes_no_sense_deletes_nothing(store: Store, grace: float) -> None:
    before = make.files(store)
    with pytest.raises(InputError, match="grace period"):
        store.vacuum(grace)
    assert make.files(store) == before


def test_part_of_an_hour_is_no_less(store: Store) -> None:
    """Delta counts whole hours; half an hour is not none."""
    before = set(store.path.glob("h3_cell=*/*.parquet"))
    assert store.vacuum(grace_hours=0.5).data_files == 0
    assert set(store.path.glob("h3_cell=*/*.parquet")) == before
    assert store.vacuum(grace_hours=0).data_files > 0


def aged(store: Store, version: int, days: float) -> None:
    """Let a commit, and what it removed, be some days old."""
    name = commit_name(version)
    path, before = store.path / "_delta_log" / name, int((time.time() - days * 86_400) * 1000)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for action in lines:
        for of in action.values():
            of.update({key: before for key in ("timestamp", "deletionTimestamp") if key in of})
    path.write_text("\n".join(map(json.dumps, lines)))
    store.table._log.seal([name])


@pytest.mark.parametrize("summed_up", [False, True])
def test_a_long_grace_period_keeps_what_its_versions_need(tmp_path: Path, summed_up: bool) -> None:
    store = make.store(tmp_path / "s")
    for i in range(3):
        store.append(make.chips([i], box=(10.0, 45.0, 10.001, 45.001)))
    store.compact()
    for version, days in ((0, 60.0), (1, 59.0), (2, 58.0), (3, 57.0), (4, 10.0)):
        aged(store, version, days)
    for path in store.path.glob("h3_cell=*/*.parquet"):
        os.utime(path, (time.time() - 60 * 86_400,) * 2)
    store = Store.open(store.path)
    if summed_up:
        store.table.checkpoint()
        store = Store.open(store.path)
    assert store.vacuum(grace_hours=30 * 24).data_files == 0
    assert Store.open(store.path, 3).snapshot().rows == 3
    assert store.vacuum(grace_hours=9 * 24).data_files == 3
    assert Store.open(store.path).snapshot().rows == 3


def test_old_index_files_go_and_young_ones_stay(store: Store) -> None:
    left = store.catalog.folder / ("ab" * 16)
    for path, hours in ((left, 3.0), (store.catalog.segments / ("cd" * 16), 1.0)):
        path.mkdir()
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    assert store.vacuum(grace_hours=2).index_files == 1
    assert not left.exists()
    assert (store.catalog.segments / ("cd" * 16)).exists()
    assert store.verify() != [], "a folder that is no segment"
    store.vacuum(grace_hours=0)
    assert store.verify() == []


def test_a_file_that_another_vacuum_removed_is_passed_over(store: Store) -> None:
    (store.catalog.moves / "gone-by-then.arrow").symlink_to(store.path / "nowhere")
    assert store.catalog.moves / "gone-by-then.arrow" not in store.home.glob("_index/moves/*")
    store.vacuum(grace_hours=0)


def test_a_refused_removal_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.catalog.moves / f"{'ab' * 16}-x.arrow").write_text("left by a writer that died")

    def refuse(_: Path) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store.home, "remove", refuse)
    with pytest.raises(StorageError, match=r"could not vacuum the index at .* Permission denied"):
        store.vacuum(grace_hours=0)


def test_what_the_newest_version_needs_is_kept(store: Store) -> None:
    store.vacuum(grace_hours=0)
    again = Store.open(store.path)
    assert again.held([chip_id(i) for i in range(10)]).tolist() == [False] + [True] * 8 + [False]
    assert not again.snapshot().uncovered
    assert again.vacuum(grace_hours=0).to_dict() == {"data_files": 0, "index_files": 0}


def test_at_a_glance(store: Store) -> None:
    info = store.info()
    assert (info["rows"], info["files"], info["partitions"]) == (8, 1, 1)
    assert info["bytes"] == sum(f.size for f in store.table.files())
    assert info["encoder"]["fingerprint"] == store.encoder.fingerprint
    assert info["index"] == {
        "live": None, "factory": None, "segments": 3, "indexed_rows": 0, "flat_rows": 8, "uncovered_rows": 0,
        "faults": [],
    }  # fmt: skip
