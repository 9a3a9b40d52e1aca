"""The surface as Sentinel-1 sees it: backscatter on two orbits, and the coherence of pairs of passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexer.landscape.ground import CLASS
from indexer.landscape.materials import BACKSCATTER, GROUNDS, INDEX, ROOFS, coherence
from indexer.landscape.noise import blur, normal, step, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground
    from indexer.landscape.seasons import Surface

LOOKS = 4.4
"""Equivalent number of looks of a GRD product in high resolution (Sentinel-1 Product Specification)."""
INCIDENCE = 38.0
ORBITS = {"asc": 79.0, "desc": 281.0}
"""Degrees from the vertical, and the azimuths in which the antenna looks, clockwise from north."""
FLOOR = (10**-2.6, 10**-3.0)
"""Noise of the instrument as power, of VV and VH."""
BASELINES = (12, 24, 36, 48)
"""Days between two passes."""
WINDOW = 40
"""Samples that an estimate of coherence rests on."""


def backscatter(ground: Ground, surface: Surface, month: int) -> NDArray[np.float32]:
    """Return VV and VH of both orbits in dB, float32, shape (4, h, w)."""
    noise, terrain = ground.noise, ground.terrain
    flat = _power(ground, surface, month)
    out = np.empty((4, *flat.shape[1:]), np.float32)
    for orbit, (name, azimuth) in enumerate(ORBITS.items()):
        east, north = np.sin(np.radians(azimuth)), np.cos(np.radians(azimuth))
        local = np.radians(INCIDENCE) - np.arctan(terrain.east * east + terrain.north * north)
        tilt = np.sin(np.radians(INCIDENCE)) / np.sin(np.clip(local, 0.15, 1.5))
        tilt *= np.cos(local).clip(0.05) / np.cos(np.radians(INCIDENCE))
        tilt **= 0.65  # volumes, such as trees, feel the slope less than a surface does
        # Walls along the track throw back what they get; others scatter it and turn its polarisation.
        along = np.cos(4 * (ground.parcels.angle - np.radians(azimuth)))
        walls = ground.towns.shares[1:].sum(axis=0) * (ground.towns.density > 0)
        bounce = (10 ** (0.42 * walls * along), 10 ** (-0.16 * walls * along))
        for p, polarisation in enumerate(("VV", "VH")):
            power = blur(flat[p] * tilt * bounce[p], 0.75)
            grain = blur(noise.white(f"{polarisation} {name} {month}"), 0.5)
            seen = power * _speckle(grain / np.float32(0.64)) + FLOOR[p]
            out[2 * orbit + p] = 10 * np.log10(seen)
    return out


def coherences(ground: Ground, surface: Surface, month: int) -> NDArray[np.float32]:
    """Return the coherence of the four baselines, float32, shape (4, h, w), 0 to 1."""
    noise = ground.noise
    shares = surface.shares.reshape(len(surface.shares), -1)
    weighed = BACKSCATTER[:, :1] * shares
    total = weighed.sum(axis=0)
    out = np.empty((len(BASELINES), *surface.moist.shape), np.float32)
    walls = ground.towns.shares[1:].sum(axis=0)
    weather = np.clip(1 - 0.22 * noise.smooth(f"storms {month}", 240), 0.45, 1.15)
    weather = weather + (1 - weather) * 0.7 * np.clip(walls, 0, 1)
    fields = ground.under == CLASS["crops"]
    for k, days in enumerate(BASELINES):
        kept = (coherence(days) @ weighed / total).reshape(weather.shape)
        event = uniform(ground.parcels.keys, month, k, 61) < 0.10 + 0.08 * k
        lost = fields & (surface.worked | event[ground.parcels.index])
        kept = kept * weather * np.where(lost, np.float32(0.4), 1)
        kept = blur(kept, 1.6).clip(0, 0.97)
        # An estimate from few samples is never 0, and is surer the higher it is (Touzi et al. 1999).
        biased = np.sqrt(kept**2 + (1 - kept**2) / WINDOW)
        grain = blur(noise.white(f"coherence {days} {month}"), 1.1) * np.float32(3.9)
        out[k] = biased + (1 - biased**2) / np.float32(np.sqrt(2 * WINDOW)) * grain
    return out.clip(0, 1)


def _power(ground: Ground, surface: Surface, month: int) -> NDArray[np.float32]:
    """Return VV and VH of flat land without speckle as power, shape (2, h, w)."""
    noise = ground.noise
    shares = surface.shares.reshape(len(surface.shares), -1)
    power = BACKSCATTER.T @ shares
    # Wet soil and rough soil are brighter, and so is water under wind.
    soils = slice(INDEX[GROUNDS[0]], INDEX[GROUNDS[-1]] + 1)
    rough = normal(ground.parcels.keys, month, 71)[ground.parcels.index] * (ground.under == CLASS["crops"])
    wet = 10 ** (0.1 * (7 * (surface.moist - 0.5) + 1.6 * rough)) - 1
    power += (BACKSCATTER[soils].T @ shares[soils]) * wet.ravel()
    waters = [INDEX["clear water"], INDEX["turbid water"], INDEX["algae"]]
    wind = np.exp(1.1 * noise.smooth(f"wind {month}", 300) - 0.3) - 1
    power += (BACKSCATTER[waters].T @ shares[waters]) * wind.ravel()
    # Single houses shine or do not, as they happen to stand.
    roofs = [INDEX[name] for name in ROOFS]
    glint = np.exp(0.8 * noise.white("glint")) - 1
    power += (BACKSCATTER[roofs].T @ shares[roofs]) * glint.ravel()
    power = power.reshape(2, *surface.moist.shape)
    # Crops differ by how they stand, tall trees give more than short ones, and a scene is a little off.
    crops = normal(ground.parcels.keys, 72)[ground.parcels.index] * (ground.under == CLASS["crops"])
    trees = 1.2 * step(ground.height, 5, 25) - 0.5
    bias = 0.5 * noise.smooth(f"calibration {month}", 380)
    db = 1.3 * crops + trees * (ground.stand[0] > 0.5) + bias
    return np.asarray(power * 10 ** (0.1 * db), np.float32)


def _speckle(grain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return gamma numbers of mean 1 from normal ones (Wilson and Hilferty 1931)."""
    return np.asarray(np.clip(1 - 1 / (9 * LOOKS) + grain / (3 * np.sqrt(LOOKS)), 0.05, None) ** 3, np.float32)
