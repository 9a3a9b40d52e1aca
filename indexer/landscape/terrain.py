"""The lie of the land: heights, rivers that lie in its valleys, and lakes on its flats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexer.landscape.noise import above, step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.noise import Noise
    from indexer.landscape.regions import Region

PIXEL = 10.0
"""Metres."""
RIVERS, STREAMS = 420.0, 120.0
"""Lattices, in pixels, of the fields whose zeros are watercourses."""


@dataclass(frozen=True)
class Terrain:
    """Arrays of float32, all of the window's shape.

    Parameters
    ----------
    elevation
        Metres.
    east, north
        Metres of height for a metre of way.
    mountain
        0 on plains to 1 in mountains.
    river, stream
        Pixels from the middle of a river, and of a brook.
    channel
        Half the width of that river in pixels.
    lake
        Above 0 in a lake, a little below it on its shore.
    """

    elevation: NDArray[np.float32]
    east: NDArray[np.float32]
    north: NDArray[np.float32]
    mountain: NDArray[np.float32]
    river: NDArray[np.float32]
    stream: NDArray[np.float32]
    channel: NDArray[np.float32]
    lake: NDArray[np.float32]

    @property
    def slope(self) -> NDArray[np.float32]:
        """Metres of height for a metre of way, downhill."""
        return np.hypot(self.east, self.north)

    def water(self, level: NDArray[np.float32] | float = 0.0) -> NDArray[np.float32]:
        """Return the share of a pixel that water covers, at a level of -1 (drought) to 1 (flood); 0 is what stays."""
        brook = np.float32(0.22) * np.clip(1.2 - self.stream, 0, 1)
        bank = self.channel * (1 + np.minimum(level, 0) * np.float32(0.6)) + 14 * np.maximum(level, 0)
        river = np.clip(bank - self.river + np.float32(0.5), 0, 1) * (
            (self.slope < 0.04) | (self.river < self.channel + 1)
        )
        lake = np.clip((self.lake + np.float32(0.45) * level) * 12 + np.float32(0.5), 0, 1)
        return np.asarray(np.maximum(np.maximum(river, brook), lake))


def shape(noise: Noise, region: Region) -> Terrain:
    """Return the land of a window.

    Watercourses are the zeros of smooth random fields of warped positions; heights fall towards them.
    """
    rows, cols = noise.rows.astype(np.float32), noise.cols.astype(np.float32)
    bend = [22 * noise.smooth(f"bend {d}", 46) + 7 * noise.smooth(f"loop {d}", 15) for d in ("down", "right")]
    rows, cols = rows + bend[0], cols + bend[1]
    valley, gully = noise.at("rivers", RIVERS, rows, cols), noise.at("streams", STREAMS, rows, cols)
    mountain = step(noise.smooth("mountains", 620), above(region.mountains) - 0.25, above(region.mountains) + 0.6)
    fall = valley**2 / (valley**2 + 0.12 + 0.3 * mountain)
    gullies = np.abs(gully) / (np.abs(gully) + np.float32(0.35))
    hills = region.hills * (0.6 + 0.4 * noise.smooth("hills", 150)) * (0.3 + 0.7 * gullies)
    ridge = 1 - np.abs(noise.fractal("ridges", 300, 7, 0.46)) * np.float32(0.55)
    peaks = region.peaks * mountain * (0.6 * ridge + 0.16 * gullies + 0.35)
    base = region.base * (1 + 0.35 * noise.smooth("base", 1500)) + 1.6 * noise.smooth("flats", 30)
    elevation = (base + fall * (hills + peaks) + 1.5 * np.tanh(2 * valley**2)).astype(np.float32)
    down, right = np.gradient(elevation, PIXEL)
    slope = np.hypot(down, right)
    width = region.river * np.exp(0.45 * noise.smooth("width", 70)) * (1 - 0.75 * mountain)
    level = noise.fractal("lakes", 120, 6) - above(region.lakes) - 2.5 * step(slope, 0.01, 0.08)
    return Terrain(
        elevation,
        np.asarray(right, np.float32),
        np.asarray(-down, np.float32),
        mountain,
        _away(valley, RIVERS),
        _away(gully, STREAMS),
        width.astype(np.float32),
        level.astype(np.float32),
    )


def _away(field: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Return about how many pixels the field's zero is away; flat saddles do not become seas."""
    down, right = np.gradient(field)
    return np.asarray(np.abs(field) / np.maximum(np.hypot(down, right), 0.5 / scale), np.float32)
