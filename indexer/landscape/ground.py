"""What lies where, all year: land cover, stands of plants, soils, canopies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexer.landscape import parcels as parcelling
from indexer.landscape import terrain as relief
from indexer.landscape import towns as building
from indexer.landscape.noise import Noise, above, blur, step, uniform
from indexer.pretrain.modalities import DYNAMIC_WORLD, LAND_COVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.parcels import Parcels
    from indexer.landscape.regions import Region
    from indexer.landscape.terrain import Terrain
    from indexer.landscape.towns import Towns

CLASS = {name: i for i, name in enumerate(LAND_COVER)}
LAPSE = 0.0065
"""Degrees Celsius that a metre of height takes away (the ICAO standard atmosphere)."""
STANDS = np.array(
    [
        # woody, herbs, mangroves, moss, water, snow: what grows on each class; the rest is ground.
        (0.90, 0.08, 0, 0, 0, 0),
        (0.42, 0.34, 0, 0, 0, 0),
        (0.02, 0.88, 0, 0, 0, 0),
        (0.00, 0.00, 0, 0, 0, 0),
        (0.00, 0.00, 0, 0, 0, 0),
        (0.00, 0.07, 0, 0, 0, 0),
        (0.00, 0.00, 0, 0, 0, 0.97),
        (0.00, 0.20, 0, 0, 0.3, 0),
        (0.05, 0.66, 0, 0, 0.22, 0),
        (0.00, 0.00, 0.88, 0, 0.08, 0),
        (0.00, 0.12, 0, 0.66, 0, 0),
    ],
    np.float32,
)
TO_DYNAMIC_WORLD = np.array(
    [
        DYNAMIC_WORLD.index(name)
        for name in (
            *("trees", "shrubs", "grass", "crops", "built", "bare", "snow", "water"),
            *("flooded vegetation", "flooded vegetation", "grass"),
        )
    ]
)


@dataclass(frozen=True)
class Ground:
    """One window of the world without its seasons; arrays are float32 of shape (h, w) unless said otherwise.

    Parameters
    ----------
    noise, region, terrain, parcels, towns
        What it was made from.
    under
        int8, the land-cover class if nothing were built there and no water stood.
    land_cover
        int8, the class that is seen.
    stand
        Shares of woody plants, herbs, mangroves, moss, water and snow, shape (6, h, w).
    needles
        Share of woody plants that keep needles.
    hedge
        Share under trees along parcels.
    soils
        Shares of grounds that add to one, shape (5, h, w).
    vigour
        Standard normal: how well plants do.
    height, height_std
        Of trees, in metres.
    """

    noise: Noise
    region: Region
    terrain: Terrain
    parcels: Parcels
    towns: Towns
    under: NDArray[np.int8]
    land_cover: NDArray[np.int8]
    stand: NDArray[np.float32]
    needles: NDArray[np.float32]
    hedge: NDArray[np.float32]
    soils: NDArray[np.float32]
    vigour: NDArray[np.float32]
    height: NDArray[np.float32]
    height_std: NDArray[np.float32]

    def dynamic_world(self) -> NDArray[np.int8]:
        """Return the map as another maker draws it: rounder, and unsure of some parcels.

        Returns
        -------
        int8, the code of :data:`indexer.pretrain.modalities.DYNAMIC_WORLD`.
        """
        doubt = self.parcels.share("doubt")[self.parcels.index]
        seen = TO_DYNAMIC_WORLD[self.land_cover]
        crops, grass = DYNAMIC_WORLD.index("crops"), DYNAMIC_WORLD.index("grass")
        seen = np.where((seen == crops) & (doubt < 0.06), grass, seen)
        seen = np.where((seen == grass) & (doubt > 0.9), crops, seen)
        votes = [blur((seen == c).astype(np.float32), 1.0) for c in range(len(DYNAMIC_WORLD))]
        return np.asarray(np.argmax(votes, axis=0).astype(np.int8))


def survey(noise: Noise, region: Region) -> Ground:
    """Return the ground of a window."""
    terrain = relief.shape(noise, region)
    parcels = parcelling.divide(noise, region)
    under = _cover(noise, region, terrain, parcels)
    farmed = (under == CLASS["crops"]) | (under == CLASS["grass"])
    towns = building.settle(noise, region, terrain, parcels, farmed)
    vigour = 0.75 * noise.fractal("vigour", 18, 4) + 0.65 * noise.smooth("fertility", 160)
    stand = np.ascontiguousarray(STANDS[under].transpose(2, 0, 1))
    lively = (0.92 + 0.14 * vigour + 0.12 * noise.smooth("density", 90)).clip(0.3, 1.1).astype(np.float32)
    stand[:2] *= np.minimum(lively, 0.98 / np.maximum(stand[:2].sum(axis=0), np.float32(0.02)))
    _scatter_trees(noise, region, under, stand)
    hedge = _hedges(noise, region, terrain, parcels, farmed)
    clump = noise.smooth("needles", 60) + 0.6 * uniform(parcels.block.ident, 31) + 1.4 * terrain.mountain
    needles = step(clump, above(region.needles), above(region.needles) + 0.9)
    land_cover = _seen(terrain, towns, stand, hedge, under)
    height, height_std = _canopy(noise, region, stand, hedge + towns.shade, needles)
    return Ground(
        noise, region, terrain, parcels, towns, under, land_cover, stand, needles, hedge,
        _soils(noise, region, terrain), vigour.astype(np.float32), height, height_std,
    )  # fmt: skip


def _cover(noise: Noise, region: Region, terrain: Terrain, parcels: Parcels) -> NDArray[np.int8]:
    """Return the class of the land itself, from heights, wetness, what people farm, and chance."""
    slope, warmth = terrain.slope, region.warmth - LAPSE * terrain.elevation
    moist = min(1.0, region.rain / 800)
    bush = noise.fractal("bush", 60, 6, 0.6)
    cover = np.where(bush > 0.35 + 0.5 * moist, CLASS["shrubs"], CLASS["grass"])
    dry = noise.fractal("bare", 90, 6, 0.55) + 0.6 * terrain.mountain
    cover = np.where(dry > above(region.arid), CLASS["bare"], cover)
    # Pits and gravel are bright and rough, as towns are.
    pit = noise.cells("pits", 120, 0.9)
    reach = 2.5 + 10 * uniform(pit.ident, 32) + 5 * bush
    dug = (uniform(pit.ident, 33) < 0.22) & (pit.distance < reach) & (slope < 0.25)
    steep = step(slope, 0.05, 0.3)
    wood = noise.fractal("forest", 110, 8, 0.62) + moist * (1.0 * steep + 0.7 * terrain.mountain)
    farm = noise.fractal("farms", 120, 6, 0.5) > above(region.farms) + 2.5 * (steep > 0.3)
    lot = parcels.share("use")[parcels.index]
    field = np.where(lot < region.meadows, CLASS["grass"], CLASS["crops"])
    field = np.where(lot > 0.975, CLASS["trees"], field)
    cover = np.where(farm, np.where(parcels.circle < 0, CLASS["grass"], field), cover)
    cover = np.where((parcels.circle > 0) & (slope < 0.1), CLASS["crops"], cover)
    cover = np.where(wood > above(region.forest), CLASS["trees"], cover)
    cover = np.where(dug, CLASS["bare"], cover)
    bank = terrain.river - terrain.channel
    flood = noise.fractal("marsh", 40, 5, 0.6)
    low = ((bank < 14 + 10 * flood) & (flood > 0.25)) | (terrain.lake > -0.22 - 0.1 * flood)
    swamp = CLASS["mangroves"] if region.mangroves else CLASS["wetland"]
    cover = np.where(low & (slope < 0.06), np.where(flood > 0.9, CLASS["wetland"], swamp), cover)
    bar = (bank < 3.2 * (0.6 + noise.smooth("bars", 12))) & (slope < 0.08)
    cover = np.where(bar, CLASS["bare"], cover)
    bosk = 1.6 + 1.5 * noise.smooth("bosks", 20) + 1.4 * (moist - 1) - 4 * (noise.smooth("brooks", 130) < -0.5)
    cover = np.where(terrain.stream < bosk, CLASS["trees"], cover)
    cold = warmth + 0.8 * bush
    cover = np.where(cold < 2.2, np.where(bush > 0.6, CLASS["shrubs"], CLASS["grass"]), cover)
    cover = np.where(cold < 0.3, np.where(dry > 1.2, CLASS["bare"], CLASS["moss"]), cover)
    cover = np.where((cold < -1.2) | ((slope > 0.85) & (bush > -0.2)), CLASS["bare"], cover)
    return np.asarray(np.where(cold + 2 * slope < -1.6, CLASS["snow"], cover), np.int8)


def _scatter_trees(noise: Noise, region: Region, under: NDArray[np.int8], stand: NDArray[np.float32]) -> None:
    """Let single trees stand in grass and bush, and glades in woods."""
    single = noise.white("trees")
    sparse = noise.fractal("savanna", 50, 3)
    open_ = (under == CLASS["grass"]) | (under == CLASS["shrubs"])
    tree = open_ & (single > 2.7 - 1.5 * region.forest * region.evergreen - 0.7 * sparse)
    glade = (under == CLASS["trees"]) & (single > 2.6 - 0.5 * sparse)
    for where, woody, herbs in ((tree, 0.75, 0.2), (glade, 0.35, 0.5)):
        stand[0][where], stand[1][where] = woody, herbs


def _hedges(
    noise: Noise, region: Region, terrain: Terrain, parcels: Parcels, farmed: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return the share under trees along the borders of parcels."""
    grows = (uniform(parcels.block.ident, 13) < region.hedges) & (terrain.slope < 0.2)
    gaps = noise.smooth("gaps", 6) > -0.5
    return np.asarray(np.clip(1.15 - parcels.edge, 0, 0.85) * (grows & farmed & gaps), np.float32)


def _seen(
    terrain: Terrain, towns: Towns, stand: NDArray[np.float32], hedge: NDArray[np.float32], under: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Return the class of what covers most of a pixel."""
    built = towns.shares.sum(axis=0)
    seen = np.where((stand[0] > 0.6) & (under != CLASS["crops"]), CLASS["trees"], under)
    seen = np.where(hedge > 0.5, CLASS["trees"], seen)
    seen = np.where(towns.density > 0, np.where(towns.shade > towns.lawn, CLASS["trees"], CLASS["grass"]), seen)
    seen = np.where(built > 0.38, CLASS["built"], seen)
    return np.where((terrain.water() > 0.5) & (built < 0.5), CLASS["water"], seen).astype(np.int8)


def _soils(noise: Noise, region: Region, terrain: Terrain) -> NDArray[np.float32]:
    """Return the shares of the grounds, which change over a few kilometres and by veins."""
    shares = np.empty((len(region.soils), noise.side, noise.side), np.float32)
    for k, weight in enumerate(region.soils):
        field = noise.smooth(f"soil {k}", 140) + 0.6 * noise.fractal(f"vein {k}", 22, 3)
        shares[k] = weight * np.exp(np.float32(0.9) * field)
    shares[3] += 2.5 * (terrain.river - terrain.channel < 3)
    shares[4] += 16 * terrain.mountain * (0.4 + step(terrain.slope, 0.15, 0.6)) + 1.5 * step(terrain.slope, 0.25, 0.6)
    return np.asarray(shares / shares.sum(axis=0), np.float32)


def _canopy(
    noise: Noise, region: Region, stand: NDArray[np.float32], planted: NDArray[np.float32], needles: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean and the spread of the height of trees."""
    age = np.clip(0.62 + 0.22 * noise.fractal("age", 45, 5), 0.12, 1)
    tallest = (23 + 9 * needles) * min(1.0, 0.35 + region.rain / 1200)
    woody = np.clip(stand[0] + planted, 0, 1)
    height = tallest * age * step(woody, 0.3, 0.75) + 2.2 * woody * (woody < 0.5) + 9 * stand[2]
    spread = 0.4 + 0.17 * height * (1 + 0.35 * noise.smooth("storeys", 9)) * (height > 0.5)
    return height.astype(np.float32), spread.clip(0.1).astype(np.float32)
