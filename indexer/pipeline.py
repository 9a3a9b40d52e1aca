"""Read, encode and commit at the same time, in bounded memory.

Readers cut tiles into batches, lanes turn batches into vectors, one writer commits units. The first error of any
thread stops them all and is raised; a scene that cannot be read is given up alone.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import InputError
from indexer.channel import Channel, Stopped
from indexer.commits import Commits
from indexer.layers import Layer, Look, close, open_layers
from indexer.rasters import block_cache
from indexer.units import TILE, Ledger, Scene, Tile, Unit, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.encoders.base import Encoder

BATCH_BYTES = 64 << 20
"""Pixels of one batch take no more than this."""
MOST_READERS = 8
AHEAD = 96
"""Chips read ahead."""
TICK = 0.1
"""Seconds between two reports of progress."""


@dataclass
class Tally:
    """What came of the chips."""

    written: int = 0
    empty: int = 0
    already: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, written: int = 0, empty: int = 0, already: int = 0) -> None:
        """Count chips."""
        with self.lock:
            self.written += written
            self.empty += empty
            self.already += already


class Batch:
    """Chips read and waiting for a lane."""

    def __init__(self, capacity: int, modalities: Sequence[Modality], size: int) -> None:
        self._pixels = {m.name: np.empty((capacity, len(m.bands), size, size), np.float32) for m in modalities}
        self.valid = np.empty((capacity, size, size), bool)
        self.chips: list[tuple[Unit, int]] = []

    @property
    def full(self) -> bool:
        """Whether there is no room left."""
        return len(self.chips) == len(self.valid)

    def add(self, unit: Unit, at: int, looks: Sequence[Look], window: tuple[slice, slice]) -> None:
        """Bring a chip in, in physical units; of several modalities each is NaN where it has no data."""
        n = len(self.chips)
        self.valid[n] = looks[0].valid[window]
        for look in looks:
            pixels = self._pixels[look.layer.modality.name][n]
            look.layer.reader.bands.physical(look.stored[:, *window], pixels)
            if len(self._pixels) > 1:
                pixels[:, ~look.valid[window]] = np.nan
                self.valid[n] |= look.valid[window]
        for name in self._pixels.keys() - {look.layer.modality.name for look in looks}:
            self._pixels[name][n] = np.nan
        self.chips.append((unit, at))

    def pixels(self) -> dict[str, NDArray[np.float32]]:
        """Return the chips by modality."""
        return {name: pixels[: len(self.chips)] for name, pixels in self._pixels.items()}


class Pipeline:
    """One run over some scenes.

    Parameters
    ----------
    scenes
        What to encode; a scene that fails gets its `error`.
    encoder
        What to encode with.
    store
        Where to commit; used by the writer alone.
    asked
        The same store, opened again, for the readers' questions.
    cores
        How many of the machine's to use, if not all.
    """

    def __init__(
        self, scenes: Sequence[Scene], encoder: Encoder, store: Ledger, asked: Ledger, cores: int | None = None
    ) -> None:
        self.tally = Tally()
        self._encoder = encoder
        self._store = store
        self._modalities = encoder.spec.modalities
        self._bands = sum(len(m.bands) for m in self._modalities)
        chip = 4 * self._bands * encoder.spec.chip_size**2
        self._capacity = max(1, min(encoder.batch, BATCH_BYTES // chip))
        # Reading takes a fraction of the time of a forward pass; more readers than that only fight over the caches.
        readers = max(1, min(MOST_READERS, (cores or os.cpu_count() or 1) // 2))
        lanes = min(encoder.lanes, cores) if cores and encoder.device == "cpu" else encoder.lanes
        # As many chips wait as keep the lanes busy while the next tile is read.
        self._batches: Channel[Batch] = Channel(lanes + max(2, AHEAD // self._capacity), readers)
        self._finished: Channel[Unit] = Channel(2, readers + lanes)
        self._spare: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._rasters = [raster for scene in scenes for raster in scene.plan.layers.values()]
        self._tiles = self._plan(scenes, asked)
        self._turn = threading.Lock()
        self._error: BaseException | None = None
        self._idle = threading.Event()
        self._passed = 0
        self._threads = [
            *(threading.Thread(target=self._guard, args=(self._read,), name=f"reader-{i}") for i in range(readers)),
            *(threading.Thread(target=self._guard, args=(self._encode,), name=f"lane-{i}") for i in range(lanes)),
            threading.Thread(target=self._guard, args=(self._write,), name="writer"),
        ]

    def run(self, progress: Callable[[int], None]) -> None:
        """Work until all is done; call `progress` now and then with the chips dealt with.

        Raises
        ------
        The first error of any thread, after all of them have ended.
        """
        with block_cache(self._rasters, self._bands, TILE):
            try:
                for thread in self._threads:
                    thread.start()
                while not self._idle.wait(TICK):
                    progress(self._passed)
            finally:
                self._stop()
                for thread in self._threads:
                    if thread.ident is not None:  # an interrupt may come before all are started
                        thread.join()
        if self._error:
            raise self._error
        progress(self._passed)

    def _stop(self) -> None:
        self._batches.stop()
        self._finished.stop()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            with self._turn:
                self._error = self._error or error
            self._stop()
            self._idle.set()
        else:
            if work == self._write:
                self._idle.set()

    def _plan(self, scenes: Sequence[Scene], asked: Ledger) -> Iterator[Tile]:
        """Yield the tiles of all units in turn."""
        for scene in scenes:
            for unit, already in pending(scene, asked, self._encoder.spec.fingerprint):
                self.tally.add(already=already)
                scene.with_data += already
                self._passed += already
                if unit and not unit.left:
                    self._finished.put(unit)
                elif unit:
                    yield from unit.tiles()

    def _next_tile(self) -> Tile | None:
        with self._turn:
            return next(self._tiles, None)

    def _read(self) -> None:
        """Read tiles, and send their chips on in full batches."""
        batch = self._new_batch()
        layers: list[Layer] = []
        scene: Scene | None = None
        try:
            while tile := self._next_tile():
                if tile.unit.scene.error:
                    continue
                try:
                    if not layers or tile.unit.scene is not scene:
                        close(layers)
                        scene = tile.unit.scene
                        layers = open_layers(scene.plan, self._modalities)
                    batch = self._cut(tile, layers, batch)
                except InputError as error:
                    tile.unit.scene.error = tile.unit.scene.error or error
            if batch.chips:
                self._batches.put(batch)
        finally:
            close(layers)
        self._batches.close()
        self._finished.close()

    def _new_batch(self) -> Batch:
        """Return an empty batch, in memory used before if there is some."""
        with suppress(queue.Empty):
            return self._spare.get_nowait()
        return Batch(self._capacity, self._modalities, self._encoder.spec.chip_size)

    def _cut(self, tile: Tile, layers: Sequence[Layer], batch: Batch) -> Batch:
        """Read a tile and add its chips to a batch; return the batch that has room."""
        unit, size = tile.unit, self._encoder.spec.chip_size
        top, left, height, width = tile.window()
        looks = [layer.look(top, left, height, width) for layer in layers]
        for at in tile.at.tolist():
            row, col = int(unit.block.row[at]) - top, int(unit.block.col[at]) - left
            window = (slice(row, row + size), slice(col, col + size))
            fractions = [look.fraction(window) for look in looks]
            seen = [look for look, fraction in zip(looks, fractions, strict=True) if fraction]
            if not seen:
                unit.scene.without_data += 1
                self.tally.add(empty=1)
                self._passed += 1
                if unit.skip():
                    self._finished.put(unit)
                continue
            unit.scene.with_data += 1
            present = sum(look.layer.bit for look in seen)
            unit.read(at, present, sum(fractions) / len(seen), seen[0].thumbnail(row, col))
            batch.add(unit, at, seen, window)
            if batch.full:
                self._batches.put(batch)
                batch = self._new_batch()
        return batch

    def _encode(self) -> None:
        """Turn batches into vectors, and send finished units on."""
        for batch in self._batches:
            n = len(batch.chips)
            vectors = self._encoder.encode(batch.pixels(), batch.valid[:n])
            for unit in dict.fromkeys(u for u, _ in batch.chips):
                mine = [i for i, (u, _) in enumerate(batch.chips) if u is unit]
                last = unit.encoded([batch.chips[i][1] for i in mine], vectors[mine])
                if last and not unit.scene.error:
                    self._finished.put(unit)
            self._passed += n
            batch.chips.clear()
            self._spare.put(batch)
        self._finished.close()

    def _write(self) -> None:
        """Commit units."""
        with Commits(self._store) as commits:
            for unit in self._finished:
                commits.add(unit.name, unit.table())
        self.tally.add(written=commits.written, already=commits.already)
