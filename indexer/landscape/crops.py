"""What is grown on parcels: each has its crop, sown, ripe and ploughed at times of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape.ground import CLASS
from indexer.landscape.noise import uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground
    from indexer.landscape.regions import Crop, Region


@dataclass(frozen=True)
class Grown:
    """Cropland on one day; arrays have the window's shape.

    Parameters
    ----------
    leaves
        Shares of a pixel by living material, float32.
    dry, flooded
        Shares under straw or stubble, and under water, float32.
    rows
        How strongly rows or furrows show, float32, 0 to 1.
    worked
        Whether the parcel was sown, harvested or ploughed in the last weeks.
    watered
        Whether it is irrigated now.
    """

    leaves: dict[str, NDArray[np.float32]]
    dry: NDArray[np.float32]
    flooded: NDArray[np.float32]
    rows: NDArray[np.float32]
    worked: NDArray[np.bool_]
    watered: NDArray[np.bool_]


def leafed(when: NDArray[Any], green: float, sere: float) -> NDArray[np.float32]:
    """Return how far leaves are out: a logistic rise, and a slower fall.

    Parameters
    ----------
    when
        Months as numbers of [0, 12), of each place.
    green, sere
        Months at which half of them have come, and gone.
    """
    length = (sere - green) % 12
    since = (when - green + 2.5) % 12 - 2.5
    return np.asarray(1 / (1 + np.exp(-since / 0.28)) / (1 + np.exp((since - length) / 0.38)), np.float32)


def grow(ground: Ground, when: NDArray[np.float32], month: int) -> Grown:
    """Return what stands on the parcels of a window at a time, which may differ from place to place."""
    parcels, region = ground.parcels, ground.region
    fields = ground.under == CLASS["crops"]
    weights = np.cumsum([c.share for c in region.crops])
    kind = np.searchsorted(weights / weights[-1], parcels.share("crop")).clip(0, len(region.crops) - 1)[parcels.index]

    def of_parcel(values: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(values[parcels.index])

    time = when - of_parcel(1.1 * parcels.share("late") - 0.55)
    tilled = of_parcel(parcels.share("tilled"))
    mown = of_parcel(uniform(parcels.keys, month, 41) < 0.25)
    green, dead, rows = (np.zeros(fields.shape, np.float32) for _ in range(3))
    worked, flooded = np.zeros(fields.shape, bool), np.zeros(fields.shape, bool)
    for number, crop in enumerate(region.crops):
        here = fields & (kind == number)
        if crop.lasting:
            green[here], rows[here] = _lasting(crop, region, time[here], mown[here])
            dead[here] = 0.2 * (crop.cover - green[here]).clip(0)
        else:
            green[here], dead[here], worked[here] = _annual(crop, time[here], tilled[here])
            rows[here] = 0.3 + 0.5 * green[here] * (1 - green[here])
            flooded[here] = (time[here] - crop.sow) % 12 < crop.flooded
    # Some parcels lie fallow under weeds, some carry a crop between the crops, and none does as well as the next.
    between = of_parcel(parcels.share("cover") < 0.3) & (green < 0.05) & (region.warmth > 8)
    green = np.where(between, 0.45 * leafed(time, region.green - 2.5, region.sere + 2.0), green)
    idle = of_parcel(parcels.share("idle") < 0.1)
    weeds = 0.55 * leafed(time, region.green - 0.9, region.sere + 0.7)
    green = np.where(idle, weeds, green * of_parcel(0.58 + 0.5 * parcels.share("thrift")))
    green = np.clip(green * (1 + 0.13 * ground.vigour), 0, 0.97) * fields
    dry = np.minimum(np.where(idle, 0.3, dead), 1 - green) * fields
    blend = np.clip(0.6 + 0.25 * parcels.tint("blend") + 0.2 * ground.noise.smooth("blend", 110), 0.1, 1)
    leaves = {crop.leaf: np.zeros(fields.shape, np.float32) for crop in region.crops}
    for number, crop in enumerate(region.crops):
        leaves[crop.leaf] += np.where(kind == number, blend * green, 0).astype(np.float32)
    leaves["herb"] = leaves.get("herb", 0) + (1 - blend) * green
    watered = of_parcel(uniform(parcels.keys, month, 42) < 0.3) & fields & (region.rain < 700)
    pools = 0.8 * (1 - green - dry).clip(0) * flooded * fields
    return Grown(leaves, dry.astype(np.float32), pools.astype(np.float32), rows, worked, watered)


def _lasting(
    crop: Crop, region: Region, time: NDArray[np.float32], mown: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], float]:
    """Return the living cover of hay, which is mown now and then, or of trees and vines; and how their rows show."""
    hay = crop.leaf == "herb"
    living = crop.cover * (0.35 + 0.65 * leafed(time, region.green - 0.4, region.sere + 0.5))
    return np.asarray(np.where(mown & hay, 0.35 * living, living), np.float32), 0.1 if hay else 0.9


def _annual(
    crop: Crop, time: NDArray[np.float32], tilled: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return the living and the dead cover of a crop, and whether the parcel was worked in the last weeks."""
    length = (crop.harvest - crop.sow) % 12
    age = (time - crop.sow) % 12
    rise = 1 / (1 + np.exp(-(age - crop.rise * length) / (0.055 * length)))
    ripe = 1 / (1 + np.exp(-(age - 0.86 * length) / (0.03 * length)))
    # Stubble stays until the plough comes, half a month to some months after harvest.
    after, plough = age - length, 0.4 + 3.2 * tilled
    living = np.where(after < 0, crop.cover * rise * (1 - ripe), 0)
    dead = np.where(after < 0, crop.cover * ripe * 0.85, np.where(after < plough, 0.62, 0.06))
    worked = (np.abs(after) < 0.4) | (age < 0.5) | (np.abs(after - plough) < 0.3)
    return living.astype(np.float32), dead.astype(np.float32), worked
