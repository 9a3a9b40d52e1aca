"""Chips of the simulated world to learn from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import SpecError
from indexer.landscape.tasks import SPLITS, split
from indexer.landscape.terrain import PIXEL
from indexer.landscape.world import SIMULATOR, SIZE, Landscape, pick
from indexer.pretrain.sources import circle
from indexer.pretrain.sources.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexer.landscape.world import Tile

POOL = 128
"""Tiles of a source, which is 840 square kilometres."""
DATES = 3
"""Months of each tile, four months apart."""
CHIPS = 8
"""Chips cut from a tile in one draw."""
DYNAMIC = ("optical", "sar", "coherence")


class Simulated:
    """Chips of a pool of tiles, of training bands only (see :func:`indexer.landscape.tasks.split`).

    A tile is made when it is first drawn from, in about half a second, and kept in half precision: 9 MB each. Chips
    are the same whether or not it was there.

    Parameters
    ----------
    regions
        Names of :data:`indexer.landscape.REGIONS`, with as many tiles each.
    seed
        Of the world.
    tiles
        In the pool.

    Raises
    ------
    SpecError
        If there is no region, or none of a name, or fewer tiles than regions.
    """

    def __init__(self, regions: Sequence[str], seed: int = 0, tiles: int = POOL) -> None:
        if not regions or len(set(regions)) != len(regions) or tiles < len(regions):
            raise SpecError(
                f"a simulated source needs regions, each once, and a tile of each, not {tiles} of "
                f"{', '.join(regions) or 'none'}."
            )
        self._landscapes = [Landscape(name, seed) for name in regions]
        self._seed = seed
        self._tiles = tiles
        self._kept: dict[int, Tile] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave the tiles behind: another process makes its own."""
        return {**self.__dict__, "_kept": {}}

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        """Draw chips at random; see :class:`indexer.pretrain.sources.batch.Source`.

        Raises
        ------
        SpecError
            If chips are larger than a tile, or more dates are asked for than a tile has.
        """
        if not 0 < size <= SIZE or not 0 < dates <= DATES or count < 1:
            raise SpecError(
                f"{count} chips of {size} pixels at {dates} dates cannot be drawn: a simulated tile has {SIZE} pixels "
                f"a side and {DATES} dates."
            )
        wanted = min(self._tiles, max(-(-count // CHIPS), min(count, 4)))
        chosen = rng.choice(self._tiles, wanted, replace=False)
        cuts = [
            _Cut(
                self._tile(int(chosen[i % wanted])),
                int(rng.integers(SIZE - size + 1)),
                int(rng.integers(SIZE - size + 1)),
                size,
            )
            for i in range(count)
        ]
        months = [rng.permutation(DATES)[:dates] for _ in range(count)]
        lon, lat = _centres(cuts)
        return tuple(_batch(cuts, [int(m[d]) for m in months], lon, lat) for d in range(dates))

    def describe(self) -> str:
        """Say in one line what it is."""
        names = ", ".join(land.region.name for land in self._landscapes)
        return f"simulated landscape {names} (simulator {SIMULATOR}, seed {self._seed}, {self._tiles} tiles)"

    def _tile(self, number: int) -> Tile:
        if number not in self._kept:
            land = self._landscapes[number % len(self._landscapes)]
            first = number // len(self._landscapes) % 4
            months = tuple(1 + first + 4 * k for k in range(DATES))
            self._kept[number] = _packed(land.tile(*_place(land, self._seed, number), months))
        return self._kept[number]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A square of a tile."""

    tile: Tile
    row: int
    col: int
    size: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[..., self.row : self.row + self.size, self.col : self.col + self.size]


def _place(land: Landscape, seed: int, number: int) -> tuple[int, int]:
    """Return the first of many random places whose tile lies in a training band with all its corners."""
    attempt = 0
    while True:
        row, col = pick(seed, land.region.name, 1000 * number + attempt)
        corners = land.corners(row, col)
        if (split(*corners) == SPLITS.index("train")).all():
            return row, col
        attempt += 1


def _packed(tile: Tile) -> Tile:
    """Return a tile with what changes by date in half precision."""
    halved = tuple(replace(s, pixels={n: v.astype(np.float16) for n, v in s.pixels.items()}) for s in tile.scenes)
    return replace(tile, scenes=halved)


def _centres(cuts: list[_Cut]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lon, lat = np.empty(len(cuts)), np.empty(len(cuts))
    for tile in {id(c.tile): c.tile for c in cuts}.values():
        mine = [i for i, c in enumerate(cuts) if c.tile is tile]
        middle = cuts[0].size / 2
        lon[mine], lat[mine] = tile.lonlat(
            np.array([cuts[i].row for i in mine]) + middle, np.array([cuts[i].col for i in mine]) + middle
        )
    return lon, lat


def _batch(cuts: list[_Cut], dates: list[int], lon: NDArray[np.float64], lat: NDArray[np.float64]) -> Batch:
    """Cut chips at one date each."""
    seen = [cut.tile.scenes[date] for cut, date in zip(cuts, dates, strict=True)]
    pixels = {n: np.stack([c.of(s.pixels[n]) for c, s in zip(cuts, seen, strict=True)]) for n in DYNAMIC}
    pixels |= {n: np.stack([c.of(c.tile.pixels[n]) for c in cuts]) for n in ("terrain", "canopy")}
    heights = pixels["terrain"][:, 0].mean(axis=(1, 2))
    climate = [c.tile.climate(heights[i : i + 1], s.month)[0] for i, (c, s) in enumerate(zip(cuts, seen, strict=True))]
    return Batch(
        {name: values.astype(np.float32) for name, values in pixels.items()},
        {
            name: np.stack([c.of(c.tile.classes[name]) for c in cuts]).astype(np.int64)
            for name in ("land_cover", "dynamic_world")
        },
        {
            "climate": np.stack(climate),
            "lat": circle.angles(lat),
            "lon": circle.angles(lon),
            "month": circle.months([s.month for s in seen]),
        },
        {name: np.array([c.tile.labels[name] for c in cuts], np.int64) for name in ("biome", "ecoregion")},
        lon,
        lat,
        PIXEL,
    )
