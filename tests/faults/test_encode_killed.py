"""Encoding killed and resumed, and encoded by two processes at once: every chip once, and the same vectors."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore import segment_rows
from embedstore.geoparquet import read_part
from embedstore.store import Store

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import sys
from indexer import chips, commits
chips.BLOCK, commits.PAUSE = 8, 0  # small units, each with a commit of its own, so that there is much to die between
from indexer.encode import encode
report = encode([sys.argv[1]], sys.argv[2], chip_size=16, stride=8, bands=["B02", "B03", "B04", "B08"])
print(report.chips, report.already_there)
"""
CHIPS = 39 * 39


def start(scene: Path, store: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(scene), str(store)], stdout=subprocess.PIPE, text=True)


def commits(store: Path) -> int:
    return len(list(store.glob("_delta_log/*.json")))


def contents(path: Path) -> dict[str, np.ndarray]:
    store = Store.open(path)
    out = {}
    for file in store.table.files():
        table = read_part(store.path / file.path, ["id", "embedding"])
        vectors = segment_rows.matrix(table["embedding"], store.encoder.dimension)
        for name, vector in zip(table["id"].to_pylist(), vectors, strict=True):
            assert name not in out, "an id twice"
            out[name] = vector
    return out


@pytest.fixture(scope="module")
def whole(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What an undisturbed run stores."""
    path = tmp_path_factory.mktemp("whole") / "s"
    start(scene, path).communicate()
    found = contents(path)
    assert len(found) == CHIPS
    return found


@pytest.mark.parametrize("kills", [1, pytest.param(25, marks=pytest.mark.slow)])
def test_a_killed_run_is_resumed_without_loss_or_double(
    scene: Path, whole: dict[str, np.ndarray], tmp_path: Path, kills: int
) -> None:
    rng = random.Random(kills)
    path = tmp_path / "s"
    for kill in range(kills):
        before = commits(path)
        child = start(scene, path)
        target = before + (rng.randrange(0, 3) if kill else 4)
        while child.poll() is None and commits(path) < target:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.05))
        child.kill()
        child.communicate()
        if commits(path):
            kept = contents(path)
            assert kept.keys() <= whole.keys()
            assert all(np.allclose(kept[i], whole[i], atol=1e-3) for i in kept)
    last = start(scene, path)
    said, _ = last.communicate()
    assert last.returncode == 0
    written, there = map(int, said.split())
    assert written + there == CHIPS
    assert there > 0, "what was committed is not done again"
    found = contents(path)
    assert found.keys() == whole.keys()
    assert all(np.allclose(found[i], whole[i], atol=1e-3) for i in found)
    assert Store.open(path).verify() == []


def test_two_processes_on_one_scene_store_every_chip_once(
    scene: Path, whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "s"
    both = [start(scene, path) for _ in range(2)]
    said = [child.communicate()[0].split() for child in both]
    assert [child.returncode for child in both] == [0, 0]
    assert sum(int(written) for written, _ in said) == CHIPS, "each chip is written by exactly one of them"
    found = contents(path)
    assert found.keys() == whole.keys()
    assert Store.open(path).verify() == []
