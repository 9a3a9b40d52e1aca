"""Where people live: towns, villages, farmsteads and roads, as shares of what they are built of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape.materials import BUILT, ROOFS
from indexer.landscape.noise import hashed, normal, step, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.noise import Noise
    from indexer.landscape.parcels import Parcels
    from indexer.landscape.regions import Region
    from indexer.landscape.terrain import Terrain

LOT, HALL = 2.3, 6.5
"""Sides in pixels of what a house and a factory stand on."""


@dataclass(frozen=True)
class Towns:
    """What is built.

    Parameters
    ----------
    shares
        Of each pixel under :data:`indexer.landscape.materials.BUILT`, shape (5, h, w).
    density
        Above 0 within a settlement, 1 in the middle of it.
    lawn, shade
        Shares of each pixel under the grass and the trees of yards and parks.
    """

    shares: NDArray[np.float32]
    density: NDArray[np.float32]
    lawn: NDArray[np.float32]
    shade: NDArray[np.float32]


def settle(noise: Noise, region: Region, terrain: Terrain, parcels: Parcels, farmed: NDArray[np.bool_]) -> Towns:
    """Return the settlements and roads of a window; `farmed` is where parcels are reached by lanes."""
    shape = terrain.elevation.shape
    density = np.where(terrain.slope < 0.2, _density(noise, region), -1).astype(np.float32)
    water = terrain.water()
    density -= 3 * water * (water > 0.3) + 1.5 * terrain.mountain
    shares = np.zeros((len(BUILT), *shape), np.float32)
    lawn, shade = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    within = density > 0
    if within.any():
        built, green, trees = _quarter(
            region,
            density[within],
            noise.smooth("works", 28)[within],
            parcels.block.ident[within],
            parcels.along[within],
            parcels.across[within],
        )
        shares[:, within], lawn[within], shade[within] = built, green, trees
    _farmsteads(noise, region, shares, ~within & (terrain.slope < 0.2) & (water < 0.2))
    _roads(noise, region, parcels, terrain, shares, (farmed | within) & (water < 0.3))
    return Towns(shares, density, lawn, shade)


def _density(noise: Noise, region: Region) -> NDArray[np.float32]:
    """Return how built-up the land is, by the nearest town and the nearest village."""
    ragged = 0.3 * noise.fractal("sprawl", 26, 5, 0.6)
    best = np.full((noise.side, noise.side), -1, np.float32)
    for name, spacing, share, radius in (("towns", 560, region.towns, 62), ("villages", 190, region.villages, 15)):
        site = noise.cells(name, spacing, 0.7)
        reach = np.clip(radius * np.exp(0.55 * normal(site.ident, 3)), 0.35 * radius, 2.6 * radius)
        best = np.maximum(best, np.where(uniform(site.ident, 4) < share, 1 - site.distance / reach + ragged, -1))
    return best


def _quarter(
    region: Region,
    density: NDArray[np.float32],
    works: NDArray[np.float32],
    block: NDArray[np.uint32],
    along: NDArray[Any],
    across: NDArray[Any],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return what pixels within settlements are built of, and their lawns and trees."""
    long = region.street * (1.3 + 0.9 * uniform(block, 21))
    street = np.minimum(_away(along, region.street), _away(across, long))
    avenue = np.minimum(_away(along, 4 * region.street), _away(across, 3 * long))
    paved = np.maximum(np.clip(0.85 - street, 0, 0.85), np.clip(1.3 - avenue, 0, 1))
    industry = works > 1.15
    side = np.where(industry, np.float32(HALL), np.float32(LOT))
    lot = hashed(block, np.floor(along / side), np.floor(across / side), industry)
    core = np.clip(density, 0, 1)
    cover = (0.30 + 0.45 * core) * (0.45 + 1.1 * uniform(lot, 22))
    cover = np.where(uniform(lot, 23) < 0.18 - 0.12 * core, 0, cover)
    cover = np.where(industry, np.where(uniform(lot, 23) < 0.55, 0.92, 0), cover)
    park = uniform(block, np.floor(along / region.street), np.floor(across / long), 24) < 0.06
    cover = np.clip(np.where(park, 0, cover), 0, 0.95) * (1 - paved)
    weights = np.cumsum(np.array(region.roofs) / sum(region.roofs))
    mall = np.cumsum([0.45, 0.1, 0.42, 0.03])
    draw = uniform(lot, 25)
    kind = np.where(industry, np.searchsorted(mall, draw), np.searchsorted(weights, draw)).clip(0, len(ROOFS) - 1)
    shares = np.zeros((len(BUILT), len(density)), np.float32)
    shares[1 + kind, np.arange(len(density))] = cover
    yard = 1 - paved - cover
    green = region.garden * (1.15 - 0.75 * core) * (0.5 + uniform(lot, 26)) * ~industry
    green = np.where(park, 0.95, np.clip(green, 0, 0.95)) * yard
    hard = yard - green
    shares[0] = paved + hard * np.where(industry, 0.8, 0.25)
    shares[1] += hard * 0.25 * ~industry
    wooded = green * np.clip(0.15 + 0.8 * uniform(lot, 27), 0, 0.9)
    return shares, green - wooded, wooded


def _farmsteads(noise: Noise, region: Region, shares: NDArray[np.float32], free: NDArray[np.bool_]) -> None:
    """Put single farms on free land."""
    site = noise.cells("farms", 52, 0.9)
    yard = (uniform(site.ident, 3) < 0.7 * region.farms * min(1.0, 60 / region.blocks)) & free
    cover = yard * np.clip(1.3 + 1.3 * uniform(site.ident, 4) - site.distance, 0, 0.75)
    kind = 1 + np.searchsorted(np.cumsum(region.roofs), uniform(site.ident, 5)).clip(0, len(ROOFS) - 1)
    for roof in range(1, len(BUILT)):
        shares[roof] += cover * (kind == roof) * np.float32(0.7)
    shares[1] += cover * np.float32(0.25)


def _roads(
    noise: Noise,
    region: Region,
    parcels: Parcels,
    terrain: Terrain,
    shares: NDArray[np.float32],
    reached: NDArray[np.bool_],
) -> None:
    """Lay main roads through the land, and lanes between blocks of parcels."""
    field = noise.at("roads", 300, noise.rows + 6 * noise.smooth("curve", 40), noise.cols + 6 * noise.smooth("bow", 40))
    down, right = np.gradient(field)
    main = np.abs(field) / np.maximum(np.hypot(down, right), np.float32(0.6 / 300))
    open_ = 1 - step(terrain.slope, 0.25, 0.4)
    road = np.clip(1.15 - main, 0, 1) * open_
    lanes = uniform(parcels.block.ident, 12) < 0.75
    lane = np.clip(0.9 - parcels.block.edge, 0, 0.34) * lanes * reached * (terrain.slope < 0.12)
    gravel = np.float32(0.7 if region.jitter < 0.1 else 0.3)
    cover = np.maximum(road, lane)
    shares *= 1 - cover
    shares[0] += np.where(road >= lane, cover, cover * (1 - gravel))
    shares[1] += np.where(road >= lane, 0, cover * gravel)


def _away(place: NDArray[Any], spacing: NDArray[np.float32] | float) -> NDArray[np.float32]:
    """Return the pixels to the nearest of lines that are so many pixels apart."""
    part = place / spacing
    return np.asarray(np.abs(part - np.round(part)) * spacing, np.float32)
