"""The landscape: tiles of a world that does not exist, through every sensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from embedstore.errors import SpecError
from indexer.landscape import climate, ground, optical, radar, regions, seasons
from indexer.landscape.noise import Noise, salt
from indexer.landscape.terrain import PIXEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground
    from indexer.landscape.regions import Region

SIMULATOR = 1
"""Raised when the same seed gives another world: what was learned and measured in one says little of the other."""
SIZE = 256
"""Side of a tile in pixels."""
MARGIN = 12
"""Pixels computed around a tile, so that filters see beyond its edge."""
TILES = 160
"""A region has as many tiles along each side: 410 km, within its UTM zone."""


@dataclass(frozen=True)
class Scene:
    """A tile in one month.

    Parameters
    ----------
    month
        1 to 12.
    pixels
        ``optical``, ``sar`` and ``coherence``, float32, shape (channels, 256, 256), as
        :mod:`indexer.pretrain.modalities` says.
    """

    month: int
    pixels: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Tile:
    """A square of 256 x 256 pixels of 10 m.

    Parameters
    ----------
    region, row, col
        Where it is; rows run south.
    pixels
        ``terrain`` and ``canopy``, float32, shape (channels, 256, 256).
    classes
        ``land_cover`` and ``dynamic_world``, int8, shape (256, 256).
    labels
        ``biome`` and ``ecoregion``.
    warmth, wetness
        Degrees warmer and times as wet as the region is.
    scenes
        One a month that was asked for, in that order.
    """

    region: Region
    row: int
    col: int
    pixels: Mapping[str, NDArray[np.float32]]
    classes: Mapping[str, NDArray[np.int8]]
    labels: Mapping[str, int]
    warmth: float
    wetness: float
    scenes: tuple[Scene, ...]

    @property
    def transform(self) -> Any:
        """Affine transform from (column, row) to metres of the region's UTM zone."""
        return _transform(self.region, self.row, self.col)

    def lonlat(self, rows: Any, cols: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes in degrees of positions in pixels, shape (n,)."""
        return _lonlat(self.region, self.transform, rows, cols)

    def climate(self, elevation: NDArray[np.float32], month: int) -> NDArray[np.float32]:
        """Return the numbers of :data:`indexer.pretrain.modalities.CLIMATE` at heights, shape (n, 12)."""
        return climate.values(self.region, elevation, month, self.warmth, self.wetness)


class Landscape:
    """A region of the simulated world.

    Every value is a function of the seed and the place, so tiles fit together, and come out the same in any order.

    Parameters
    ----------
    region
        A name of :data:`indexer.landscape.REGIONS`.
    seed
        Another one is another world with the same regions.
    clouds
        Share of the sky that optical scenes have under clouds.

    Raises
    ------
    SpecError
        If there is no such region, or clouds are no share.
    """

    def __init__(self, region: str, seed: int = 0, clouds: float = 0.0) -> None:
        if not 0 <= clouds < 1:
            raise SpecError(f"clouds cover a share of the sky, from 0 to below 1, not {clouds}.")
        self.region = regions.find(region)
        self.seed = seed
        self.clouds = clouds

    def tile(self, row: int, col: int, months: Sequence[int] = (4, 7)) -> Tile:
        """Return a tile as it looks in some months.

        Parameters
        ----------
        row, col
            Of the tile, 0 to 159 each, from the north-western corner of the region.
        months
            1 to 12.

        Raises
        ------
        SpecError
            If there is no such tile or month.
        """
        land = self.ground(row, col)
        return self.seen(land, row, col, months)

    def ground(self, row: int, col: int) -> Ground:
        """Return a tile's world without its seasons, with a margin around it: the slower half of :meth:`tile`."""
        if not (0 <= row < TILES and 0 <= col < TILES):
            raise SpecError(
                f"there is no tile ({row}, {col}) in {self.region.name}: rows and columns run to {TILES - 1}."
            )
        noise = Noise(self._name, row * SIZE - MARGIN, col * SIZE - MARGIN, SIZE + 2 * MARGIN)
        with _one_thread():
            return ground.survey(noise, self.region)

    def corners(self, row: int, col: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitudes and latitudes of a tile's corners in degrees, in the order of a ring, open."""
        return _lonlat(self.region, _transform(self.region, row, col), [0, SIZE, SIZE, 0], [0, 0, SIZE, SIZE])

    def seen(self, land: Ground, row: int, col: int, months: Sequence[int]) -> Tile:
        """Return a tile from its ground."""
        wrong = [m for m in months if m not in range(1, 13)]
        if wrong:
            raise SpecError(f"there is no month {wrong[0]}; months are 1 to 12.")
        with _one_thread():
            return self._seen(land, row, col, months)

    def _seen(self, land: Ground, row: int, col: int, months: Sequence[int]) -> Tile:
        highland = bool(_within(land.terrain.mountain).mean() > 0.5)
        region = self.region
        return Tile(
            region,
            row,
            col,
            {
                "terrain": _within(np.stack([land.terrain.elevation, np.degrees(np.arctan(land.terrain.slope))])),
                "canopy": _within(np.stack([land.height, land.height_std])),
            },
            {"land_cover": _within(land.land_cover), "dynamic_world": _within(land.dynamic_world())},
            {"biome": region.highland_biome if highland else region.biome, "ecoregion": region.ecoregion + highland},
            float(_within(1.2 * land.noise.smooth("warmth", 3000)).mean()),
            float(_within(np.exp(0.15 * land.noise.smooth("wetness", 2500))).mean()),
            tuple(self._scene(land, row, month) for month in months),
        )

    def _lat(self, row: int) -> float:
        """Return about the latitude of a row of tiles: a degree of the meridian is 111 km."""
        north = self.region.north - (10_000_000 if self.region.epsg >= 32700 else 0)
        return (north - row * SIZE * PIXEL) / 111_000

    @cached_property
    def _name(self) -> str:
        return f"{SIMULATOR}/{self.seed}/{self.region.name}"

    def _scene(self, land: Ground, row: int, month: int) -> Scene:
        surface = seasons.dress(land, month)
        pixels = {
            "optical": optical.see(land, surface, month, self._lat(row), self.clouds),
            "sar": radar.backscatter(land, surface, month),
            "coherence": radar.coherences(land, surface, month),
        }
        return Scene(month, {name: _within(values) for name, values in pixels.items()})


def _within(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values[..., MARGIN:-MARGIN, MARGIN:-MARGIN])


def _transform(region: Region, row: int, col: int) -> Any:
    from affine import Affine  # noqa: PLC0415 - rasterio's

    side = SIZE * PIXEL
    return Affine(PIXEL, 0, region.east + col * side, 0, -PIXEL, region.north - row * side)


def _one_thread() -> Any:
    """Keep the products of a tile, which are small, to one thread: a second only waits, and doubles the work."""
    return threadpool_limits(1, user_api="blas")


def _lonlat(region: Region, at: Any, rows: Any, cols: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from rasterio.warp import transform  # noqa: PLC0415 - slow to import

    x, y = at.c + PIXEL * np.asarray(cols, np.float64), at.f - PIXEL * np.asarray(rows, np.float64)
    lon, lat = transform(f"EPSG:{region.epsg}", "OGC:CRS84", x, y)[:2]
    return np.array(lon), np.array(lat)


def pick(seed: int, region: str, number: int) -> tuple[int, int]:
    """Return the row and column of one of many tiles spread at random over a region."""
    rng = np.random.default_rng((seed, salt(region), number))
    row, col = rng.integers(0, TILES, 2)
    return int(row), int(col)
