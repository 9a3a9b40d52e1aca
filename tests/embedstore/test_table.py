from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from embedstore import home
from embedstore.append import prepare
from embedstore.errors import NotAStoreError, StorageError, StoreExistsError
from embedstore.geoparquet import Part, write_part
from embedstore.home import Folder
from embedstore.store import Store
from embedstore.table import APPENDS, Table
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path


def part(table: Table, names: list[object]) -> Part:
    rows = prepare(make.chips(names, box=(10, 45, 10.001, 45.001)), make.ENCODER, make.GRID)
    cell = rows["h3_cell"][0].as_py()
    return write_part(table.root, cell, "ab" * 16, rows.drop_columns(["h3_cell"]), make.ENCODER)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    (tmp_path / "t").mkdir()
    return Table.create(tmp_path / "t", make.ENCODER, make.GRID)


def test_of_two_commits_that_name_one_application_the_second_is_refused(table: Table) -> None:
    other = Table(table.root)
    assert table.commit([part(table, [1])], [], {APPENDS: 1, "unit": 1})
    assert not other.commit([part(table, [2])], [], {APPENDS: 1})
    other.refresh()
    assert (other.application(APPENDS), other.application("unit"), other.application("else")) == (1, 1, 0)
    assert [f.rows for f in other.files()] == [1]
    assert other.commit([part(table, [2, 3])], [], {APPENDS: 2})
    assert sorted(f.rows for f in other.files()) == [1, 2]


def test_commits_that_do_not_touch_each_other_both_stand(table: Table) -> None:
    other = Table(table.root)
    assert table.commit([part(table, [1])], [], {"one": 1})
    assert other.commit([part(table, [2])], [], {"other": 1})
    assert (other.version, other.application("one"), len(other.files())) == (2, 1, 2)


def test_of_two_commits_that_remove_one_file_the_second_is_refused(table: Table) -> None:
    table.commit([part(table, [1])], [], {})
    other = Table(table.root)
    (file,) = table.files()
    assert table.commit([], [file], {"one": 1})
    assert not other.commit([], [file], {"other": 1})
    assert not other.commit([part(table, [2])], [file], {}, changes_data=False)
    other.refresh()
    assert other.files() == []


def test_commits_of_others_in_between_are_made_durable_too(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Table(table.root)
    for i in range(3):
        assert other.commit([], [], {f"other {i}": 1})
    synced = []
    monkeypatch.setattr(home, "sync_file", lambda path: synced.append(path.name))
    assert table.commit([], [], {"mine": 1})
    assert synced == [f"{version:020}.json" for version in (1, 2, 3, 4)]


def test_a_refused_checkpoint_is_no_refused_commit(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedstore.table.CHECKPOINT", 3)
    pointer = table.root / "_delta_log/_last_checkpoint"
    pointer.mkdir()
    for i in range(4):
        assert table.commit([], [], {"mine": i + 1})
    pointer.rmdir()
    for i in range(4, 6):
        assert table.commit([], [], {"mine": i + 1})
    assert pointer.is_file()
    assert Table(table.root).application("mine") == 6


def test_a_refusal_is_one_line(table: Table) -> None:
    (table.root / "_delta_log").rename(table.root / "moved")
    (table.root / "_delta_log").write_text("in the way")
    with pytest.raises(StorageError, match="whether it stands cannot be told") as caught:
        table.commit([], [], {})
    assert str(caught.value).isprintable()


def test_a_log_without_a_commit_is_no_table(tmp_path: Path) -> None:
    """A process that died while it made a store left the folder; the next may go on."""
    root = tmp_path / "s"
    (root / "_delta_log").mkdir(parents=True)
    assert not Folder(root).has_table()
    with pytest.raises(NotAStoreError, match="no store"):
        Store.open(root)
    assert make.store(root).append(make.chips([1])) == 1
    with pytest.raises(StoreExistsError):
        Table.create(root, make.ENCODER, make.GRID)


def test_a_path_that_the_disk_refuses(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"could not open a store .* too long"):
        Store.open(tmp_path / ("x" * 300))


@pytest.mark.parametrize("version", [-1, 7, 2**70])
def test_a_version_that_is_not_there(table: Table, version: int) -> None:
    with pytest.raises(NotAStoreError, match=f"at version {version}"):
        Table(table.root, version)


def test_the_table_of_somebody_else(tmp_path: Path) -> None:
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "t", pa.table({"x": [1]}))
    with pytest.raises(NotAStoreError, match="was not made by embedstore"):
        Table(tmp_path / "t")


def test_an_older_version_shows_its_files(table: Table) -> None:
    table.commit([part(table, [1])], [], {})
    table.commit([part(table, [2])], table.files(), {})
    assert Table(table.root, 0).files() == []
    one, two = Table(table.root, 1).files(), Table(table.root, 2).files()
    assert one != two
    assert len(one) == len(two) == 1
    assert Table(table.root, 1).encoder == make.ENCODER


def test_a_commit_that_the_disk_does_not_confirm_stands_and_says_so(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(home, "sync_file", refuse)
    with pytest.raises(StorageError, match=r"version 1 .* stands"):
        table.commit([part(table, [1])], [], {})
    assert [f.rows for f in Table(table.root).files()] == [1]
