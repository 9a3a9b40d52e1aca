"""Encoding on workers elsewhere: they turn pieces of scenes into tables, and this process commits them.

There is one writer, as there is here: who is lost in the middle leaves nothing half written, no two commits race, and
workers need nothing of the store but its encoder, which they are sent. A piece that is done twice gives the same table
under the same name, and the second is not taken.
"""

from __future__ import annotations

import tempfile
import weakref
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import EmbedstoreError, EncoderMismatchError, InputError, RasterError
from embedstore.store import Store
from indexer.chips import Block, ChipPlan
from indexer.commits import Commits
from indexer.encoders import registry
from indexer.encoders.base import WEIGHTS
from indexer.pipeline import Pipeline, Tally
from indexer.units import Scene, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec
    from indexer.engines.base import Executor
    from indexer.plan.encode import Outcome
    from indexer.plan.work import WorkUnit


@dataclass(frozen=True, eq=False)
class Part(ChipPlan):
    """A plan of chips that are given, not looked for; it travels to a worker.

    Parameters
    ----------
    row, col
        First pixel of each window, int64 of shape (n,).
    """

    row: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    col: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(cls, block: Block) -> Part:
        """Return the chips of a block; files are named so that a worker in another folder finds them."""
        plan = block.plan
        layers = [(m, replace(raster, path=_anywhere(raster.path))) for m, raster in plan.layers.items()]
        known = {f.name: getattr(plan, f.name) for f in fields(ChipPlan)}
        known |= {"raster": layers[0][1], "beside": tuple(layers[1:]), "aoi": None, "cells": ()}
        return cls(**known, row=block.row, col=block.col)

    def blocks(self) -> Iterator[Block]:
        """Yield them."""
        yield Block(self, self.row, self.col)


@dataclass(frozen=True)
class Done:
    """What a worker made of a piece.

    Parameters
    ----------
    name
        Of the unit of work.
    table
        Its rows, of :data:`embedstore.schema.CHIPS`; None if it failed.
    empty
        Chips without a pixel of data.
    error
        Why it failed, if it did.
    """

    name: str
    table: pa.Table | None
    empty: int
    error: EmbedstoreError | None = None


class _Notebook:
    """Stands for the store where there is none: it holds no rows yet, and keeps what is appended."""

    def __init__(self, deletions: int) -> None:
        self.deletions = deletions
        self.written: list[tuple[str, pa.Table]] = []

    def unit_done(self, unit: str) -> bool:  # noqa: ARG002
        return False

    def held(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        return np.zeros(len(ids), bool)

    def append_units(self, units: Sequence[tuple[str | None, pa.Table]]) -> int:
        self.written += [(unit or "", chips) for unit, chips in units]
        return sum(len(chips) for _, chips in units)


class Encoding:
    """A worker: it loads the encoder once, and turns pieces into tables.

    Parameters
    ----------
    spec, weights
        The encoder, and its safetensors file.
    deletions
        Of the store, which are part of a unit's name.
    device
        ``cpu`` or ``cuda``.
    cores
        How many are its own.
    """

    def __init__(self, spec: EncoderSpec, weights: bytes, deletions: int, device: str, cores: int) -> None:
        folder = tempfile.TemporaryDirectory(prefix="embedstore-")
        weakref.finalize(self, folder.cleanup)
        self._folder = Path(folder.name)
        (self._folder / WEIGHTS).write_bytes(weights)
        self._encoder = registry.load(self._folder, spec, device)
        self._deletions, self._cores = deletions, cores

    def __call__(self, work: Part | WorkUnit) -> Done:
        """Encode a piece."""
        with tempfile.TemporaryDirectory(prefix="embedstore-") as folder:
            try:
                scene = Scene(self._open(work, Path(folder)))
            except (InputError, EncoderMismatchError) as error:
                return Done("", None, 0, error)
            notes = _Notebook(self._deletions)
            pipeline = Pipeline([scene], self._encoder, notes, notes, self._cores)
            pipeline.run(lambda _: None)
        if isinstance(scene.error, EmbedstoreError):
            return Done("", None, pipeline.tally.empty, scene.error)
        ((name, table),) = notes.written
        return Done(name, table, pipeline.tally.empty)

    def _open(self, work: Part | WorkUnit, folder: Path) -> ChipPlan:
        if isinstance(work, Part):
            return work
        from indexer import encode  # noqa: PLC0415 - it imports the engines
        from indexer.plan.open import open_unit  # noqa: PLC0415 - as above

        return encode.fit(open_unit(work, folder), self._encoder.spec)


def encode(
    executor: Executor,
    scenes: Sequence[Scene],
    store: Store,
    make: Callable[[], Encoding],
    progress: Callable[[int], None],
    *,
    cuda: bool,
) -> Tally:
    """Encode and commit what a store does not hold yet of some scenes; see :meth:`.base.Executor.encode`."""
    tally, todo, passed, commits = Tally(), list[tuple[Scene, str, int]](), 0, Commits(store)

    def parts() -> Iterator[Part]:
        asked = Store.open(store.path)
        for scene in scenes:
            for unit, already in pending(scene, asked, store.encoder.fingerprint):
                tally.add(already=already)
                scene.with_data += already
                if unit and unit.left:
                    todo.append((scene, unit.name, len(unit.block)))
                    yield Part.of(unit.block)
                elif unit:
                    commits.add(unit.name, unit.table())

    returned = set()
    with commits:
        for position, done in executor.map(make, parts(), cuda=cuda):
            returned.add(position)
            scene, name, chips = todo[position]
            scene.without_data += done.empty
            tally.add(empty=done.empty)
            if done.table is None:
                scene.error = scene.error or done.error
            else:
                scene.with_data += len(done.table)
                commits.add(name, done.table)
            passed += chips
            progress(tally.already + passed)
    tally.add(written=commits.written, already=commits.already)
    for position, (scene, _, chips) in enumerate(todo):
        if position not in returned:
            scene.error = scene.error or lost(f"{chips:,} chips of {scene.plan.path}")
    return tally


def encode_units(
    executor: Executor,
    units: Sequence[WorkUnit],
    store: Store,
    make: Callable[[], Encoding],
    progress: Callable[[int], None],
    *,
    cuda: bool,
) -> Outcome:
    """Encode and commit the work units of a plan; see :meth:`.base.Executor.encode_units`."""
    from indexer.plan.encode import Outcome, is_done  # noqa: PLC0415 - it imports the encoding, which imports this

    asked, todo, already = Store.open(store.path), list[int](), 0
    for number, unit in enumerate(units):
        if is_done(unit, asked):
            already += unit.chips
        else:
            todo.append(number)
    outcome, passed, returned, commits = Outcome(already_there=already), already, set(), Commits(store)
    with commits:
        for position, done in executor.map(make, (units[i] for i in todo), cuda=cuda):
            returned.add(position)
            unit = units[todo[position]]
            if done.table is None:
                outcome += Outcome(skipped_empty=done.empty, failed=((unit.name, str(done.error)),))
            else:
                commits.add(done.name, done.table)
                outcome += Outcome(skipped_empty=done.empty)
            passed += unit.chips
            progress(passed)
    outcome += Outcome(commits.written, already_there=commits.already)
    missing = [units[number] for position, number in enumerate(todo) if position not in returned]
    return outcome + Outcome(failed=tuple((unit.name, str(lost(unit.name))) for unit in missing))


def worker(store: Store, device: str, cores: int) -> Callable[[], Encoding]:
    """Return what makes a worker that encodes for a store."""
    weights = store.encoder_folder / WEIGHTS
    held = weights.read_bytes() if weights.is_file() else b""
    return partial(Encoding, store.encoder, held, store.deletions, device, cores)


def lost(what: str) -> EmbedstoreError:
    """Return the error of work that never came back."""
    return RasterError(
        f"{what} were not encoded: every worker that tried was lost. Was its memory too small, or do its files kill "
        "the reader? The same command tries again what is missing."
    )


def _anywhere(path: Path) -> Path:
    return path.absolute() if isinstance(path, Path) else path
