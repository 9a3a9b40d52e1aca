"""What is done to a store while faults strike: small, and by every path that changes files."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstore import housekeeping
from embedstore.store import Store
from tests.embedstore import make
from tests.indexer import scenes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCENE = "scene.tif"


@dataclass(frozen=True)
class Operation:
    """One thing that is done.

    Parameters
    ----------
    prepare
        Makes the store that it is done to, at a path.
    run
        Does it; done again, it completes what was not done.
    in_steps
        Whether it commits more than once, so that a part of what it adds may be there.
    """

    prepare: Callable[[Path], object]
    run: Callable[[Path], object]
    in_steps: bool = False


def _appended(path: Path, rows: int = 60, appends: int = 3) -> Store:
    store = make.store(path)
    for part in np.array_split(np.arange(rows), appends):
        store.append(make.chips(part.tolist(), box=(10.0, 45.0, 11.0, 46.0)))
    return store


def _deleted(path: Path) -> Store:
    """A store with a row map and files that no version but an old one names."""
    store = _appended(path)
    store.delete(ids=[make.chip_id(i) for i in range(5)])
    return store


def _littered(path: Path) -> None:
    """A store with all that a vacuum finds: old files, an old segment, drafts of writers that died."""
    store = _deleted(path)
    store.compact()
    draft = path / "_index" / "segments" / ".draft-0"
    draft.mkdir()
    (draft / "rows.arrow").write_bytes(b"half of it")
    partition = next(path.glob("h3_cell=*"))
    (partition / "draft-0.tmp").write_bytes(b"half of it")
    past = time.time() - 10
    for file in path.rglob("*"):
        os.utime(file, (past, past))


def _create(path: Path) -> None:
    if not Store.exists(path):
        make.store(path)


def _append(path: Path) -> None:
    Store.open(path).append_units([("a", make.chips(list(range(60, 70)))), ("b", make.chips(list(range(70, 80))))])


def _merge(path: Path) -> None:
    housekeeping.MOST_SEGMENTS = 3  # type: ignore[misc]
    Store.open(path).append(make.chips(list(range(60, 80))), "unit")


def _delete(path: Path) -> None:
    store = Store.open(path)
    ids = [make.chip_id(i) for i in range(12, 32)]
    held = store.held(ids)
    store.delete(ids=[i for i, there in zip(ids, held, strict=True) if there])


def _delete_area(path: Path) -> None:
    Store.open(path).delete(within=[10.0, 45.0, 10.5, 46.0])


def _index(path: Path) -> None:
    from indexer import build

    build.FLAT_ROWS = 400  # type: ignore[misc]
    build.build(path)


def _scene(path: Path) -> None:
    scenes.write(path.parent / SCENE, scenes.noise(height=64, width=96))


def _encode(path: Path) -> None:
    from indexer import chips, commits
    from indexer.encode import encode

    chips.BLOCK, commits.PAUSE = 8, 0  # type: ignore[misc]
    encode([path.parent / SCENE], path, chip_size=16)


OPERATIONS = {
    "create": Operation(lambda _: None, _create),
    "append": Operation(_appended, _append),
    "append and merge": Operation(lambda path: _appended(path, appends=4), _merge),
    "delete": Operation(_deleted, _delete),
    "delete an area": Operation(_appended, _delete_area),
    "compact": Operation(_deleted, lambda path: Store.open(path).compact(), in_steps=True),
    "vacuum": Operation(_littered, lambda path: Store.open(path).vacuum(grace_hours=0)),
    "index": Operation(lambda path: _appended(path, 500), _index),
    "encode": Operation(_scene, _encode, in_steps=True),
}


def copy(template: Path, to: Path) -> Path:
    """Copy a prepared folder, times included, and return the store in it."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(template, to)
    return to / "store"
