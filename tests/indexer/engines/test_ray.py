"""A real Ray on this machine does what the local engine does."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from embedstore.errors import RasterError
from indexer.encode import encode
from query import Engine
from query.fewshot import Labelled, classify_area
from tests.indexer import scenes
from tests.indexer.engines.tables import rows_of, same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from indexer.engines.base import Executor

BANDS = ["B02", "B03", "B04", "B08"]


class Deadly:
    """A worker that dies of an item, once or each time, fails with another, and counts what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self) -> Callable[[int], tuple[int, int]]:
        return self.work

    def work(self, item: int) -> tuple[int, int]:
        once = self.folder / "died"
        if item == 3 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        if item < 0:
            raise RasterError("below nought")
        return item * item, os.getpid()


def test_the_same_table_as_here(
    on_ray: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("indexer.chips.BLOCK", 16)
    paths = [scenes.write(tmp_path / f"scene{i}.tif", scenes.noise(seed=i)) for i in range(3)]
    encode(paths[:1], tmp_path / "here", chip_size=8, bands=BANDS)
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    scenes.damage(paths[2])
    here, there = encode(paths, tmp_path / "here"), encode(paths, tmp_path / "there", engine=on_ray)
    assert capfd.readouterr() == ("", "")
    assert here.already_there == there.already_there == 480
    assert [p for p, _ in there.scenes_failed] == [p for p, _ in here.scenes_failed] == [str(paths[2])]
    whole = [row.as_py()[0]["href"] != str(paths[2]) for row in rows_of(tmp_path / "here")["inputs"]]
    also = [row.as_py()[0]["href"] != str(paths[2]) for row in rows_of(tmp_path / "there")["inputs"]]
    assert sum(whole) == sum(also) == 960
    same(rows_of(tmp_path / "here").filter(whole), rows_of(tmp_path / "there").filter(also))


def test_a_lost_worker_costs_what_it_was_doing(
    on_ray: Executor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = dict(on_ray.map(Deadly(tmp_path), [0, 1, 2, 3, 4], ordered=True))
    assert {at: square for at, (square, _) in done.items()} == {i: i * i for i in range(5)}
    assert list(done) == sorted(done)
    assert capfd.readouterr() == ("", "")


def test_what_kills_every_worker_is_missing(on_ray: Executor, tmp_path: Path) -> None:
    assert sorted(at for at, _ in on_ray.map(Deadly(tmp_path), [0, 1, 5])) == [0, 1]


def test_errors_of_workers_are_raised_here(on_ray: Executor, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="below nought"):
        list(on_ray.map(Deadly(tmp_path), [-1]))


def test_the_same_classes_as_here(on_ray: Executor, own_store: Path, tmp_path: Path) -> None:
    with Engine(own_store) as engine:
        ids = sorted(rows_of(own_store)["id"].to_pylist())
        known = Labelled.read(engine, {name: "ab"[i % 2] for i, name in enumerate(ids[:9])})
        here = classify_area(engine, known, "forest", tmp_path / "here.parquet")
        there = classify_area(engine, known, "forest", tmp_path / "there.parquet", executor=on_ray)
    assert here == there
    assert pq.read_table(tmp_path / "here.parquet") == pq.read_table(tmp_path / "there.parquet")


@pytest.mark.slow
def test_a_lost_node_costs_what_it_was_doing(tmp_path: Path) -> None:
    paths = [scenes.write(tmp_path / f"scene{i}.tif", scenes.noise(seed=i)) for i in range(4)]
    command = [sys.executable, "-W", "ignore", "-m", "tests.indexer.engines.lose_a_node", str(tmp_path / "store")]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["slots"] == 2
    assert 0 < report["killed_at"] < 1920
    assert (report["chips"], report["scenes_failed"]) == (1920, [])
    encode(paths, tmp_path / "here", chip_size=8)
    same(rows_of(tmp_path / "here"), rows_of(tmp_path / "store"))
