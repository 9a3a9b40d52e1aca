"""Units gathered: each commit rests in proportion to what it took, and nothing that was finished is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from embedstore.errors import RasterError, StorageError
from indexer import commits
from indexer.commits import Commits
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

    from embedstore.store import Store

LONG = 1e9


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make.store(tmp_path / "s")


def add(to: Commits, first: int, count: int) -> None:
    to.add(f"unit-{first}", make.chips(list(range(first, first + count))))


@pytest.mark.parametrize(("pause", "made"), [(0.0, 4), (LONG, 2)])
def test_commits_rest(store: Store, monkeypatch: pytest.MonkeyPatch, pause: float, made: int) -> None:
    monkeypatch.setattr(commits, "PAUSE", pause)
    with Commits(store) as to:
        for first in (0, 5, 10, 12):
            add(to, first, 5)
    assert store.version == made
    assert (to.written, to.already) == (17, 3)
    assert all(store.unit_done(f"unit-{first}") for first in (0, 5, 10, 12))
    assert store.verify() == []


def test_rows_do_not_pile_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "PAUSE", LONG)
    monkeypatch.setattr(commits, "MOST_ROWS", 10)
    with Commits(store) as to:
        for first in range(0, 25, 5):
            add(to, first, 5)
        assert store.rows == 25, "the first at once, then ten and ten"
    assert store.version == 3


def test_what_is_finished_is_kept_when_something_else_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "PAUSE", LONG)

    def work() -> None:
        with Commits(store) as to:
            add(to, 0, 3)
            add(to, 3, 3)
            raise RasterError("another scene is damaged")

    with pytest.raises(RasterError):
        work()
    assert store.rows == 6


def test_a_store_that_refused_is_not_asked_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(_: object) -> int:
        asked.append(1)
        raise StorageError("the disk is full")

    monkeypatch.setattr(store, "append_units", refuse)

    def work() -> None:
        with Commits(store) as to:
            add(to, 0, 3)

    with pytest.raises(StorageError):
        work()
    assert asked == [1]
