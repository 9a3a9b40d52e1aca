"""What the ground is made of on one day: leaves come and go, crops grow and are harvested, snow falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape import climate, crops
from indexer.landscape.crops import leafed
from indexer.landscape.ground import CLASS
from indexer.landscape.materials import BUILT, GROUNDS, INDEX, MATERIALS
from indexer.landscape.noise import step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground


@dataclass(frozen=True)
class Surface:
    """One window on one day.

    Parameters
    ----------
    shares
        Of the materials, float32, shape (materials, h, w); they add to one.
    moist
        Wetness of the soil, 0 to 1, shape (h, w).
    rows
        How strongly rows of plants or furrows show, 0 to 1, shape (h, w).
    worked
        Whether the parcel was worked lately, shape (h, w).
    """

    shares: NDArray[np.float32]
    moist: NDArray[np.float32]
    rows: NDArray[np.float32]
    worked: NDArray[np.bool_]


def dress(ground: Ground, month: int) -> Surface:
    """Return the surface of the middle of a month, of 1 to 12; places are up to ten days early or late."""
    noise, region = ground.noise, ground.region
    when = month - 0.5 + 0.35 * noise.smooth("early", 500) + 0.12 * noise.smooth(f"early {month}", 60)
    when = when - 0.0009 * (ground.terrain.elevation - region.base)
    leaves = region.evergreen + (1 - region.evergreen) * leafed(when, region.green, region.sere)
    herbs = 0.12 + 0.88 * leafed(when, region.green - 0.9, region.sere + 0.7)
    drought = noise.smooth(f"drought {month}", 260)
    herbs = np.clip(herbs * (0.92 - 0.14 * drought + 0.08 * ground.vigour), 0.03, 1)
    shares = np.zeros((len(MATERIALS), noise.side, noise.side), np.float32)
    woody, herb, mangroves, moss, pond, snow = ground.stand
    shares[INDEX["needleleaf"]] = woody * ground.needles
    shares[INDEX["broadleaf"]] = woody * (1 - ground.needles) * leaves
    shares[INDEX["twigs"]] = woody * (1 - ground.needles) * (1 - leaves) * np.float32(0.8)
    # Grazing and drought thin the herbs out; where they are rich, meadows look like fields.
    herb = herb * np.clip(0.84 + 0.2 * noise.fractal("graze", 90, 3) - 0.12 * drought, 0.25, 1)
    lush = 0.75 * step(noise.smooth("lush", 110) + 0.4 * ground.parcels.tint("lush"), -0.8, 1.2)
    shares[INDEX["herb"]] = herb * herbs * (1 - lush)
    shares[INDEX["crop"]] = herb * herbs * lush
    shares[INDEX["straw"]] = herb * (1 - herbs) * np.float32(0.85)
    shares[INDEX["mangrove"]], shares[INDEX["moss"]], shares[INDEX["snow"]] = mangroves, moss, snow
    murk = _murk(ground, month)
    grown = crops.grow(ground, when, month)
    for name, part in grown.leaves.items():
        shares[INDEX[name]] += part
    shares[INDEX["straw"]] += grown.dry
    shares[INDEX["turbid water"]] += (pond + grown.flooded) * murk
    shares[INDEX["clear water"]] += (pond + grown.flooded) * (1 - murk)
    soil = np.clip(1 - shares.sum(axis=0), 0, 1)
    for k, name in enumerate(GROUNDS):
        shares[INDEX[name]] += soil * ground.soils[k]
    _cover(shares, ground.hedge, {"broadleaf": leaves, "twigs": (1 - leaves) * 0.8, "brown soil": (1 - leaves) * 0.2})
    _yards(ground, shares, leaves, herbs)
    water = ground.terrain.water(_level(ground, month))
    water = water * (1 - ground.towns.shares.sum(axis=0))
    # Algae and weeds on still water are green, and dry grass that burnt is as dark as water.
    bloom = 0.9 * step(noise.smooth("bloom", 80) + 0.7 * noise.smooth(f"bloom {month}", 60), 0.3, 1.6)
    _cover(shares, _burnt(ground, month, herbs), {"char": 0.8, "straw": 0.2})
    _cover(shares, water * (1 - bloom), {"turbid water": murk, "clear water": 1 - murk})
    _cover(shares, water * bloom, {"algae": 1.0})
    _snowfall(ground, month, shares, water)
    wet = 0.45 + 0.2 * noise.smooth(f"rain {month}", 300) + 0.12 * noise.smooth("damp", 30) + 0.35 * grown.watered
    wet += 0.25 * (climate.rain(region, month - 0.5) / (region.rain / 12) - 1) + 0.3 * (
        ground.under == CLASS["wetland"]
    )
    return Surface(shares, np.clip(wet, 0, 1).astype(np.float32), grown.rows, grown.worked)


def _cover(shares: NDArray[np.float32], over: NDArray[np.float32], of: dict[str, Any]) -> None:
    """Lay stuffs over a share of each pixel."""
    shares *= 1 - over
    for name, part in of.items():
        shares[INDEX[name]] += over * part


def _level(ground: Ground, month: int) -> NDArray[np.float32]:
    """Return how high water stands: mostly 0, in flood or drought up to 1 or -1."""
    region = ground.region
    season = climate.rain(region, month - 0.5) / (region.rain / 12) - 1
    level = 0.95 * ground.noise.smooth(f"level {month}", 240) + 0.55 * season
    return np.asarray(np.clip(level - np.clip(level, -0.5, 0.5), -1, 1), np.float32)


def _burnt(ground: Ground, month: int, herbs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share that fire has gone over: of dry grass and bush, and more where rain comes in one season."""
    field = ground.noise.fractal(f"fire {month}", 75, 6, 0.55) + 0.8 * (1 - herbs) + 0.5 * (ground.region.dryness - 1)
    dry = (ground.under == CLASS["grass"]) | (ground.under == CLASS["shrubs"])
    stubble = (ground.under == CLASS["crops"]) & (ground.parcels.tint(f"fire {month}") > 1.9)
    return np.asarray(np.where(dry, step(field, 1.5, 1.75), 0.8 * stubble * (1 - herbs)), np.float32)


def _murk(ground: Ground, month: int) -> NDArray[np.float32]:
    """Return how turbid water is, by place and month."""
    murk = 0.42 + 0.3 * ground.noise.smooth("murk", 90) + 0.16 * ground.noise.smooth(f"murk {month}", 260)
    return np.asarray(np.clip(murk, 0.02, 1), np.float32)


def _yards(
    ground: Ground, shares: NDArray[np.float32], leaves: NDArray[np.float32], herbs: NDArray[np.float32]
) -> None:
    """Lay what is built, and the lawns and trees around it, over the land."""
    towns = ground.towns
    built = towns.shares.sum(axis=0)
    shares *= 1 - np.minimum(built + towns.lawn + towns.shade, 1)
    for k, name in enumerate(BUILT):
        shares[INDEX[name]] += towns.shares[k]
    shares[INDEX["herb"]] += towns.lawn * herbs
    shares[INDEX["straw"]] += towns.lawn * (1 - herbs)
    shares[INDEX["broadleaf"]] += towns.shade * leaves
    shares[INDEX["twigs"]] += towns.shade * (1 - leaves)


def _snowfall(ground: Ground, month: int, shares: NDArray[np.float32], water: NDArray[np.float32]) -> None:
    """Let snow lie where it is below freezing; less under trees and on roads, none on water."""
    cold = -climate.temperature(ground.region, ground.terrain.elevation, month - 0.5)
    lies = step(cold + 1.4 * ground.noise.smooth(f"snow {month}", 120), 0.3, 3.0) * np.float32(0.92)
    if not lies.any():
        return
    hidden = shares[INDEX["needleleaf"]] + shares[INDEX["twigs"]] + ground.towns.shares.sum(axis=0)
    lies *= (1 - 0.75 * np.clip(hidden, 0, 1)) * (1 - water)
    _cover(shares, lies, {"snow": 1.0})
