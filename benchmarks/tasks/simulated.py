"""The simulated landscape as tasks: four covers of a chip, several sensors, bands of land held out.

Chips of 64 pixels (640 m), sixteen of a tile, of tiles scattered over a region, each in a month of its own. The truth,
the thresholds and the split are those of :mod:`indexer.landscape.tasks`.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tasks.task import Chips, Task
from embedstore.sealed import write_bytes
from embedstore.spec import digest
from indexer.landscape import SIMULATOR, Landscape
from indexer.landscape.tasks import SPLITS, TASKS, THRESHOLDS, fractions, split
from indexer.landscape.world import SIZE, TILES
from indexer.pretrain.modalities import COHERENCE, OPTICAL, SAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FOLDER = Path("benchmarks/data/simulated")
SIDE = 64
BANDS = {"optical": OPTICAL, "sar": SAR, "coherence": COHERENCE}
EVERY = "every"
"""Name of all sensors together."""
SEED = 7
"""Of the places and the months."""
TESTED = 2
"""Chips to learn from for one that is tested."""
TRAIN, TEST = SPLITS.index("train"), SPLITS.index("test")


@dataclass(frozen=True, eq=False)
class World:
    """Chips of a region through every sensor.

    Parameters
    ----------
    name
        The region's, with all that the chips follow from.
    pixels
        By sensor, float16, shape (n, bands, 64, 64), mapped from a file.
    fractions
        By task, shape (n,).
    tile
        Number of each chip's tile, shape (n,).
    learned
        Whether a chip lies in a band to learn from; else in one to test on. Shape (n,).
    """

    name: str
    pixels: Mapping[str, NDArray[np.float16]]
    fractions: Mapping[str, NDArray[np.float64]]
    tile: NDArray[np.int64]
    learned: NDArray[np.bool_]

    def chips(self, sensor: str, bands: tuple[str, ...] | None = None, at: NDArray[np.int64] | None = None) -> Chips:
        """Return the chips of one sensor; some bands, and some chips, if asked for."""
        pixels = self.pixels[sensor] if at is None else self.pixels[sensor][at]
        valid = np.broadcast_to(np.True_, (len(pixels), SIDE, SIDE))
        name = f"{self.name}/{sensor}"
        known = digest([name, None if at is None else at.tolist()])
        made = Chips(name, BANDS[sensor], pixels, valid, known)
        return made.select(bands) if bands else made

    def split(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what to learn from and what to test on."""
        return np.flatnonzero(self.learned), np.flatnonzero(~self.learned)


def world(region: str, count: int, folder: Path = FOLDER) -> World:
    """Return `count` chips of a region to learn from and half as many to test on; they are made once and kept.

    Raises
    ------
    SpecError
        If there is no such region.
    """
    name = f"{region}-simulator{SIMULATOR}-{SEED}-{count}"
    kept = folder / name
    if not (kept / "meta.npz").is_file():
        _make(region, count, kept)
    meta = np.load(kept / "meta.npz")
    pixels = {sensor: np.load(kept / f"{sensor}.npy", mmap_mode="r") for sensor in BANDS}
    shares = {task: meta[task].astype(np.float64) for task in TASKS}
    return World(name, pixels, shares, meta["tile"], meta["learned"])


def tasks(region: str, count: int, folder: Path = FOLDER) -> dict[str, Task]:
    """Return the tasks of a region by name, ``REGION/COVER/SENSOR``, each cover by each sensor and by all of them."""
    seen = world(region, count, folder)
    train, test = seen.split()
    random = np.random.default_rng(SEED).permutation(len(seen.tile))
    made = {}
    for cover, share in seen.fractions.items():
        labels = (share >= THRESHOLDS[cover]).astype(np.int64)
        for sensors in (*((s,) for s in BANDS), tuple(BANDS)):
            name = f"{region}/{cover}/{sensors[0] if len(sensors) == 1 else EVERY}"
            first, *beside = (seen.chips(s) for s in sensors)
            through = sensors[0] if len(sensors) == 1 else "every sensor"
            made[name] = Task(
                name,
                f"simulated region {region}: {cover} by {through}, bands of land held out",
                first,
                (f"no {cover}", cover),
                labels,
                share,
                seen.tile,
                ((train, test),),
                ((random[: len(train)], random[len(train) :]),),
                beside=tuple(beside),
            )
    return made


def _make(region: str, count: int, kept: Path) -> None:
    """Walk over tiles in random order until there are enough chips of both kinds, and keep them."""
    rng = np.random.default_rng(SEED)
    land = Landscape(region)
    wanted = {TRAIN: count, TEST: -(-count // TESTED)}
    total = sum(wanted.values())
    found = {TRAIN: 0, TEST: 0}
    kept.mkdir(parents=True, exist_ok=True)
    pixels = {
        s: np.lib.format.open_memmap(kept / f"{s}.npy", "w+", np.float16, (total, len(b), SIDE, SIDE))
        for s, b in BANDS.items()
    }
    meta: dict[str, list[NDArray[Any]]] = {name: [] for name in (*TASKS, "tile", "learned")}
    at = 0
    for place in rng.permutation(TILES**2).tolist():
        if found == wanted:
            break
        row, col = divmod(place, TILES)
        month = int(rng.integers(1, 13))
        corner = np.arange(0, SIZE, SIDE)
        tops, lefts = (a.ravel() for a in np.meshgrid(corner, corner, indexing="ij"))
        parts = split(*_lonlat(land, row, col, tops + SIDE / 2, lefts + SIDE / 2))
        chosen = np.concatenate([np.flatnonzero(parts == p)[: wanted[p] - found[p]] for p in (TRAIN, TEST)])
        if not len(chosen):
            continue
        tile = land.tile(row, col, (month,))
        boxes = [np.s_[..., t : t + SIDE, c : c + SIDE] for t, c in zip(tops[chosen], lefts[chosen], strict=True)]
        for sensor, into in pixels.items():
            into[at : at + len(chosen)] = np.stack([tile.scenes[0].pixels[sensor][b] for b in boxes])
        for cover, share in fractions(np.stack([tile.classes["land_cover"][b] for b in boxes])).items():
            meta[cover].append(share)
        meta["tile"].append(np.full(len(chosen), place))
        meta["learned"].append(parts[chosen] == TRAIN)
        for part in found:
            found[part] += int((parts[chosen] == part).sum())
        at += len(chosen)
    for into in pixels.values():
        into.flush()
    with tempfile.TemporaryFile() as file:
        np.savez(file, allow_pickle=False, **{name: np.concatenate(values) for name, values in meta.items()})
        file.seek(0)
        write_bytes(kept / "meta.npz", file.read())


def _lonlat(
    land: Landscape, row: int, col: int, rows: NDArray[Any], cols: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return degrees of positions in a tile, between those of its corners: a tile is small enough for that."""
    lon, lat = (np.asarray(c).reshape(-1)[[0, 1, 3, 2]].reshape(2, 2) for c in land.corners(row, col))
    down, right = rows / SIZE, cols / SIZE
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    return tuple((weights * c.reshape(4, 1)).sum(axis=0) for c in (lon, lat))
