"""The seals of the Delta log: damage to it is told, and what others commit is no damage."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction

from embedstore.errors import DamageError, NotAStoreError
from embedstore.log import POINTER, checkpoint_name, commit_name
from embedstore.store import Store
from embedstore.table import Table
from tests.embedstore import make
from tests.query.cli.conftest import Ran, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["run"]
BOX = (10.0, 45.0, 10.1, 45.1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of versions 0 to 5 whose log was summed up at version 3; version 5 deletes."""
    monkeypatch.setattr("embedstore.table.CHECKPOINT", 3)
    store = make.store(tmp_path / "s")
    for i in range(4):
        store.append(make.chips(list(range(5 * i, 5 * i + 5)), box=BOX))
    store.delete(ids=[make.chip_id(1)])
    assert store.verify() == []
    return tmp_path / "s"


def seals(root: Path) -> set[str]:
    """Return the names of the files that are sealed."""
    return {path.name.rpartition("-")[0] for path in (root / "_log").iterdir()}


def foreign_commit(root: Path, application: str) -> None:
    """Commit as another library does, which knows of no seals."""
    table = DeltaTable(root)
    properties = CommitProperties(app_transactions=[Transaction(application, 1)])
    table.create_write_transaction([], "append", table.schema(), ["h3_cell"], commit_properties=properties)


def test_every_file_of_the_log_is_sealed(root: Path) -> None:
    Store.open(root).vacuum(grace_hours=0)
    assert seals(root) == {path.name for path in (root / "_delta_log").iterdir()}
    assert {commit_name(5), checkpoint_name(3), POINTER} <= seals(root)
    assert all(path.stat().st_size == 0 for path in (root / "_log").iterdir())


@pytest.mark.parametrize("name", [commit_name(4), commit_name(5), checkpoint_name(3)])
@pytest.mark.parametrize("how", ["byte", "emptied", "cut", "swapped", "missing", "folder"])
def test_a_log_that_is_not_what_was_sealed_is_not_opened(
    root: Path, name: str, how: str, run: Callable[..., Ran]
) -> None:
    path = root / "_delta_log" / name
    whole = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        other = root / "_delta_log" / commit_name(1)
        flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
        path.write_bytes({"byte": flipped, "emptied": b"", "cut": whole[:-1], "swapped": other.read_bytes()}[how])
    with pytest.raises(DamageError, match=name):
        Store.open(root)
    ran = run("verify", root)
    assert ran.code == 1
    assert name in ran.out + ran.err


@pytest.mark.parametrize("name", [commit_name(1), POINTER])
@pytest.mark.parametrize("how", ["byte", "missing"])
def test_a_file_that_the_newest_version_does_without_is_named_by_verify(root: Path, name: str, how: str) -> None:
    path = root / "_delta_log" / name
    if how == "missing" and name != POINTER:
        return  # other libraries may remove commits before a checkpoint
    whole = path.read_bytes()
    path.unlink()
    if how == "byte":
        path.write_bytes(whole.replace(b"1", b"2", 1))
    store = Store.open(root)
    assert store.rows == 19
    assert any(name in fault for fault in store.verify())


def test_an_older_version_is_opened_without_what_came_after(root: Path) -> None:
    (root / "_delta_log" / commit_name(5)).write_bytes(b"")
    assert Store.open(root, version=4).rows == 20
    (root / "_delta_log" / commit_name(1)).write_bytes(b"{}")
    with pytest.raises(DamageError, match=commit_name(1)):
        Store.open(root, version=2)


def test_a_reader_does_not_move_on_to_a_damaged_commit(root: Path) -> None:
    reader = Table(root)
    Store.open(root).append(make.chips(["new"], box=BOX))
    path = root / "_delta_log" / commit_name(6)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"add"', b'"bdd"'))
    for _ in range(2):
        with pytest.raises(DamageError, match=commit_name(6)):
            reader.refresh()
        assert reader.version == 5
    path.write_bytes(whole)
    reader.refresh()
    assert reader.version == 6


@pytest.mark.parametrize("names", [[checkpoint_name(3)], [POINTER], [checkpoint_name(3), POINTER]])
@pytest.mark.parametrize("how", ["emptied", "missing"])
def test_a_damaged_checkpoint_is_given_up(root: Path, names: list[str], how: str, run: Callable[..., Ran]) -> None:
    for name in names:
        path = root / "_delta_log" / name
        path.unlink() if how == "missing" else path.write_bytes(b"")
    ran = run("repair", root)
    assert ran.code == 0, ran
    assert all(name in ran.out for name in names)
    assert Store.open(root).rows == 19
    assert Store.open(root).verify() == []
    assert run("repair", root).out == "sound: there is nothing to mend\n"


def test_a_checkpoint_is_not_given_up_without_its_commits(root: Path, run: Callable[..., Ran]) -> None:
    (root / "_delta_log" / commit_name(1)).unlink()
    (root / "_delta_log" / checkpoint_name(3)).write_bytes(b"")
    ran = run("repair", root)
    assert ran.code == 1
    assert checkpoint_name(3) in ran.err
    assert (root / "_delta_log" / checkpoint_name(3)).exists()


def test_a_store_without_seals_opens_and_is_sealed_by_the_next_writer(root: Path) -> None:
    shutil.rmtree(root / "_log")
    assert Store.open(root).verify() == []
    assert not (root / "_log").exists(), "readers write nothing"
    Store.open(root).append(make.chips(["new"], box=BOX))
    assert {checkpoint_name(3), commit_name(4), commit_name(5), commit_name(6)} <= seals(root)


def test_commits_of_others_are_believed_and_then_sealed(root: Path) -> None:
    reader, writer = Table(root), Store.open(root)
    foreign_commit(root, "theirs")
    reader.refresh()
    assert reader.version == 6
    assert Store.open(root).verify() == []
    assert commit_name(6) not in seals(root)
    writer.append(make.chips(["new"], box=BOX))
    assert {commit_name(6), commit_name(7)} <= seals(root)
    path = root / "_delta_log" / commit_name(6)
    path.write_bytes(path.read_bytes().replace(b"theirs", b"tbeirs"))
    assert any(commit_name(6) in fault for fault in Store.open(root).verify())


def test_a_log_that_others_shorten_is_no_damage(root: Path) -> None:
    for version in range(4):
        (root / "_delta_log" / commit_name(version)).unlink()
    store = Store.open(root)
    assert store.verify() == []
    store.vacuum()
    assert seals(root) == {path.name for path in (root / "_delta_log").iterdir()}


def test_a_store_whose_log_is_gone_is_not_made_anew(root: Path) -> None:
    shutil.rmtree(root / "_delta_log")
    for attempt in (lambda: Store.open(root), lambda: make.store(root)):
        with pytest.raises(DamageError, match=commit_name(5)):
            attempt()
    shutil.rmtree(root / "_log")
    with pytest.raises(NotAStoreError):
        Store.open(root)


def test_a_disk_that_takes_no_seal_refuses_no_commit(root: Path) -> None:
    shutil.rmtree(root / "_log")
    (root / "_log").write_text("in the way")
    store = Store.open(root)
    assert store.append(make.chips(["new"], box=BOX)) == 1
    (root / "_log").unlink()
    assert store.append(make.chips(["newer"], box=BOX)) == 1
    assert {commit_name(4), commit_name(5), commit_name(7)} <= seals(root)
