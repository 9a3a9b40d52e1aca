"""From files of embeddings to committed rows: what `embedstore import` does."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstore import spec
from embedstore.errors import EmbedstoreError, EncoderMismatchError, InputError, NotAStoreError, StoreExistsError
from embedstore.spec import GridSpec
from embedstore.store import Store
from indexer.importers import when
from indexer.importers.layouts import open_source
from indexer.importers.source import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from indexer.importers.source import Source


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Parameters
    ----------
    model
        Whose vectors the store holds.
    layouts
        Of each file that was read.
    chips
        Written by this run.
    without_vector
        Rows and pixels that have none.
    already_there
        Dealt with before.
    files_failed
        Path and message of each file that was given up; what was committed of it stays.
    notes
        How files were read where they contradict themselves, and what was left out.
    seconds
        Wall-clock time.
    """

    model: str
    layouts: dict[str, str]
    chips: int
    without_vector: int
    already_there: int
    files_failed: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return {**asdict(self), "files_failed": [{"file": p, "error": m} for p, m in self.files_failed]}

    def __str__(self) -> str:
        made = f"imported {self.chips:,} chips of {self.model} ({', '.join(sorted(set(self.layouts.values())))})"
        parts = [f"{made} in {self.seconds:.1f} s"]
        if self.already_there:
            parts.append(f"{self.already_there:,} were there already")
        if self.without_vector:
            parts.append(f"{self.without_vector:,} have no vector")
        return "; ".join(parts)


def run(
    files: Sequence[str | Path],
    store: str | Path,
    model: str | None = None,
    coordinates: str | Path | None = None,
    chip_size: int | None = None,
    chip_metres: float | None = None,
    datetime: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Bring embeddings that others made into a store of their own; run again, it goes on where it stopped.

    Parameters
    ----------
    files
        GeoParquet of Earth Index, Clay, Planet or Major TOM; AlphaEarth's rasters; TESSERA's tiles; arrays.
    store
        The store; made, and named after the model, if there is none.
    model
        Who made the vectors, where the file does not say or another name is wanted.
    coordinates
        Where the vectors of a bare array belong; see :class:`indexer.importers.arrays.ArraySource`.
    chip_size
        Side in pixels of the chips that a raster's vectors are averaged to; each pixel is one if None.
    chip_metres
        Side of what a vector of a bare array describes, where only centres are known.
    datetime
        When: a year, a moment, or A/B. It overrules the files.
    progress
        Called with the rows dealt with.

    Raises
    ------
    EmbeddingsError, InputError
        If every file fails; the first reason.
    EncoderMismatchError
        If every file is of another model than the store.
    StoreError
        If the store cannot be made, opened or written.
    """
    began = time.monotonic()
    if not files:
        raise InputError("no files were given; name at least one file of embeddings.")
    for what, number in (("--chip-size", chip_size), ("--chip-metres", chip_metres)):
        if number is not None and not 0 < number < float("inf"):
            raise InputError(f"{what} {number} makes no sense; give a number above 0.")
    span = when.span(datetime) if datetime else None
    options = Options(model, Path(coordinates) if coordinates else None, chip_size, chip_metres, span)
    failed: dict[Path, EmbedstoreError] = {}
    tally = _Tally(progress)
    layouts, notes, opened = {}, [], _open(store)
    for path in dict.fromkeys(Path(f) for f in files):
        source = None
        try:
            source = open_source(path, options)
            opened = opened or _create(store, source)
            _check(source, opened)
            layouts[str(path)] = source.layout
            _import(source, opened, tally)
        except (InputError, EncoderMismatchError) as error:
            failed[path] = error
        notes += source.notes if source else []
    if opened is None or len(failed) == len({Path(f) for f in files}):
        raise next(iter(failed.values()))
    reasons = tuple((str(path), str(error)) for path, error in failed.items())
    seconds = time.monotonic() - began
    return ImportReport(
        opened.encoder.name, layouts, tally.written, tally.without, tally.already, reasons, tuple(notes), seconds
    )


@dataclass
class _Tally:
    """What came of the rows."""

    progress: Callable[[int], None] | None
    written: int = 0
    without: int = 0
    already: int = 0

    def add(self, *, written: int = 0, without: int = 0, already: int = 0) -> None:
        """Count, and tell."""
        self.written, self.without, self.already = (
            self.written + written,
            self.without + without,
            self.already + already,
        )
        if self.progress:
            self.progress(self.written + self.without + self.already)


def _import(source: Source, store: Store, tally: _Tally) -> None:
    """Commit the units of a source that are not committed yet."""
    for unit in source.units():
        name = spec.digest([store.encoder.fingerprint, store.deletions, unit.key])
        if store.unit_done(name):
            tally.add(already=unit.rows)
            continue
        rows = unit.read()
        written = store.append(rows, name)
        tally.add(written=written, without=unit.rows - len(rows), already=len(rows) - written)


def _check(source: Source, store: Store) -> None:
    """Raise EncoderMismatchError if the vectors of a source are of another making than a store's."""
    differs = source.model.differs(store.encoder)
    if differs:
        raise EncoderMismatchError(
            f"the store was made for {differs}, which {source.path} is of; vectors of different making are never "
            "compared. Import it into another store."
        )


def _open(path: str | Path) -> Store | None:
    """Return the store, None if there is none yet."""
    try:
        return Store.open(path)
    except NotAStoreError:
        return None


def _create(path: str | Path, source: Source) -> Store:
    """Make a store for the vectors of a source; open the store of whoever was quicker."""
    encoder = source.model.spec()
    try:
        return Store.create(path, encoder, GridSpec.for_chips(encoder.chip_size * encoder.gsd))
    except StoreExistsError:
        return Store.open(path)
