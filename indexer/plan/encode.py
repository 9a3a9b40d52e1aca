"""From work units to committed rows: one after the other here, or one by one wherever an engine sends them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from embedstore import spec
from embedstore.errors import EncoderMismatchError, InputError
from embedstore.store import Store
from indexer import encode
from indexer.bands import normalise
from indexer.encoders import registry
from indexer.engines.local import Local
from indexer.pipeline import Pipeline
from indexer.plan import file
from indexer.plan.open import open_unit
from indexer.units import Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from indexer.chips import ChipPlan
    from indexer.encoders.base import Encoder
    from indexer.engines.base import Executor
    from indexer.plan.work import WorkUnit

TOGETHER = 16_384
"""Chips of the units that share one pipeline, so that reading the next overlaps encoding the last."""
SAMPLED = 8
"""Units, spread over the plan, from which a new store's encoder learns what the bands look like."""
LOOKED_AT = 32
"""At most, where some cannot be read."""
GOLDEN = 0.6180339887498949
"""Multiples of the golden ratio, less their whole parts: every beginning of the sequence is spread out."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of some work units; outcomes add up.

    Parameters
    ----------
    chips
        Written.
    skipped_empty
        Without a single pixel of data.
    already_there
        Dealt with before.
    failed
        Name of each unit that was given up, and why; nothing of such a unit is committed.
    """

    chips: int = 0
    skipped_empty: int = 0
    already_there: int = 0
    failed: tuple[tuple[str, str], ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.chips + other.chips,
            self.skipped_empty + other.skipped_empty,
            self.already_there + other.already_there,
            (*self.failed, *other.failed),
        )


def encode_plan(
    plan: str | Path,
    store: str | Path,
    bands: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "auto",
    engine: Executor | None = None,
) -> encode.EncodeReport:
    """Do all work units of a plan file; run again, it goes on where it stopped.

    Parameters
    ----------
    plan
        The file.
    store
        The store's folder or URI; made, with a new encoder, if there is none.
    bands
        Of a new store of one modality; all of the first scene if None.
    progress
        Called now and then from this thread with (chips dealt with, chips in all).
    device
        ``cpu``, ``cuda``, or ``auto``.
    engine
        What does the units, started (see :func:`indexer.engines.choose`); this process if None.

    Returns
    -------
    The report. What became of scenes that vanished since is in `scenes_failed`, each reason once; a later run
    tries them again.

    Raises
    ------
    PlanError
        If there is no plan that this release can read.
    EncoderMismatchError, RasterError, BandError
        As :func:`open_store`.
    EncoderError, StoreError
        If the encoder or the store fails.
    """
    began = time.monotonic()
    planned = file.read(plan)
    opened = open_store(store, planned.units, planned.parameters["encoder"], bands)
    outcome = (engine or Local()).encode_units(
        planned.units, opened, device, lambda n: progress(n, planned.chips) if progress else None
    )
    seconds = time.monotonic() - began
    return encode.EncodeReport(
        outcome.chips,
        outcome.skipped_empty,
        outcome.already_there,
        tuple({message: (name, message) for name, message in outcome.failed}.values()),
        seconds,
        outcome.chips / seconds,
    )


def open_store(path: str | Path, units: Sequence[WorkUnit], encoder: str, bands: Sequence[str] | None = None) -> Store:
    """Open the store that a plan is for, or make it, with a new encoder that has seen some of the plan's scenes.

    Parameters
    ----------
    path
        The store's folder.
    units
        Of the plan.
    encoder
        Name in the registry that the plan was made for.
    bands
        Of a store of one modality; its own, or all of the first scene for a new one, if None.

    Raises
    ------
    EncoderMismatchError
        If the store was made with another encoder, chip size or bands.
    RasterError, BandError
        If a new encoder is wanted, or bands are known by number only, and none of the scenes looked at can be read; the
        first reason.
    """
    with tempfile.TemporaryDirectory(prefix="embedstore-") as folder:
        if Store.exists(path):
            store = Store.open(path)
            kept = store.encoder.modalities[0].bands
            bands = kept if bands is None else _named(bands, kept, units, Path(folder))
        else:
            store = encode.create(path, encoder, _sample(units, Path(folder)), bands)
            bands = kept = store.encoder.modalities[0].bands
    for what, planned, made in (
        ("encoder", registry.canonical(encoder), store.encoder.name),
        ("chip size", units[0].chip_size, store.encoder.chip_size),
        ("bands", ",".join(bands), ",".join(kept)),
    ):
        if planned != made:
            raise EncoderMismatchError(
                f"the plan was made for {what} {planned}, and the store {path} was made with {made}; vectors of "
                "different making are never compared. Plan again for this store, or encode into another."
            )
    return store


def _named(asked: Sequence[str], kept: tuple[str, ...], units: Sequence[WorkUnit], folder: Path) -> tuple[str, ...]:
    """Return the names of the bands asked for; scenes are opened for numbers alone."""
    names = tuple(map(normalise, asked))
    if names == kept or not any(name.isdecimal() for name in names):
        return names
    first = _sample(units, folder)[0]
    return first.raster.bands.select(asked, first.path).names


def encode_unit(unit: WorkUnit, store: Store, encoder: Encoder) -> Outcome:
    """Do one work unit; done again, it finds everything there.

    Parameters
    ----------
    unit
        What to do.
    store
        Where to commit; one object for each thread or process.
    encoder
        The store's, from :func:`indexer.encoders.registry.load`.

    Raises
    ------
    EncoderError, StoreError
        If the encoder or the store fails. A scene that fails is in the outcome.
    """
    return encode_units([unit], store, encoder)


def encode_units(
    units: Iterable[WorkUnit], store: Store, encoder: Encoder, progress: Callable[[int], None] | None = None
) -> Outcome:
    """Do work units, some of them at a time in one pipeline; otherwise as :func:`encode_unit`.

    Parameters
    ----------
    progress
        Called now and then with the chips dealt with so far.
    """
    total, before = Outcome(), 0

    def told(passed: int) -> None:
        if progress:
            progress(before + passed)

    for group in _groups(units):
        total += _encode(group, store, encoder, told)
        before += sum(unit.chips for unit in group)
        told(0)
    return total


def _groups(units: Iterable[WorkUnit]) -> Iterator[list[WorkUnit]]:
    group: list[WorkUnit] = []
    for unit in units:
        group.append(unit)
        if sum(u.chips for u in group) >= TOGETHER:
            yield group
            group = []
    if group:
        yield group


def _encode(units: Sequence[WorkUnit], store: Store, encoder: Encoder, progress: Callable[[int], None]) -> Outcome:
    outcome = Outcome()
    store.refresh()
    with tempfile.TemporaryDirectory(prefix="embedstore-") as folder:
        scenes: list[tuple[WorkUnit, Scene]] = []
        for unit in units:
            if is_done(unit, store):
                outcome += Outcome(already_there=unit.chips)
                continue
            try:
                plan = encode.fit(open_unit(unit, Path(folder)), store.encoder)
                scenes.append((unit, Scene(plan)))
            except (InputError, EncoderMismatchError) as error:
                outcome += Outcome(failed=((unit.name, str(error)),))
        if scenes:
            pipeline = Pipeline([scene for _, scene in scenes], encoder, store, Store.open(store.path))
            pipeline.run(progress)
            tally = pipeline.tally
            failed = tuple((unit.name, str(scene.error)) for unit, scene in scenes if scene.error)
            outcome += Outcome(tally.written, tally.empty, tally.already, failed)
    return outcome


def is_done(unit: WorkUnit, store: Store) -> bool:
    """Tell whether a unit is committed in a store as it was opened, from the plan alone: no file of it is opened."""
    plan = unit.expected().only([m.name for m in store.encoder.modalities])
    (block,) = plan.blocks()
    return store.table.application(spec.digest([store.encoder.fingerprint, store.deletions, block.ids])) > 0


def _sample(units: Sequence[WorkUnit], folder: Path) -> list[ChipPlan]:
    """Open some units spread over the plan, each scene once, those with all modalities first."""
    most = max(len(unit.sources) for unit in units)
    full = list({unit.sources: unit for unit in units if len(unit.sources) == most}.values())
    plans: list[ChipPlan] = []
    first: InputError | None = None
    for at in sorted(range(len(full)), key=lambda i: i * GOLDEN % 1)[:LOOKED_AT]:
        try:
            plans.append(open_unit(full[at], folder))
        except InputError as error:
            first = first or error
        if len(plans) == SAMPLED:
            break
    if not plans and first:
        raise first
    return plans
