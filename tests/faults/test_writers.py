"""Many at once: writers beside writers, readers beside vacuum, and clocks that jump."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.store import Store
from query import Engine
from tests.embedstore import make
from tests.faults.injected import held, litter

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import sys
from embedstore.store import Store
from tests.embedstore import make
root, number, appends, rows = sys.argv[1], *map(int, sys.argv[2:])
store = Store.open(root)
for i in range(appends):
    first = (number * appends + i) * rows
    added = store.append(make.chips(list(range(first, first + rows)), box=(10.0, 45.0, 11.0, 46.0)))
    assert added == rows, added
"""
ROWS = 3


def answers(path: Path) -> set[str]:
    """Return what search finds when it is asked for everything."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return set(Engine(path).search(np.ones(make.DIMENSION), k=10**6, recall="exact").ids)


@pytest.mark.parametrize(("writers", "appends"), [(4, 6), pytest.param(8, 100, marks=pytest.mark.slow)])
def test_all_writers_commit_all_that_they_append(tmp_path: Path, writers: int, appends: int) -> None:
    root = tmp_path / "s"
    make.store(root)
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(root), str(n), str(appends), str(ROWS)])
        for n in range(writers)
    ]
    assert [one.wait() for one in started] == [0] * writers
    rows = writers * appends * ROWS
    store = Store.open(root)
    assert store.rows == rows
    assert held(root) == {make.chip_id(i) for i in range(rows)} == answers(root)
    store.vacuum(grace_hours=0)
    assert litter(root) == []
    assert store.verify() == []
    assert answers(root) == held(root)


def test_a_reader_keeps_its_version_while_others_write_and_vacuum(tmp_path: Path) -> None:
    root = tmp_path / "s"
    store = make.store(root)
    for first in range(0, 60, 20):
        store.append(make.chips(list(range(first, first + 20)), box=(10.0, 45.0, 11.0, 46.0)))
    reader = Engine(root)
    before = reader.search(np.ones(make.DIMENSION), k=100, recall="exact")
    script = (
        "import sys; from embedstore.store import Store; from tests.embedstore import make\n"
        "s = Store.open(sys.argv[1])\n"
        "for i in range(0, 30, 3):\n"
        "    s.delete(ids=[make.chip_id(i), make.chip_id(i + 1)])\n"
        "    s.compact()\n"
        "    s.vacuum(grace_hours=1)\n"
        "    s.append(make.chips([1000 + i], box=(10.0, 45.0, 11.0, 46.0)))\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(root)])
    asked = 0
    while writer.poll() is None or not asked:
        now = reader.search(np.ones(make.DIMENSION), k=100, recall="exact")
        assert now.ids == before.ids
        assert now.to_arrow(geometry=True).equals(before.to_arrow(geometry=True)), "within the grace period"
        asked += 1
    assert writer.returncode == 0
    reader.refresh()
    fresh = reader.search(np.ones(make.DIMENSION), k=100, recall="exact")
    assert set(fresh.ids) == held(root) == answers(root)
    assert len(fresh) == 60 - 20 + 10


@pytest.mark.parametrize("jump", [-10 * 365 * 86_400, 10 * 365 * 86_400], ids=["back", "forward"])
def test_a_clock_that_jumps_deletes_nothing_that_is_needed(
    tmp_path: Path, jump: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "s"
    store = make.store(root)
    store.append(make.chips(list(range(30))))
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + jump)
    store.append(make.chips(list(range(30, 60))))
    store.delete(ids=[make.chip_id(0), make.chip_id(31)])
    for file in root.glob("_index/**/*"):
        os.utime(file, (real() + jump, real() + jump))
    store.vacuum(grace_hours=1)
    monkeypatch.setattr(time, "time", real)
    store.append(make.chips(list(range(60, 70))))
    store.compact()
    store.vacuum(grace_hours=1)
    expected = {make.chip_id(i) for i in range(70) if i not in (0, 31)}
    assert held(root) == expected == answers(root)
    assert store.verify() == []
