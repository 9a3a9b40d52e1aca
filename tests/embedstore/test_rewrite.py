"""Deletes and compactions that are refused leave nothing behind; rows on the edge of an area go with it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from embedstore import rewrite, rowmap
from embedstore.errors import ConflictError, InputError, StorageError
from embedstore.store import Store
from embedstore.table import Table
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two files in each of several partitions."""
    made = make.store(tmp_path / "s")
    made.append(make.chips(list(range(30))))
    made.append(make.chips(list(range(30, 60))))
    return made


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def refuse(point: str, patch: pytest.MonkeyPatch) -> None:
    if point == "row map":
        patch.setattr(rowmap, "write_bytes", full)
        return
    real, left = rewrite.write_part, [1 if point == "second file" else 0]

    def write_part(*args: Any) -> Any:
        if not left[0]:
            full()
        left[0] -= 1
        return real(*args)

    patch.setattr(rewrite, "write_part", write_part)


@pytest.mark.parametrize(
    ("change", "point"),
    [
        ("delete", "first file"),
        ("delete", "second file"),
        ("delete", "row map"),
        ("compact", "first file"),
        ("compact", "row map"),
    ],
)
def test_a_refused_change_leaves_no_file(
    store: Store, monkeypatch: pytest.MonkeyPatch, point: str, change: str
) -> None:
    before, version = make.files(store), store.version
    with monkeypatch.context() as patch:
        refuse(point, patch)
        with pytest.raises(StorageError, match="No space left"):
            _ = store.compact() if change == "compact" else store.delete(ids=[chip_id(i) for i in range(10)])
    moves = "_index/moves"
    assert make.files(store) - {moves} == before - {moves}
    assert store.version == version
    assert Store.open(store.path).verify() == []


@pytest.mark.parametrize("change", ["delete", "compact"])
def test_a_lost_race_leaves_no_file(store: Store, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    store.delete(ids=[chip_id(59)])
    before = make.files(store)
    with monkeypatch.context() as patch:
        patch.setattr(rewrite, "ATTEMPTS", 2)
        patch.setattr(Table, "commit", lambda *_args, **_kwargs: False)
        with pytest.raises(ConflictError, match="other writers"):
            _ = store.compact() if change == "compact" else store.delete(ids=[chip_id(1)])
    assert make.files(store) == before
    assert store.rows == 59


def test_two_deletes_that_began_together_both_happen(store: Store) -> None:
    other = Store.open(store.path)
    other.snapshot()
    assert store.delete(ids=[chip_id(1), chip_id(40)]) == 2
    assert other.delete(ids=[chip_id(2), chip_id(41)]) == 2
    assert other.delete(item="scene") == 56
    store.refresh()
    assert store.rows == 0
    assert store.deletions == 3
    assert store.verify() == []


def test_a_row_on_the_edge_is_deleted(store: Store) -> None:
    """As the filter finds it."""
    snapshot = store.snapshot()
    segment = snapshot.pieces[0].segment
    lon, lat = float(segment.column("lon")[0]), float(segment.column("lat")[0])
    for area in ((lon, lat - 1, lon + 1, lat + 1), (lon - 1, lat, lon + 1, lat + 1)):
        on_edge = [bytes(segment.column("id")[0]).hex()]
        assert store.held(on_edge).all()
        assert store.delete(within=area) > 0
        assert not store.held(on_edge).any()
        store.append(make.chips(list(range(60))))


def test_an_id_given_twice_is_one_row(store: Store) -> None:
    one = chip_id(3)
    assert store.delete(ids=[one, one, one.upper()]) == 1
    assert store.rows == 59
    assert store.delete(ids=[]) == 0


def of_scene(chips: pa.Table, item: str, href: str) -> pa.Table:
    """Return chips as if they were made from another scene."""
    inputs = [[{**one, "item": item, "href": href} for one in row] for row in chips["inputs"].to_pylist()]
    field = chips.schema.field("inputs")
    return chips.set_column(chips.schema.get_field_index("inputs"), field, pa.array(inputs, field.type))


def test_a_scene_goes_by_the_name_of_its_file_unless_two_have_it(store: Store) -> None:
    for start, item, href in (
        (100, "sha256:aa", "/archive/2019/a.tif"),
        (110, "sha256:bb", "b.tif"),
        (120, "sha256:cc", "s3://other/b.tif"),
        (130, "S2A", "/archive/c.tif"),
    ):
        store.append(of_scene(make.chips(list(range(start, start + 5))), item, href))
    assert store.delete(item="a.tif") == 5
    with pytest.raises(InputError, match="sha256:bb, sha256:cc"):
        store.delete(item="b.tif")
    assert store.delete(item="sha256:cc") == 5
    assert store.delete(item="b.tif") == 5
    assert store.delete(item="c.tif") == 0, "an Item goes by its id"
    assert store.delete(item="S2A") == 5
    assert store.rows == 60


def test_exactly_one_way_to_say_what(store: Store) -> None:
    with pytest.raises(InputError, match="exactly one"):
        store.delete(ids=[chip_id(1)], item="scene")
    assert store.delete(item="unknown") == 0
    assert store.delete(within=(0, 0, 1, 1)) == 0
    assert store.deletions == 0


def test_files_are_grouped_up_to_the_target(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files = store.table.files()
    size = max(f.size for f in files)
    monkeypatch.setattr(rewrite, "TARGET_BYTES", 2 * size + 2)
    groups = rewrite._groups([*files, *files[:1]])
    assert all(len(g) > 1 and sum(f.size for f in g) <= 2 * size + 2 for g in groups)
    monkeypatch.setattr(rewrite, "TARGET_BYTES", 2)
    assert rewrite._groups(files) == [], "files of half the target are left alone"
