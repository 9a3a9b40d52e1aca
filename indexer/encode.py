"""From scenes to committed rows: what `embedstore encode` does."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore import area
from embedstore.errors import (
    EmbedstoreError,
    EncoderMismatchError,
    InputError,
    RasterError,
    StoreExistsError,
)
from embedstore.spec import GridSpec
from embedstore.store import Store
from indexer import acquisition, remote, sample
from indexer.chips import ChipPlan
from indexer.encoders import imported, registry
from indexer.encoders.base import WEIGHTS
from indexer.engines.local import Local
from indexer.places import Place, open_places
from indexer.units import Scene

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from embedstore.spec import EncoderSpec
    from indexer.engines.base import Executor
    from indexer.rasters import Raster

DEFAULT_ENCODER = "rcf"
GSD_RATIO = 2.0
"""A scene may be this much finer or coarser than those that the encoder was made for."""


@dataclass(frozen=True, slots=True)
class EncodeReport:
    """What a run did.

    Parameters
    ----------
    chips
        Written by this run.
    skipped_empty
        Without a single pixel of data.
    already_there
        Dealt with before: by an earlier run, by another process, or as another copy of the same scene.
    scenes_failed
        Path and message of each scene that was given up; what was committed of it stays.
    seconds
        Wall-clock time.
    chips_per_second
        Chips written over that time.
    """

    chips: int
    skipped_empty: int
    already_there: int
    scenes_failed: tuple[tuple[str, str], ...]
    seconds: float
    chips_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return {**asdict(self), "scenes_failed": [{"scene": p, "error": m} for p, m in self.scenes_failed]}

    def __str__(self) -> str:
        parts = [f"encoded {self.chips:,} chips in {self.seconds:.1f} s ({self.chips_per_second:,.0f} chips/s)"]
        if self.already_there:
            parts.append(f"{self.already_there:,} were there already")
        if self.skipped_empty:
            parts.append(f"{self.skipped_empty:,} hold no data")
        lines = ["; ".join(parts), *(f"failed: {message}" for _, message in self.scenes_failed)]
        return "\n".join(lines)


def encode(
    scenes: Sequence[str | Path],
    store: str | Path,
    encoder: str | None = None,
    aoi: Any = None,
    chip_size: int | None = None,
    stride: int | None = None,
    bands: Sequence[str] | None = None,
    datetime: str | dt.datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
    device: str = "auto",
    engine: Executor | None = None,
) -> EncodeReport:
    """Cut scenes into chips, encode them, and append them to a store; run again, it goes on where it stopped.

    Parameters
    ----------
    scenes
        Raster files, URLs of COGs (http, https, s3, gs, az; read by ranges), and STAC Items whose assets are rasters on
        one grid, named by the encoder's modalities. A raster holds the modalities whose bands it has.
    store
        The store's folder or URI; made, with a new encoder, if there is none.
    encoder
        Name in the registry; the store's, or ``rcf`` for a new store, if None.
    aoi
        Area of interest, anything that :func:`embedstore.area.parse` takes: only chips whose centre lies inside.
    chip_size
        Side of a chip in pixels; the store's, or the encoder's own for a new store (64 for ``rcf``), if None.
    stride
        Pixels from one chip to the next; the side of a chip if None.
    bands
        Names or numbers of bands in order; the store's, or all bands of the first scene for a new store, if None. For
        scenes of one modality only.
    datetime
        When the scenes were taken, ISO 8601, if they do not say.
    progress
        Called now and then from this thread with (chips dealt with, chips in all).
    device
        ``cpu``, ``cuda``, or ``auto``.
    engine
        Where the work is done, from :func:`indexer.engines.choose`, started; this process if None.

    Raises
    ------
    EncoderMismatchError
        If the store's encoder is another than the one asked for, or no scene has its ground sample distance.
    RasterError, BandError, GeometryError
        If every scene fails; the first reason.
    EncoderError
        If the encoder cannot be made.
    StoreError
        If the store cannot be made, opened or written.
    """
    began = time.monotonic()
    if not scenes:
        raise InputError("no scenes were given; name at least one raster file.")
    area_ = area.parse(aoi) if aoi is not None else None
    when = acquisition.parse(datetime) if datetime is not None else None
    failed: dict[Path, EmbedstoreError] = {}
    opened = Store.open(store) if Store.exists(store) else None
    if opened and opened.encoder.name.startswith(imported.PREFIX):
        imported.refuse(opened.encoder.name)
    name = encoder or DEFAULT_ENCODER
    kept = {m.name: m.bands for m in opened.encoder.modalities} if opened else None
    places = open_places([remote.named(s) for s in scenes], kept or registry.modalities(name), bands, when, failed)
    if opened:
        _check(opened.encoder, encoder, chip_size, bands, places[0])
    size = opened.encoder.chip_size if opened else chip_size if chip_size is not None else registry.chip_size(name)
    plans = _plan_all(places, size, size if stride is None else stride, area_, failed)
    if not opened:
        opened = create(store, name, plans, bands)
        _check(opened.encoder, encoder, chip_size, bands, places[0])
    ready, total = _fitting(plans, opened.encoder, failed)
    tally = (engine or Local()).encode(ready, opened, device, lambda done: progress(done, total) if progress else None)
    for scene in ready:
        if not scene.error and scene.without_data and not scene.with_data:
            scene.error = RasterError(
                f"none of the {scene.without_data:,} chips of {scene.plan.path} holds a pixel of data in all of the "
                f"bands {_said(opened.encoder, scene.plan)}; check nodata, masks and --bands."
            )
        if isinstance(scene.error, EmbedstoreError):
            failed[scene.plan.path] = scene.error
    if len(failed) == len({remote.named(s) for s in scenes}):
        raise next(iter(failed.values()))
    seconds = time.monotonic() - began
    return EncodeReport(
        tally.written,
        tally.empty,
        tally.already,
        tuple((str(path), str(error)) for path, error in failed.items()),
        seconds,
        tally.written / seconds,
    )


def _plan_all(
    places: list[Place], size: int, stride: int, aoi: Any, failed: dict[Path, EmbedstoreError]
) -> list[ChipPlan]:
    """Plan the scenes that hold chips; raise the first reason if none does."""
    plans = []
    for place in places:
        (modality, raster), *beside = place.layers.items()
        try:
            plan = ChipPlan(raster, modality, size, stride, aoi, tuple(beside), place.path)
            plan.count()
            plans.append(plan)
        except InputError as error:
            failed[place.path] = error
    if not plans:
        raise next(iter(failed.values()))
    return plans


def create(path: str | Path, name: str, plans: Sequence[ChipPlan], bands: Sequence[str] | None) -> Store:
    """Make an encoder from the scenes and a store for it; open the store of whoever was quicker."""
    samples = []
    plans = [p for p in plans if 1 / GSD_RATIO <= p.raster.gsd / plans[0].raster.gsd <= GSD_RATIO]  # as the first named
    for modality, known in registry.modalities(name).items():
        having = [p.only([modality]) for p in plans if modality in p.layers]
        if having:
            chosen = _bands(having[0].raster, known, bands)
            samples.append(sample.draw([p for p in having if set(chosen) <= set(p.raster.bands.names)], chosen))
    with tempfile.TemporaryDirectory(prefix="embedstore-") as folder:
        made = registry.make(name, replace(samples[0], beside=tuple(samples[1:])), Path(folder))
        grid = GridSpec.for_chips(made.chip_size * made.gsd)
        try:
            return Store.create(path, made, grid, Path(folder) / WEIGHTS)
        except StoreExistsError:
            return Store.open(path)


def _bands(raster: Raster, known: tuple[str, ...], asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the bands asked for, else those that an encoder was trained on as far as a scene has them, else all."""
    if asked is not None:
        return raster.bands.select(asked, raster.path).names
    return tuple(b for b in known if b in raster.bands.names) or raster.bands.names


def _check(
    spec: EncoderSpec, encoder: str | None, chip_size: int | None, bands: Sequence[str] | None, place: Place
) -> None:
    """Raise EncoderMismatchError if something else is asked for than what the store was made with."""
    modality, raster = next(iter(place.layers.items()))
    kept = next((m.bands for m in spec.modalities if m.name == modality), ())
    asked = raster.bands.select(bands, raster.path).names if bands is not None else kept
    for what, wanted, there in (
        ("encoder", registry.canonical(encoder) if encoder is not None else spec.name, spec.name),
        ("chip size", spec.chip_size if chip_size is None else chip_size, spec.chip_size),
        ("bands", ",".join(asked), ",".join(kept)),
    ):
        if wanted != there:
            raise EncoderMismatchError(
                f"the store was made with {what} {there}, not {wanted}; vectors of different making are never "
                "compared. Leave the option out, or encode into another store."
            )


def _fitting(plans: list[ChipPlan], spec: EncoderSpec, failed: dict[Path, EmbedstoreError]) -> tuple[list[Scene], int]:
    """Return the scenes that the encoder can take, and their chips; raise the first reason if there are none."""
    scenes, total = [], 0
    for whole in plans:
        try:
            plan = fit(whole, spec)
            total += plan.count()
            scenes.append(Scene(plan))
        except EmbedstoreError as error:
            failed[whole.path] = error
    if not scenes:
        raise next(iter(failed.values()))
    return scenes, total


def fit(whole: ChipPlan, spec: EncoderSpec) -> ChipPlan:
    """Return a scene with those modalities alone that an encoder takes.

    Raises
    ------
    BandError, EncoderMismatchError
        If it lacks a band, or its pixels are of another size on the ground.
    """
    plan = whole.only([m.name for m in spec.modalities])
    raster = plan.raster
    for modality in spec.modalities:
        if modality.name in plan.layers:
            plan.layers[modality.name].bands.select(modality.bands, plan.layers[modality.name].path)
    if not 1 / GSD_RATIO <= raster.gsd / spec.gsd <= GSD_RATIO:
        raise EncoderMismatchError(
            f"{plan.path} has pixels of {raster.gsd:g} m; the store's encoder was made for {spec.gsd:g} m. "
            "Resample the scene, or encode it into another store."
        )
    return plan


def _said(spec: EncoderSpec, plan: ChipPlan) -> str:
    """Return the bands that are read of a scene, as a message names them."""
    return ", or of ".join(", ".join(m.bands) for m in spec.modalities if m.name in plan.layers)
