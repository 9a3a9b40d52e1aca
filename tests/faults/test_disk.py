"""A disk that is full or read-only: one clear error, and nothing that was committed is lost."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import StorageError
from embedstore.store import Store
from indexer.build import build
from query import Engine
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield mounted
    subprocess.run(["umount", "-l", str(mounted)], check=True)


def test_a_full_disk_loses_nothing(disk: Path) -> None:
    store = make.store(disk / "s")
    kept, refusal = 0, ""
    for i in range(100):
        try:
            kept += store.append(make.chips(list(range(200 * i, 200 * i + 200))))
        except StorageError as error:
            refusal = str(error)
            break
    assert "could not" in refusal
    assert "\n" not in refusal
    assert kept >= 200
    found = Store.open(disk / "s")
    assert found.rows == kept
    assert len(Engine(disk / "s").search(np.ones(make.DIMENSION), k=10**6)) == kept
    assert found.verify() == []


def test_a_read_only_disk_can_be_searched_and_not_written(disk: Path) -> None:
    make.store(disk / "s").append(make.chips(list(range(100))))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert Engine(disk / "s").search(id=make.chip_id(5)).ids[0] == make.chip_id(5)
    store = Store.open(disk / "s")
    assert store.verify() == []
    for change in (
        lambda: store.append(make.chips(["new"])),
        lambda: store.delete(ids=[make.chip_id(1)]),
        lambda: build(disk / "s"),
        lambda: make.store(disk / "other"),
    ):
        with pytest.raises(StorageError, match=r"[Rr]ead-only"):
            change()
