"""The surface as Sentinel-2 sees it: reflectance of twelve bands after a correction for air that is never perfect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexer.landscape.ground import CLASS
from indexer.landscape.materials import BUILT, GROUNDS, INDEX, REFLECTANCE
from indexer.landscape.noise import above, blur, normal, step, uniform
from indexer.pretrain.modalities import OPTICAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.ground import Ground
    from indexer.landscape.noise import Noise
    from indexer.landscape.seasons import Surface

HAZE = np.array([9, 7, 4.8, 3.4, 2.8, 2.2, 2.0, 1.8, 1.6, 1.4, 0.6, 0.3], np.float32)[:, None] / 100
"""What a unit of haze adds to reflectance, by band: as air molecules and small particles scatter."""
CIRRUS = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0.9, 0.6, 0.4], np.float32)[:, None]
"""What ice clouds that are too thin to be masked add: the same to all bands, less where ice absorbs."""
BLUR = dict.fromkeys(OPTICAL, 0.45) | dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12"), 0.9)
BLUR |= {"B01": 2.3, "B09": 2.3}
"""Pixels of spread: of bands with 10, 20 and 60 m, brought to 10 m."""
NOISE = 0.0016
"""Reflectance: about a hundredth of that of soil (Sentinel-2 Mission Requirements, signal to noise of 100 and more)."""
BRIGHTEST = 1.2
"""Reflectance of snow on slopes that face the sun, at most."""
HOUR = -22.5
"""Degrees from noon at which the satellite passes: 10:30."""


def sun(lat: float, month: int) -> tuple[float, float, float]:
    """Return the direction to the sun in the middle of a month: east, north, up."""
    tilt = np.radians(23.44) * np.sin(2 * np.pi * (month - 0.5 - 2.65) / 12)
    phi, hour = np.radians(lat), np.radians(HOUR)
    up = np.sin(phi) * np.sin(tilt) + np.cos(phi) * np.cos(tilt) * np.cos(hour)
    north = np.cos(phi) * np.sin(tilt) - np.sin(phi) * np.cos(tilt) * np.cos(hour)
    return float(-np.cos(tilt) * np.sin(hour)), float(north), float(up)


def see(ground: Ground, surface: Surface, month: int, lat: float, clouds: float) -> NDArray[np.float32]:
    """Return the reflectance of a window, float32, shape (12, h, w).

    Parameters
    ----------
    ground, surface, month
        What lies there then.
    lat
        Degrees.
    clouds
        Share of the sky.
    """
    noise, shape = ground.noise, surface.moist.shape
    shares = surface.shares.reshape(len(surface.shares), -1)
    seen = REFLECTANCE.T @ shares
    soils = slice(INDEX[GROUNDS[0]], INDEX[GROUNDS[-1]] + 1)
    seen += (REFLECTANCE[soils].T @ shares[soils]) * (_soil(ground, surface) - 1).ravel()
    built = slice(INDEX[BUILT[0]], INDEX[BUILT[-1]] + 1)
    seen += (REFLECTANCE[built].T @ shares[built]) * (_roofs(ground) - 1).ravel()
    seen += _glint(ground, surface, month).ravel()
    seen *= (_relief(ground, surface) * _sunlight(ground, month, lat)).ravel()
    seen *= (1 + 0.1 * noise.smooth(f"gain {month}", 340)).clip(0.75, 1.25).ravel()
    haze = (0.33 * np.exp(0.85 * noise.fractal(f"haze {month}", 420, 2))).clip(0, 2.2).ravel()
    seen = seen * (1 - HAZE * haze) + HAZE * haze
    cirrus = (0.03 * (noise.fractal(f"cirrus {month}", 150, 3) - 0.7).clip(0, 2)).ravel()
    seen += CIRRUS * cirrus
    seen = seen.reshape(-1, *shape)
    if clouds > 0:
        _cloud(noise, month, clouds, seen)
    for k, band in enumerate(OPTICAL):
        seen[k] = blur(seen[k], BLUR[band])
        seen[k] += (NOISE + 0.006 * seen[k]) * noise.white(f"{band} {month}") * np.float32(1 if BLUR[band] < 2 else 0.3)
    return np.asarray(np.clip(seen, 0.0001, BRIGHTEST), np.float32)


def _soil(ground: Ground, surface: Surface) -> NDArray[np.float32]:
    """Return how bright bare soil is: by place, by parcel, and darker when wet."""
    place = 1 + 0.2 * ground.noise.smooth("chalk", 260) + 0.07 * ground.noise.fractal("crumbs", 9, 3)
    fields = ground.under == CLASS["crops"]
    place = place * np.where(fields, 0.84 + 0.32 * ground.parcels.share("tilth")[ground.parcels.index], 1)
    place = place * np.where(ground.under == CLASS["bare"], 1.12 + 0.11 * ground.noise.fractal("gravel", 12, 4, 0.7), 1)
    return np.asarray(place * (1.18 - 0.5 * surface.moist), np.float32)


def _roofs(ground: Ground) -> NDArray[np.float32]:
    """Return how bright what is built is: by town, and by quarter of it."""
    place = 1 + 0.2 * ground.noise.smooth("roofs", 90) + 0.22 * normal(ground.parcels.block.ident, 52)
    return np.asarray(place.clip(0.5, 1.5), np.float32)


def _glint(ground: Ground, surface: Surface, month: int) -> NDArray[np.float32]:
    """Return the sunlight that waves reflect."""
    water = surface.shares[INDEX["clear water"]] + surface.shares[INDEX["turbid water"]]
    return np.asarray(water * 0.045 * (ground.noise.smooth(f"glint {month}", 320) - 0.3).clip(0, 2), np.float32)


def _relief(ground: Ground, surface: Surface) -> NDArray[np.float32]:
    """Return the light and shade of what stands: crowns, houses, rows."""
    noise = ground.noise
    grain = noise.white("crowns") + 1.1 * noise.smooth("crowns", 1.7)
    trees = np.clip(ground.stand[0] + ground.hedge, 0, 1) * (ground.under != CLASS["crops"])
    built = ground.towns.shares[1:].sum(axis=0)
    bare = ground.under == CLASS["bare"]
    rough = 0.13 * trees + 0.07 * built + 0.045 * bare + 0.025
    wave = np.sin(2 * np.pi * ground.parcels.across / (2.2 + 1.4 * uniform(ground.parcels.block.ident, 51)))
    stands = 0.1 * noise.fractal("stands", 60, 3)
    shade = (0.08 + stands) * step(ground.height, 4, 16) * trees
    lit = 1 - shade + rough * grain + 0.035 * surface.rows * wave
    return np.asarray(lit.clip(0.35, 1.7), np.float32)


def _sunlight(ground: Ground, month: int, lat: float) -> NDArray[np.float32]:
    """Return the light that slopes get over that of flat land; most of it is left after correction."""
    east, north, up = sun(lat, month)
    terrain = ground.terrain
    facing = (up - terrain.east * east - terrain.north * north) / np.sqrt(1 + terrain.slope**2)
    return np.asarray(np.clip(1 + 0.65 * (facing / up - 1), 0.3, 1.6), np.float32)


def _cloud(noise: Noise, month: int, share: float, seen: NDArray[np.float32]) -> None:
    """Lay clouds and their shadows over the land."""

    def cover(shift: int) -> NDArray[np.float32]:
        sky = type(noise)(noise.seed, noise.row + shift, noise.col + shift, noise.side)
        return step(sky.fractal(f"clouds {month}", 70, 6, 0.55), above(share) - 0.1, above(share) + 0.5)

    seen *= 1 - np.float32(0.6) * cover(-24)
    cloud = cover(0)
    white = np.float32(0.62) + np.float32(0.08) * noise.smooth(f"tops {month}", 20)
    for k, band in enumerate(OPTICAL):
        seen[k] += cloud * (white * np.float32(0.6 if band in {"B11", "B12"} else 1.0) - seen[k])
