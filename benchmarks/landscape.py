"""A procedural landscape of vectors: any size, seeded, alike where places are near.

Smooth random fields over longitude and latitude mix a set of land covers; a vector is the mix of their prototypes
plus noise. So neighbours look alike and the same cover comes back elsewhere, as in real embeddings. It is simulated,
and always named so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks import stores
from benchmarks.peers.rows import Rows
from embedstore.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

COVERS, WAVES = 48, 24
NOISE, DECAY = 6.0, 0.5
"""Noise and how fast its spectrum falls, chosen so that product codes lose as much as on real embeddings."""
CHUNK = 65_536
BOX = (5.0, 42.0, 17.0, 52.0)
"""West, south, east, north of the landscape in degrees."""


def vectors(lon: NDArray[np.float64], lat: NDArray[np.float64], dimension: int, seed: int) -> NDArray[np.float32]:
    """Return the vectors of places, shape (n, dimension), of unit length; `seed` is that of the noise."""
    world = np.random.default_rng(11)
    prototypes = world.normal(size=(COVERS, dimension)).astype(np.float32)
    waves = world.normal(scale=3.0, size=(2, WAVES))
    phase, gain = world.uniform(0, 2 * np.pi, WAVES), world.normal(size=(WAVES, COVERS))
    fields = np.cos(np.column_stack([lon, lat]) @ waves + phase) @ gain
    mix = np.exp(fields - fields.max(axis=1, keepdims=True))
    mix /= mix.sum(axis=1, keepdims=True)
    spectrum = np.arange(1, dimension + 1) ** -DECAY
    axes = np.linalg.qr(world.normal(size=(dimension, dimension)))[0] * spectrum
    noise = np.random.default_rng(seed).normal(size=(len(lon), dimension)).astype(np.float32)
    out = mix.astype(np.float32) @ prototypes + NOISE * noise @ axes.astype(np.float32).T
    unit: NDArray[np.float32] = out / np.linalg.norm(out, axis=1, keepdims=True)
    return unit


def places(count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return random positions in the landscape, degrees."""
    rng = np.random.default_rng(seed)
    return rng.uniform(BOX[0], BOX[2], count), rng.uniform(BOX[1], BOX[3], count)


def rows(count: int, dimension: int, seed: int) -> Rows:
    """Return that many places of the landscape, with vectors, times and an attribute; another seed, other places."""
    lon, lat = places(count, seed)
    when, share = stores.drawn(lon, seed + 1)
    return Rows(vectors(lon, lat, dimension, seed + 2), lon, lat, when, share)


def chunks(count: int, dimension: int) -> Iterator[Rows]:
    """Yield that many places by chunks of :data:`CHUNK`, the same each time."""
    for number, start in enumerate(range(0, count, CHUNK)):
        yield rows(min(CHUNK, count - start), dimension, 10 * number)


def store(path: Path, count: int, dimension: int) -> Store:
    """Open a store of the landscape at a path, and fill it first if there is none."""
    if (path / "_delta_log").is_dir():
        return Store.open(path)
    made = stores.create(path, dimension)
    for number, part in enumerate(chunks(count, dimension)):
        stores.append(made, part, number * CHUNK)
    return made
