"""Damage to a store: one with everything in it, what can befall its files, and what it is asked before and after."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedstore.errors import EmbedstoreError
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from indexer import build as build_module
from indexer.encode import encode
from query import Engine
from tests.embedstore import make
from tests.indexer import scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

ROWS, CHIP = 600, 16
BOX = (14.5, 44.8, 15.5, 45.6)
NOBODY = 65_534
PROBED = ("probed", "in a box", "where", "like an id", "like a chip")
"""Questions that the inverted lists answer; the others are answered exactly."""


def build(folder: Path, seed: int) -> Path:
    """Make a store of partitions, segments with lists and without, deletions, row maps, checkpoints and weights."""
    scene, path = scenes.write(folder / "scene.tif", scenes.noise(height=64, width=96, seed=seed)), folder / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("embedstore.table.CHECKPOINT", 4)
        patch.setattr(build_module, "FLAT_ROWS", 500)
        patch.setattr("indexer.calibrate.LENGTHS", (100, 1000))
        encode([scene], path, chip_size=CHIP)
        store = Store.open(path)

        def append(first: int, count: int) -> None:
            names: list[object] = [f"{seed} {i}" for i in range(first, first + count)]
            store.append(make.chips(names, seed=seed, box=BOX, dimension=store.encoder.dimension))

        for third in range(3):
            append(third * ROWS // 3, ROWS // 3)
        build_module.build(path)
        store.refresh()
        append(ROWS, 60)
        store.delete(ids=[make.chip_id(f"{seed} {i}") for i in (3, 500, ROWS + 1)])
        store.compact()
        append(ROWS + 60, 40)
        store.vacuum(grace_hours=0)
    assert store.verify() == []
    return path


def files(store: Path) -> list[Path]:
    """Return the files of a store that hold something: neither the lock nor the seals of the log, which are empty."""
    return sorted(p.relative_to(store) for p in store.rglob("*") if p.is_file() and p.stat().st_size)


def kind(path: Path) -> str:
    """Return what a file is among those of its store: its path without what is its own."""
    return re.sub(r"[0-9a-f]{64}|[0-9a-f]{32}|(?<==)[0-9a-f]+|\d{20}", "*", str(path))


@dataclass(frozen=True)
class Damage:
    """What befalls one file of a store.

    Parameters
    ----------
    file
        Relative to the store.
    how
        ``cut``, ``halved``, ``emptied``, ``flipped``, ``of another store``, ``of this store``, ``removed`` or
        ``unreadable``.
    at
        The bit that is flipped.
    instead
        The file whose bytes it gets.
    """

    file: Path
    how: str
    at: int = 0
    instead: Path | None = None

    def __str__(self) -> str:
        return f"{self.file}, {self.how}" + (f" in bit {self.at}" if self.how == "flipped" else "")

    @property
    def concerns_sql(self) -> bool:
        """Whether SQL reads the file otherwise than a search does: only then is it asked, as a session takes long."""
        return self.file.parts[0].startswith("h3_cell")

    def strike(self, store: Path) -> None:
        """Damage a store."""
        path = store / self.file
        whole = path.read_bytes()
        if self.how == "removed":
            path.unlink()
        elif self.how == "unreadable":
            path.chmod(0)
        else:
            path.write_bytes(self._bytes(whole))

    def _bytes(self, whole: bytes) -> bytes:
        if self.how == "flipped":
            flipped = bytearray(whole)
            flipped[self.at // 8] ^= 1 << self.at % 8
            return bytes(flipped)
        if self.instead is not None:
            return self.instead.read_bytes()
        return {"cut": whole[:-1], "halved": whole[: len(whole) // 2], "emptied": b""}[self.how]


def matrix(store: Path, other: Path, rng: np.random.Generator) -> Iterator[Damage]:
    """Yield every kind of damage to every file of a store."""
    mine, theirs = files(store), files(other)
    for file in mine:
        for how in ("cut", "halved", "emptied", "removed", "unreadable"):
            yield Damage(file, how)
        bits = 8 * (store / file).stat().st_size
        for low, high in (
            (0, 64),
            (0, bits // 3),
            (bits // 3, 2 * bits // 3),
            (2 * bits // 3, bits),
            (bits - 64, bits),
        ):
            yield Damage(file, "flipped", at=int(rng.integers(max(low, 0), min(high, bits))))
        for how, root, those in (("of another store", other, theirs), ("of this store", store, mine)):
            like = [
                p for p in those if kind(p) == kind(file) and (root / p).read_bytes() != (store / file).read_bytes()
            ]
            if like:
                yield Damage(file, how, instead=root / like[int(rng.integers(len(like)))])


def flips(store: Path, count: int, rng: np.random.Generator) -> Iterator[Damage]:
    """Yield flips of single bits: as many in every file, anywhere in it."""
    mine = files(store)
    for number in range(count):
        file = mine[number % len(mine)]
        yield Damage(file, "flipped", at=int(rng.integers(8 * (store / file).stat().st_size)))


def is_superfluous(damage: Damage, store: Path) -> bool:
    """Tell whether a file may be removed: one of the log that a newer checkpoint sums up, as other libraries do."""
    newest, name = max(p.name for p in store.glob("_delta_log/*.checkpoint.parquet")), damage.file.name
    return damage.how == "removed" and name[:20].isdigit() and name[:20] <= newest[:20] and name != newest


def questions(engine: Engine, scene: Path, scratch: Path, *, sql: bool) -> dict[str, Callable[[], pa.Table]]:
    """Return everything that the store is asked, by name; each answers with a table in a fixed order."""
    statements = {
        "sql count": "SELECT count(*) AS n FROM embeddings",
        "sql rows": "SELECT * REPLACE (ST_AsWKB(geometry) AS geometry) FROM embeddings ORDER BY id",
    }
    vector = np.random.default_rng(5).normal(size=engine.store.encoder.dimension)
    some = [make.chip_id(f"0 {i}") for i in range(0, ROWS + 100, 50) if i != 500]
    labels = {id_: f"class {n % 3}" for n, id_ in enumerate(some)}

    def hits(**asked: Any) -> Callable[[], pa.Table]:
        return lambda: engine.search(**{"k": 12, **asked}).to_arrow(geometry=True)

    def classified() -> pa.Table:
        engine.classify_all(labels, scratch / "classified.parquet")
        return pq.read_table(scratch / "classified.parquet").replace_schema_metadata(None).sort_by("id")

    return {
        "exact": hits(vector=vector, recall="exact"),
        "probed": hits(vector=vector, recall=0.9),
        "in a box": hits(vector=vector, bbox=(14.8, 45, 15.2, 45.4)),
        "in a box, exact": hits(vector=vector, bbox=(14.8, 45, 15.2, 45.4), recall="exact"),
        "where": hits(vector=vector, where="lon > 15 AND datetime < TIMESTAMP '2021-06-01'"),
        "like an id": hits(id=some[3]),
        "like a chip": hits(chip=scene),
        "all": hits(vector=vector, k=2 * ROWS, recall="exact"),
        "vectors": lambda: pa.table({"vectors": engine.vectors(some).tolist()}),
        "held": lambda: pa.table({"held": engine.store.held([*some, make.chip_id("0 3")]).tolist()}),
        "classified": classified,
        **({name: partial(engine.sql, statement) for name, statement in statements.items()} if sql else {}),
    }


def ask(store: Path, scene: Path, *, sql: bool = True) -> tuple[dict[str, pa.Table | str], list[str]]:
    """Ask a store everything, by SQL too or not; return the answers, or what was said instead, and the warnings."""
    with warnings.catch_warnings(record=True) as caught, tempfile.TemporaryDirectory() as scratch:
        warnings.simplefilter("always", DegradedIndexWarning)
        answers: dict[str, pa.Table | str] = {}
        try:
            with Engine(store) as engine:
                for name, question in questions(engine, scene, Path(scratch), sql=sql).items():
                    try:
                        answers[name] = question()
                    except EmbedstoreError as error:
                        answers[name] = f"{type(error).__name__}: {error}"
        except EmbedstoreError as error:
            answers["open"] = f"{type(error).__name__}: {error}"
    return answers, [str(one.message) for one in caught]


def wrong(answers: dict[str, pa.Table | str], right: dict[str, pa.Table | str], *, warned: bool) -> list[str]:
    """Return the names of answers that are wrong, though nothing was said in their place."""
    out = []
    for name, answer in answers.items():
        if isinstance(answer, str):
            assert "\n" not in answer, answer
            continue
        expected = right[name]
        assert isinstance(expected, pa.Table)
        if same(answer, expected):
            continue
        # a scan in place of a damaged part finds what probing missed, and never less
        if not (name in PROBED and warned and as_good(answer, expected)):
            out.append(name)
    return out


def as_good(hits: pa.Table, expected: pa.Table) -> bool:
    """Tell whether as many hits score as well."""
    return len(hits) == len(expected) and bool(np.all(scores(hits) >= scores(expected) - 1e-5))


def scores(hits: pa.Table) -> NDArray[np.float32]:
    """Return the scores of hits."""
    found: NDArray[np.float32] = hits["score"].to_numpy()
    return found


def same(one: pa.Table, other: pa.Table) -> bool:
    """Tell whether two tables are equal, scores and the like to five digits."""
    if one.column_names != other.column_names or len(one) != len(other):
        return False
    for name in one.column_names:
        a, b = one[name].combine_chunks(), other[name].combine_chunks()
        if name in ("score", "confidence", "distance"):
            if not np.allclose(a.to_numpy(), b.to_numpy(), atol=1e-5):
                return False
        elif not a.equals(b) and a.to_pylist() != b.to_pylist():
            return False
    return True


@contextmanager
def unprivileged(store: Path) -> Iterator[None]:
    """Be somebody who may not read everything, as root may; the files of the store are his."""
    if os.geteuid():
        yield
        return
    for path in (store, *store.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def copy(store: Path, to: Path) -> Path:
    """Copy a store, anew."""
    if to.exists():
        shutil.rmtree(to)
    shutil.copytree(store, to)
    return to
