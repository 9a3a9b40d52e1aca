"""What ground is made of, and what each stuff looks like to light and to radar.

A pixel is a mixture: shares of these materials, that add to one. Its reflectance and its backscatter are the mixture's.

No number was taken from a library: reflectances were set by hand at Sentinel-2's bands to the known shapes (chlorophyll
and water absorption, the red edge, iron in soils, water and snow dark in the short-wave infrared), backscatter to what
C band usually gives at 30 to 45 degrees. Reflectances were then tuned against real scenes with
``benchmarks.simulated``; nothing real was at hand to compare backscatter with.
Coherence after t days is ``lasting + fading * exp(-t / days)``, exponential decay to a floor, as the field models it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Material:
    """One stuff.

    Parameters
    ----------
    name
        What it is.
    reflectance
        In per cent, by :data:`indexer.pretrain.modalities.OPTICAL`.
    vv, vh
        Backscatter in dB.
    lasting, fading, days
        Of its coherence.
    """

    name: str
    reflectance: tuple[float, ...]
    vv: float
    vh: float
    lasting: float
    fading: float
    days: float


MATERIALS = (
    # Living leaves, closed.
    Material("crop", (1.8, 2.4, 6.0, 2.8, 10, 35, 45, 47, 49, 50, 21, 9.5), -10.5, -17.0, 0.04, 0.28, 11),
    Material("herb", (2.4, 3.4, 7.2, 4.6, 12, 27, 33, 35, 37, 38, 23, 12.5), -12.8, -20.0, 0.10, 0.42, 16),
    Material("broadleaf", (1.7, 2.1, 4.6, 2.3, 8.2, 26, 33, 35, 37, 37, 17, 7.2), -8.8, -14.2, 0.04, 0.18, 10),
    Material("needleleaf", (1.5, 1.8, 3.3, 2.0, 5.4, 14, 17.5, 19, 20, 20.5, 9.0, 4.0), -9.2, -15.0, 0.05, 0.20, 10),
    Material("mangrove", (1.9, 2.4, 4.2, 2.4, 6.6, 20, 26, 28, 29, 29, 9.5, 4.0), -8.2, -14.0, 0.04, 0.16, 10),
    # Dead ones, and bare twigs.
    Material("straw", (6.5, 8.5, 12.5, 16.5, 20, 23, 25, 27, 29, 30, 35, 25), -12.5, -20.5, 0.18, 0.42, 22),
    Material("twigs", (3.6, 4.4, 6.0, 7.2, 9.4, 12, 13.5, 15, 16.5, 17, 19.5, 13), -9.8, -16.0, 0.16, 0.34, 16),
    # Ground.
    Material(
        "dark soil", (4.2, 5.2, 6.8, 8.2, 9.6, 10.5, 11.5, 12.5, 13.5, 14, 19.5, 16.5), -11.5, -21.5, 0.18, 0.50, 25
    ),
    Material("brown soil", (6.2, 8.2, 11.6, 15, 17.5, 19, 20.5, 22.5, 24, 25, 33, 28), -12.0, -22.0, 0.20, 0.48, 25),
    Material("red soil", (4.4, 5.4, 9.0, 17.5, 20.5, 22, 24, 26, 28, 29, 37, 31), -12.0, -22.0, 0.20, 0.48, 25),
    Material("sand", (11, 15, 21.5, 27, 30, 32, 33.5, 35, 36.5, 37, 45, 41), -15.5, -25.0, 0.36, 0.38, 30),
    Material("rock", (8.6, 10.5, 13, 15.5, 16.8, 17.5, 18, 18.5, 19, 19.5, 23, 20.5), -9.5, -18.0, 0.55, 0.27, 50),
    Material("moss", (3.4, 4.6, 7.8, 7.4, 12, 19, 22, 24, 25.5, 26, 24, 15), -12.2, -19.5, 0.28, 0.34, 25),
    Material("char", (3.2, 3.6, 4.2, 4.8, 5.4, 6.0, 6.4, 6.8, 7.2, 7.6, 11, 11.5), -12.0, -21.0, 0.2, 0.4, 25),
    # Water and snow.
    Material("clear water", (3.0, 3.0, 2.6, 1.4, 1.1, 0.9, 0.9, 0.7, 0.6, 0.6, 0.4, 0.3), -20.5, -28.5, 0.0, 0.0, 10),
    Material("turbid water", (5.4, 6.6, 9.6, 9.4, 8.6, 5.0, 5.0, 3.8, 3.2, 3.0, 1.2, 0.9), -20.5, -28.5, 0.0, 0.0, 10),
    Material("algae", (3.2, 3.8, 7.0, 4.6, 9.5, 12, 13.5, 14, 14.5, 14.5, 5.0, 2.6), -19.8, -28.0, 0.0, 0.0, 10),
    Material("snow", (84, 87, 87, 86, 84, 82, 81, 79, 77, 74, 12, 10), -13.5, -21.5, 0.05, 0.30, 8),
    # What people build with.
    Material("asphalt", (7.4, 8.6, 9.8, 10.8, 11.4, 12, 12.5, 13, 13.4, 13.8, 16, 15), -15.5, -24.0, 0.45, 0.25, 40),
    Material("concrete", (10, 12, 14.5, 17, 18.5, 19.5, 20.5, 21.5, 22, 22.5, 26, 24), -3.5, -12.5, 0.66, 0.16, 60),
    Material("tiles", (5.6, 6.6, 9.2, 15, 18, 19.5, 21, 22.5, 24, 24.5, 29, 26.5), -2.5, -11.0, 0.64, 0.16, 60),
    Material("metal", (15, 18, 20, 21.5, 22, 22.5, 23, 23.5, 24, 24, 25, 22), -0.5, -11.0, 0.70, 0.14, 60),
    Material("mud brick", (7.4, 9.6, 13.8, 18, 20.5, 22, 23.5, 25, 26.5, 27, 34, 31), -4.5, -13.5, 0.60, 0.18, 60),
)
INDEX = {m.name: i for i, m in enumerate(MATERIALS)}
LEAVES = ("crop", "herb", "broadleaf", "needleleaf", "mangrove")
GROUNDS = ("dark soil", "brown soil", "red soil", "sand", "rock")
BUILT = ("asphalt", "concrete", "tiles", "metal", "mud brick")
ROOFS = BUILT[1:]

REFLECTANCE = np.array([m.reflectance for m in MATERIALS], np.float32) / np.float32(100)
"""Shape (materials, 12)."""
BACKSCATTER = np.power(10, np.array([(m.vv, m.vh) for m in MATERIALS]) / 10).astype(np.float32)
"""Power of VV and VH, shape (materials, 2)."""


def coherence(days: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return the coherence of each material after so many days."""
    return np.array([m.lasting + m.fading * np.exp(-days / m.days) for m in MATERIALS], np.float32)
