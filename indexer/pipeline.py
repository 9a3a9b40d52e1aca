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
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import InputError
from indexer.channel import Channel, Stopped
from indexer.rasters import block_cache
from indexer.thumbnails import Painter
from indexer.units import TILE, Scene, Tile, Unit, pending

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from embedstore.store import Store
    from indexer.bands import Bands
    from indexer.encoders.base import Encoder
    from indexer.rasters import Reader

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

    def __init__(self, capacity: int, bands: int, size: int) -> None:
        self.pixels = np.empty((capacity, bands, size, size), np.float32)
        self.valid = np.empty((capacity, size, size), bool)
        self.chips: list[tuple[Unit, int]] = []

    @property
    def full(self) -> bool:
        """Whether there is no room left."""
        return len(self.chips) == len(self.valid)

    def add(self, unit: Unit, at: int, stored: NDArray[Any], valid: NDArray[np.bool_], bands: Bands) -> None:
        """Bring a chip in, in physical units."""
        n = len(self.chips)
        bands.physical(stored, self.pixels[n])
        self.valid[n] = valid
        self.chips.append((unit, at))


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
    """

    def __init__(self, scenes: Sequence[Scene], encoder: Encoder, store: Store, asked: Store) -> None:
        self.tally = Tally()
        self._encoder = encoder
        self._store = store
        self._modality = encoder.spec.modalities[0]
        chip = 4 * len(self._modality.bands) * encoder.spec.chip_size**2
        self._capacity = max(1, min(encoder.batch, BATCH_BYTES // chip))
        # Reading takes a fraction of the time of a forward pass; more readers than that only fight over the caches.
        readers = max(1, min(MOST_READERS, (os.cpu_count() or 1) // 2))
        # As many chips wait as keep the lanes busy while the next tile is read.
        self._batches: Channel[Batch] = Channel(encoder.lanes + max(2, AHEAD // self._capacity), readers)
        self._finished: Channel[Unit] = Channel(2, readers + encoder.lanes)
        self._spare: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._rasters = [scene.plan.raster for scene in scenes]
        self._tiles = self._plan(scenes, asked)
        self._turn = threading.Lock()
        self._error: BaseException | None = None
        self._idle = threading.Event()
        self._passed = 0
        self._threads = [
            *(threading.Thread(target=self._guard, args=(self._read,), name=f"reader-{i}") for i in range(readers)),
            *(
                threading.Thread(target=self._guard, args=(self._encode,), name=f"lane-{i}")
                for i in range(encoder.lanes)
            ),
            threading.Thread(target=self._guard, args=(self._write,), name="writer"),
        ]

    def run(self, progress: Callable[[int], None]) -> None:
        """Work until all is done; call `progress` now and then with the chips dealt with.

        Raises
        ------
        The first error of any thread, after all of them have ended.
        """
        with block_cache(self._rasters, len(self._modality.bands), TILE):
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

    def _plan(self, scenes: Sequence[Scene], asked: Store) -> Iterator[Tile]:
        """Yield the tiles of all units in turn."""
        for scene in scenes:
            for unit, already in pending(scene, asked, self._encoder.spec.fingerprint):
                self.tally.add(already=already)
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
        reader: Reader | None = None
        scene: Scene | None = None
        try:
            while tile := self._next_tile():
                if tile.unit.scene.error:
                    continue
                try:
                    if reader is None or tile.unit.scene is not scene:
                        if reader:
                            reader.close()
                            reader = None
                        scene = tile.unit.scene
                        reader = scene.plan.raster.reader(self._modality.bands)
                        painter = Painter(self._modality, reader.bands, self._encoder.spec.chip_size)
                    batch = self._cut(tile, reader, painter, batch)
                except InputError as error:
                    tile.unit.scene.error = tile.unit.scene.error or error
            if batch.chips:
                self._batches.put(batch)
        finally:
            if reader:
                reader.close()
        self._batches.close()
        self._finished.close()

    def _new_batch(self) -> Batch:
        """Return an empty batch, in memory used before if there is some."""
        with suppress(queue.Empty):
            return self._spare.get_nowait()
        return Batch(self._capacity, len(self._modality.bands), self._encoder.spec.chip_size)

    def _cut(self, tile: Tile, reader: Reader, painter: Painter, batch: Batch) -> Batch:
        """Read a tile and add its chips to a batch; return the batch that has room."""
        unit, size = tile.unit, self._encoder.spec.chip_size
        top, left, height, width = tile.window()
        stored, valid = reader.stored(top, left, height, width)
        light = painter.stretch(stored, valid)
        whole = bool(valid.all())
        for at in tile.at.tolist():
            row, col = int(unit.block.row[at]) - top, int(unit.block.col[at]) - left
            window = (slice(row, row + size), slice(col, col + size))
            fraction = 1.0 if whole else float(valid[window].mean())
            if fraction == 0:
                unit.scene.without_data += 1
                self.tally.add(empty=1)
                self._passed += 1
                if unit.skip():
                    self._finished.put(unit)
                continue
            unit.scene.with_data += 1
            unit.read(at, fraction, painter.thumbnail(light, row, col))
            batch.add(unit, at, stored[:, *window], valid[window], reader.bands)
            if batch.full:
                self._batches.put(batch)
                batch = self._new_batch()
        return batch

    def _encode(self) -> None:
        """Turn batches into vectors, and send finished units on."""
        for batch in self._batches:
            n = len(batch.chips)
            vectors = self._encoder.encode({self._modality.name: batch.pixels[:n]}, batch.valid[:n])
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
        for unit in self._finished:
            table = unit.table()
            written = self._store.append(table, unit.name)
            self.tally.add(written=written, already=len(table) - written)
