"""Chips of the scenes in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache

from embedstore.errors import RasterError, SpecError
from embedstore.spec import digest
from indexer.pretrain.modalities import CLASSES, LABELS, PIXELS, VALUES
from indexer.pretrain.sources import circle, scenes
from indexer.pretrain.sources.batch import Batch
from indexer.pretrain.sources.layers import GSD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.pretrain.sources.layers import Grid
    from indexer.pretrain.sources.scenes import Scene

TILE = 512
"""Side of what is read and kept at once, in pixels of 10 m; chips do not reach across."""
KEPT = 512 << 20
"""Bytes of tiles that are kept."""
CHIPS = 4
"""Cut from a tile in one draw, since reading it costs far more than a chip."""
LEAST_DATA = 0.5
"""Share of a chip's pixels that are data in some channel, at each date."""
TRIES = 64
"""For a chip with that much data, in as many tiles."""

Tile = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of ground.

    Parameters
    ----------
    grid
        Where its pixels lie.
    scenes
        What was seen of it, the oldest first.
    """

    grid: Grid
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A chip to be: the tiles that it is cut from at each date, and where.

    Parameters
    ----------
    place
        Its place.
    scenes
        One for each date.
    tiles
        Their pixels around it.
    row, col
        Of its corner in the place, in pixels of 10 m.
    inside
        Of its corner in the tiles.
    """

    place: Place
    scenes: tuple[Scene, ...]
    tiles: tuple[Tile, ...]
    row: int
    col: int
    inside: tuple[int, int]


class Folder:
    """Chips drawn at random from the scenes of a folder, in pixels of 10 m; see :mod:`indexer.pretrain.sources.scenes`.

    Places are drawn by their area. Scenes of the same grid show the same ground at several dates.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    RasterError
        If it holds no scenes, or one of them cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        told = scenes.Told.read(self._path)
        found = scenes.find(self._path, told)
        grids: dict[Grid, list[Scene]] = {}
        for scene in found:
            grids.setdefault(scene.grid, []).append(scene)
        self._places = tuple(Place(g, tuple(sorted(s, key=_moment))) for g, s in grids.items())
        self._described = _describe(self._path, found, len(self._places), told.attribution)
        self._kept: LRUCache[Any, Tile] = _cache()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the tiles behind: another process reads its own."""
        return {**self.__dict__, "_kept": _cache()}

    def describe(self) -> str:
        """Say in one line what it is."""
        return self._described

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        """Draw chips at random; see :class:`indexer.pretrain.sources.batch.Source`.

        Raises
        ------
        SpecError
            If no place is as large, or was seen as often.
        RasterError
            If a scene cannot be read, or chips with data are hardly to be found.
        """
        able = [p for p in self._places if len(p.scenes) >= dates and min(p.grid.shape) >= size]
        if not able:
            raise SpecError(
                f"no place in {self._path} has {dates} {'scenes' if dates > 1 else 'scene'} of at least {size} x "
                f"{size} pixels of {GSD:g} m; add scenes, or choose a recipe that needs less."
            )
        areas = np.array([p.grid.shape[0] * p.grid.shape[1] for p in able], float)
        cuts: list[Cut] = []
        for _ in range(TRIES * -(-count // CHIPS)):
            place = able[int(rng.choice(len(able), p=areas / areas.sum()))]
            cuts += self._cuts(place, min(CHIPS, count - len(cuts)), size, dates, rng)
            if len(cuts) == count:
                return tuple(_batch(cuts, size, date) for date in range(dates))
        raise RasterError(
            f"chips of {size} pixels of which half are data are hardly to be found in {self._path}: {len(cuts)} of "
            f"{count}. Check nodata and masks, and leave empty scenes out."
        )

    def _cuts(self, place: Place, count: int, size: int, dates: int, rng: np.random.Generator) -> list[Cut]:
        """Cut chips from a tile drawn at random; fewer than asked for, where it holds little data."""
        side = max(TILE, size)
        top, left = (int(rng.integers(-(-whole // side))) * side for whole in place.grid.shape)
        height, width = (min(side, whole) for whole in place.grid.shape)
        top, left = min(top, place.grid.shape[0] - height), min(left, place.grid.shape[1] - width)
        seen = tuple(place.scenes[i] for i in rng.permutation(len(place.scenes))[:dates])
        tiles = tuple(self._tile(scene, top, left, height, width) for scene in seen)
        cuts = []
        for _ in range(count):
            row, col = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
            held = [tile["seen"][row : row + size, col : col + size].mean() for tile in tiles]
            if min(held) >= LEAST_DATA:
                cuts.append(Cut(place, seen, tiles, top + row, left + col, (row, col)))
        return cuts

    def _tile(self, scene: Scene, row: int, col: int, height: int, width: int) -> Tile:
        key = (scene.layers[0].path, row, col, height, width)
        if key not in self._kept:
            tile: Tile = {layer.name: layer.read(row, col, height, width) for layer in scene.layers}
            seen = [np.isfinite(tile[n]).any(axis=0) if n in PIXELS else tile[n] >= 0 for n in tile]
            tile["seen"] = np.logical_or.reduce(seen)
            if _bytes(tile) > KEPT:
                return tile
            self._kept[key] = tile
        return self._kept[key]


def _cache() -> LRUCache[Any, Tile]:
    return LRUCache(KEPT, _bytes)


def _bytes(tile: Tile) -> int:
    return sum(layer.nbytes for layer in tile.values())


def _moment(scene: Scene) -> tuple[str, str]:
    return (scene.when.isoformat() if scene.when else "", str(scene.layers[0].path))


def _describe(path: Path, found: list[Scene], places: int, attribution: str) -> str:
    files = [(str(layer.path.name), layer.path.stat().st_size) for scene in found for layer in scene.layers]
    names = [n for n in (*PIXELS, *CLASSES) if any(n == layer.name for scene in found for layer in scene.layers)]
    when = sorted(scene.when.date().isoformat() for scene in found if scene.when)
    simulated = sum(scene.simulated for scene in found)
    parts = [
        f"{len(found)} scenes of {places} places ({', '.join(names)})",
        f"{simulated} of them simulated" if simulated else "",
        f"{when[0]} to {when[-1]}" if when else "",
        f"folder {path.resolve().name} ({digest(files)[:8]})",
        attribution,
    ]
    return ", ".join(part for part in parts if part)


def _batch(cuts: list[Cut], size: int, date: int) -> Batch:
    """Cut the chips of one date."""

    def layers(known: Any, missing: float, dtype: Any, channels: Any) -> dict[str, Any]:
        out = {}
        for name in known:
            if any(name in cut.tiles[date] for cut in cuts):
                out[name] = np.full((len(cuts), *channels(name), size, size), missing, dtype)
                for chip, cut in zip(out[name], cuts, strict=True):
                    if name in cut.tiles[date]:
                        (row, col), tile = cut.inside, cut.tiles[date][name]
                        chip[...] = tile[..., row : row + size, col : col + size]
        return out

    lon, lat = _centres(cuts, size)
    scenes_ = [cut.scenes[date] for cut in cuts]
    values = {
        name: np.array([s.values.get(name, (np.nan,) * VALUES[name]) for s in scenes_], np.float32)
        for name in VALUES
        if any(name in s.values for s in scenes_)
    }
    months = np.array([s.when.month if s.when else np.nan for s in scenes_])
    values |= {"lat": circle.angles(lat), "lon": circle.angles(lon), "month": circle.months(months)}
    labels = {
        name: np.array([s.labels.get(name, -1) for s in scenes_], np.int64)
        for name in LABELS
        if any(name in s.labels for s in scenes_)
    }
    return Batch(
        layers(PIXELS, np.nan, np.float32, lambda name: (len(PIXELS[name]),)),
        layers(CLASSES, -1, np.int64, lambda _: ()),
        values,
        labels,
        lon,
        lat,
        GSD,
    )


def _centres(cuts: list[Cut], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = np.empty(len(cuts)), np.empty(len(cuts))
    for place in {id(c.place): c.place for c in cuts}.values():
        mine = [i for i, c in enumerate(cuts) if c.place is place]
        at = np.array([[cuts[i].row, cuts[i].col] for i in mine]) + size / 2
        lon[mine], lat[mine] = place.grid.lonlat(at[:, 0], at[:, 1])
    return lon, lat
