from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from embedstore import segment_rows
from embedstore.errors import (
    DamageError,
    EncoderMismatchError,
    InputError,
    NotAStoreError,
    SpecError,
    StoreExistsError,
    UnknownIdError,
)
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path


def contents(store: Store) -> dict[str, np.ndarray]:
    """Id → vector of every row that the store's segments show."""
    snapshot = store.snapshot()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedIndexWarning)
        snapshot.rescue()
    out = {}
    for piece in snapshot.pieces:
        rows = piece.live_rows()
        for i, v in zip(piece.segment.take("id", rows), piece.segment.take_vectors(rows), strict=True):
            assert bytes(i).hex() not in out
            out[bytes(i).hex()] = v
    return out


def test_append_then_open_gives_every_row_once(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    assert store.append(make.chips(list(range(500)))) == 500
    again = Store.open(tmp_path / "s")
    assert again.rows == 500
    assert set(contents(again)) == {chip_id(i) for i in range(500)}
    assert again.verify() == []
    table = make.chips(list(range(500)))
    vectors = segment_rows.matrix(table["embedding"], make.DIMENSION)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for i, v in zip(table["id"].to_pylist(), vectors, strict=True):
        assert np.abs(contents(again)[i].astype(np.float32) - v).max() < 1e-3
        break


def test_append_is_idempotent_by_id(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips([1, 2, 3]))
    assert store.append(make.chips([2, 3, 4, 4])) == 1
    assert store.rows == 4
    assert store.version == 2
    assert store.append(make.chips([1, 4])) == 0
    assert store.version == 2, "nothing to add makes no commit"


def test_units_that_share_a_commit_are_all_recorded_or_none(tmp_path: Path) -> None:
    store, other = make.store(tmp_path / "s"), Store.open(tmp_path / "s")
    assert store.append_units([("a", make.chips([1, 2])), ("b", make.chips([2, 3])), (None, make.chips([4]))]) == 4
    assert store.version == 1
    assert other.unit_done("a")
    assert other.unit_done("b")
    assert store.delete(ids=[make.chip_id(1)]) == 1
    assert other.append_units([("a", make.chips([1, 2])), ("c", make.chips([3, 5]))]) == 1, "a is done, 3 is there"
    assert other.append_units([("a", make.chips([1])), ("c", make.chips([1]))]) == 0
    assert other.rows == 4
    with pytest.raises(SpecError, match="hexadecimal"):
        other.append_units([("d", make.chips([6])), ("e", make.chips([7]).set_column(0, "id", [["not hex"]]))])
    assert not other.unit_done("d")
    assert other.verify() == []


def test_a_unit_is_committed_once(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    assert store.append(make.chips([1, 2]), unit="u") == 2
    assert store.unit_done("u")
    assert not store.unit_done("v")
    assert store.append(make.chips([3]), unit="u") == 0
    assert store.append(make.chips([]), unit="empty") == 0
    assert Store.open(tmp_path / "s").unit_done("empty")


def test_two_writers_that_began_together_commit_each_id_once(tmp_path: Path) -> None:
    one = make.store(tmp_path / "s")
    two = Store.open(tmp_path / "s")
    two.snapshot()
    assert one.append(make.chips([1, 2, 3])) == 3
    assert two.append(make.chips([2, 3, 4])) == 1
    assert one.append(make.chips([1, 5]), unit="u") == 1
    assert two.append(make.chips([6]), unit="u") == 0
    assert Store.open(tmp_path / "s").rows == 5


@pytest.mark.parametrize("how", ["ids", "within", "item"])
def test_deleted_rows_are_gone_and_the_rest_is_found(tmp_path: Path, how: str) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(200))))
    store.append(make.chips(list(range(200, 300)), item="other", box=(20.0, 45.0, 21.0, 46.0)))
    before = contents(store)
    if how == "ids":
        gone = {chip_id(i) for i in (3, 250, 17)}
        assert store.delete(ids=gone) == 3
    elif how == "within":
        assert store.delete(within=[19, 44, 22, 47]) == 100
        gone = {chip_id(i) for i in range(200, 300)}
    else:
        assert store.delete(item="other") == 100
        gone = {chip_id(i) for i in range(200, 300)}
    after = contents(Store.open(tmp_path / "s"))
    assert set(after) == set(before) - gone
    assert all((after[i] == before[i]).all() for i in after)
    assert not store.snapshot().uncovered, "row maps keep rows in their segments"
    assert store.verify() == []
    assert store.deletions == 1
    assert Store.open(tmp_path / "s", version=2).rows == 300


def test_a_deleted_id_can_come_back(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips([1, 2, 3]))
    store.delete(ids=[chip_id(2)])
    assert store.append(make.chips([1, 2, 3])) == 1
    assert store.verify() == []


def test_delete_compact_delete_keeps_rows_findable(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    for i in range(6):
        store.append(make.chips(list(range(50 * i, 50 * i + 50))))
    store.delete(ids=[chip_id(7), chip_id(120)])
    report = store.compact()
    assert report.files_after < report.files_before
    store.delete(ids=[chip_id(8), chip_id(121)])
    store.compact()
    reopened = Store.open(tmp_path / "s")
    assert not reopened.snapshot().uncovered
    assert set(contents(reopened)) == {chip_id(i) for i in range(300)} - {chip_id(i) for i in (7, 8, 120, 121)}
    assert reopened.verify() == []
    assert reopened.append(make.chips([7, 9])) == 1


def test_many_appends_merge_into_few_segments(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    for i in range(40):
        store.append(make.chips([3 * i, 3 * i + 1, 3 * i + 2]))
    assert len(store.snapshot().pieces) <= 16
    assert set(contents(Store.open(tmp_path / "s"))) == {chip_id(i) for i in range(120)}
    assert store.verify() == []


def test_vacuum_removes_what_nothing_needs(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    for i in range(20):
        store.append(make.chips([2 * i, 2 * i + 1]))
    store.compact()
    (tmp_path / "s/_index/segments/.draft-left").mkdir()
    kept = store.vacuum()
    assert (kept.data_files, kept.index_files) == (0, 0), "all within the grace period"
    assert store.vacuum(grace_hours=0).data_files > 0
    assert not (tmp_path / "s/_index/segments/.draft-left").exists()
    reopened = Store.open(tmp_path / "s")
    assert set(contents(reopened)) == {chip_id(i) for i in range(40)}
    assert not reopened.snapshot().uncovered
    assert reopened.verify() == []


def test_a_lost_index_costs_no_row(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(100))))
    shutil.rmtree(tmp_path / "s/_index")
    reopened = Store.open(tmp_path / "s")
    with pytest.warns(DegradedIndexWarning, match="100 rows"):
        reopened.snapshot().rescue()
    assert set(contents(reopened)) == {chip_id(i) for i in range(100)}
    assert reopened.append(make.chips([5, 100])) == 1, "ids are still known without an index"
    assert any("missing" in fault for fault in reopened.verify())


def test_find_and_fetch(tmp_path: Path) -> None:
    from embedstore.snapshot import id_bytes

    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(300))))
    store.delete(ids=[chip_id(5)])
    snapshot = store.snapshot()
    wanted = [chip_id(i) for i in (1, 299, 5, 42, 1000)]
    ((piece, at, rows),) = snapshot.find(id_bytes(wanted))
    assert [wanted[i] for i in at] == [chip_id(1), chip_id(299), chip_id(42)]
    files, places = snapshot.place(piece, rows)
    assert snapshot.fetch(files, places, ["id"], [wanted[i] for i in at])["id"].to_pylist() == [wanted[i] for i in at]
    with pytest.raises(DamageError, match="other rows"):
        snapshot.fetch(files, places, ["h3"], [wanted[0]] * len(at))


def test_bad_chips_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    good = make.chips([1, 2])
    with pytest.raises(EncoderMismatchError, match="8"):
        store.append(make.chips([1], dimension=8))
    with pytest.raises(SpecError, match="embedding"):
        store.append(good.drop_columns(["embedding"]))
    with pytest.raises(SpecError, match="32"):
        store.append(good.set_column(0, "id", pa.array(["x", "y"])))
    nan = make.chips([1, 2]).set_column(8, "embedding", pa.array([[float("nan")] * 16] * 2, pa.list_(pa.float32())))
    with pytest.raises(InputError, match="NaN"):
        store.append(nan)
    assert store.version == 0


def test_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError, match="no store"):
        Store.open(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotAStoreError, match="file"):
        Store.open(tmp_path / "file")
    with pytest.raises(NotAStoreError, match="file"):
        make.store(tmp_path / "file")
    store = make.store(tmp_path / "s")
    with pytest.raises(StoreExistsError):
        make.store(tmp_path / "s")
    with pytest.raises(NotAStoreError, match="version 9"):
        Store.open(tmp_path / "s", version=9)
    store.append(make.chips([1]))
    with pytest.raises(UnknownIdError):
        store.delete(ids=["00" * 16])
    with pytest.raises(InputError):
        store.delete()
