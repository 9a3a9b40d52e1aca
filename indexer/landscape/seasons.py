"""What the ground is made of on one day: leaves come and go, crops grow and are harvested, snow falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape import climate
from indexer.landscape.ground import CLASS
from indexer.landscape.materials import BUILT, GROUNDS, INDEX, MATERIALS
from indexer.landscape.noise import step, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground
    from indexer.landscape.regions import Region


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
    leaves = region.evergreen + (1 - region.evergreen) * _leafed(when, region.green, region.sere)
    herbs = 0.12 + 0.88 * _leafed(when, region.green - 0.9, region.sere + 0.7)
    drought = noise.smooth(f"drought {month}", 260)
    herbs = np.clip(herbs * (0.92 - 0.14 * drought + 0.08 * ground.vigour), 0.03, 1)
    shares = np.zeros((len(MATERIALS), noise.side, noise.side), np.float32)
    woody, herb, mangroves, moss, pond, snow = ground.stand
    shares[INDEX["needleleaf"]] = woody * ground.needles
    shares[INDEX["broadleaf"]] = woody * (1 - ground.needles) * leaves
    shares[INDEX["twigs"]] = woody * (1 - ground.needles) * (1 - leaves) * np.float32(0.8)
    shares[INDEX["herb"]] = herb * herbs
    shares[INDEX["straw"]] = herb * (1 - herbs) * np.float32(0.85)
    shares[INDEX["mangrove"]], shares[INDEX["moss"]], shares[INDEX["snow"]] = mangroves, moss, snow
    murk = _murk(ground, month)
    rows, worked, drained = _crops(ground, when, shares, murk, pond)
    soil = np.clip(1 - shares.sum(axis=0), 0, 1)
    for k, name in enumerate(GROUNDS):
        shares[INDEX[name]] += soil * ground.soils[k]
    _cover(shares, ground.hedge, {"broadleaf": leaves, "twigs": (1 - leaves) * 0.8, "brown soil": (1 - leaves) * 0.2})
    _yards(ground, shares, leaves, herbs)
    high = ground.terrain.water
    _cover(shares, high, {"turbid water": murk, "clear water": 1 - murk})
    _snowfall(ground, month, shares)
    wet = 0.45 + 0.2 * noise.smooth(f"rain {month}", 300) + 0.12 * noise.smooth("damp", 30) + drained
    wet += 0.25 * (climate.rain(region, month - 0.5) / (region.rain / 12) - 1) + 0.3 * (
        ground.under == CLASS["wetland"]
    )
    return Surface(shares, np.clip(wet, 0, 1).astype(np.float32), rows, worked)


def _leafed(when: NDArray[np.float32], green: float, sere: float) -> NDArray[np.float32]:
    """Return how far leaves are out: a logistic rise, and a slower fall."""
    length = (sere - green) % 12
    since = (when - green + 2.5) % 12 - 2.5
    return 1 / (1 + np.exp(-since / 0.28)) / (1 + np.exp((since - length) / 0.38))


def _cover(shares: NDArray[np.float32], over: NDArray[np.float32], of: dict[str, Any]) -> None:
    """Lay stuffs over a share of each pixel."""
    shares *= 1 - over
    for name, part in of.items():
        shares[INDEX[name]] += over * part


def _murk(ground: Ground, month: int) -> NDArray[np.float32]:
    """Return how turbid water is, by place and month."""
    murk = 0.42 + 0.3 * ground.noise.smooth("murk", 90) + 0.16 * ground.noise.smooth(f"murk {month}", 260)
    return np.asarray(np.clip(murk, 0.02, 1), np.float32)


def _crops(
    ground: Ground, when: NDArray[np.float32], shares: NDArray[np.float32], murk: NDArray[np.float32], pond: Any
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Grow what is grown; return how rows show, what was worked lately, and how wet watering makes it."""
    parcels, region = ground.parcels, ground.region
    weights = np.cumsum([c.share for c in region.crops])
    kind = np.searchsorted(weights / weights[-1], parcels.share("crop")).clip(0, len(region.crops) - 1)
    kind, fields = kind[parcels.index], ground.under == CLASS["crops"]
    late = (1.1 * (parcels.share("late") - 0.5)).astype(np.float32)[parcels.index]
    idle = (parcels.share("idle") < 0.07)[parcels.index]
    cover_crop = (parcels.share("cover") < 0.3)[parcels.index]
    thrift = (0.72 + 0.4 * parcels.share("thrift"))[parcels.index].astype(np.float32)
    shape = fields.shape
    green, dry, flood = (np.zeros(shape, np.float32) for _ in range(3))
    rows, worked = np.zeros(shape, np.float32), np.zeros(shape, bool)
    for number, crop in enumerate(region.crops):
        here = fields & (kind == number)
        if not here.any():
            continue
        time = when[here] - late[here]
        if crop.lasting:
            living = crop.cover * (0.35 + 0.65 * _leafed(time, region.green - 0.4, region.sere + 0.5))
            # Hay is mown now and then; trees and vines stand in rows.
            cut = (uniform(parcels.keys, int(when.mean() * 2), 41) < 0.25)[parcels.index][here] & (crop.leaf == "herb")
            living = np.where(cut, 0.35 * living, living)
            dead, young = 0.2 * (crop.cover - living).clip(0), np.zeros(len(time), bool)
            seen = 0.9 if crop.leaf != "herb" else 0.1
        else:
            living, dead, young = _grown(time, crop, region, parcels.share("tilled")[parcels.index][here])
            off = cover_crop[here] & (living < 0.05) & (region.warmth > 8)
            living = np.where(off, 0.45 * _leafed(time, region.green - 2.5, region.sere + 2.0), living)
            seen = 0.3 + 0.5 * living * (1 - living)
            flood[here] = 0.8 * ((time - crop.sow) % 12 < crop.flooded)
        weeds = 0.25 * _leafed(time, region.green - 0.9, region.sere + 0.7)
        living = np.where(idle[here], weeds, living * thrift[here])
        dead = np.where(idle[here], 0.3, dead)
        living = np.clip(living * (1 + 0.13 * ground.vigour[here]), 0, 0.97)
        rows[here], worked[here] = seen, young
        green[here], dry[here] = living, np.minimum(dead, 1 - living)
        blend = np.float32(0.75)
        shares[INDEX[crop.leaf], here] += blend * living
        shares[INDEX["herb"], here] += (1 - blend) * living
    open_ = (1 - green - dry).clip(0)
    shares[INDEX["straw"]] += dry * fields
    water = pond + open_ * flood * fields
    shares[INDEX["turbid water"]] += water * murk
    shares[INDEX["clear water"]] += water * (1 - murk)
    watered = 0.35 * (uniform(parcels.keys, int(when.mean()), 42) < 0.3)[parcels.index] * fields * (region.rain < 700)
    return rows, worked, watered.astype(np.float32)


def _grown(
    time: NDArray[np.float32], crop: Any, region: Region, tilled: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the living and the dead cover of an annual crop, and whether the parcel was worked in the last weeks."""
    length = (crop.harvest - crop.sow) % 12
    age = (time - crop.sow) % 12
    rise = 1 / (1 + np.exp(-(age - crop.rise * length) / (0.055 * length)))
    ripe = 1 / (1 + np.exp(-(age - 0.86 * length) / (0.03 * length)))
    stands = age < length
    after = age - length
    # Stubble stays until the plough comes, half a month to some months after harvest.
    stubble = (after > 0) & (after < 0.4 + 3.2 * tilled)
    living = np.where(stands, crop.cover * rise * (1 - ripe), 0)
    dead = np.where(stands, crop.cover * ripe * 0.85, np.where(stubble, 0.62, 0.06))
    worked = (np.abs(after) < 0.4) | (age < 0.5) | (np.abs(after - 0.4 - 3.2 * tilled) < 0.3)
    del region
    return living, dead, worked


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


def _snowfall(ground: Ground, month: int, shares: NDArray[np.float32]) -> None:
    """Let snow lie where it is below freezing; less under trees and on roads, none on water."""
    cold = -climate.temperature(ground.region, ground.terrain.elevation, month - 0.5)
    lies = step(cold + 1.4 * ground.noise.smooth(f"snow {month}", 120), 0.3, 3.0) * np.float32(0.92)
    if not lies.any():
        return
    hidden = shares[INDEX["needleleaf"]] + shares[INDEX["twigs"]] + ground.towns.shares.sum(axis=0)
    lies *= (1 - 0.75 * np.clip(hidden, 0, 1)) * (1 - ground.terrain.water)
    _cover(shares, lies, {"snow": 1.0})
