"""Weather by place and month, as a reanalysis would give it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape.ground import LAPSE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.regions import Region

RANGE = 10.0
"""Degrees Celsius that day and night differ by."""


def temperature(region: Region, elevation: Any, month: float) -> Any:
    """Return the mean air temperature in degrees Celsius; months are numbers of [0, 12)."""
    return region.warmth - LAPSE * elevation + region.swing * np.cos(2 * np.pi * (month - region.warmest) / 12)


def rain(region: Region, month: float) -> float:
    """Return the rain of a month in mm."""
    return region.rain / 12 * float(1 + region.dryness * np.cos(2 * np.pi * (month - region.wettest) / 12))


def values(
    region: Region, elevation: NDArray[np.float32], month: int, warmth: float, wetness: float
) -> NDArray[np.float32]:
    """Return the numbers of :data:`indexer.pretrain.modalities.CLIMATE`.

    Parameters
    ----------
    region, elevation
        Where; metres, shape (n,).
    month
        1 to 12.
    warmth, wetness
        Degrees warmer than the region, and times as wet.

    Returns
    -------
    float32, shape (n, 12).
    """
    middle = month - 0.5
    wet = wetness * (1 + 0.00035 * (elevation - region.base))
    columns = []
    for when in (middle - 1, middle):
        mean = temperature(region, elevation, when) + warmth
        columns += [mean, mean - RANGE / 2, mean + RANGE / 2, wet * rain(region, when)]
    mean = temperature(region, elevation, region.warmest + 3) + warmth
    columns += [mean, mean - region.swing - RANGE / 2, mean + region.swing + RANGE / 2, wet * region.rain]
    return np.stack(np.broadcast_arrays(*columns), axis=1).astype(np.float32)
