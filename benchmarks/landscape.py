"""A procedural landscape of vectors: any size, seeded, alike where places are near.

Smooth random fields over longitude and latitude mix a set of land covers; a vector is the mix of their prototypes
plus noise. So neighbours look alike and the same cover comes back elsewhere, as in real embeddings. It is simulated,
and always named so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint, schema
from embedstore.spec import EncoderSpec, GridSpec, Modality
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


def encoder(dimension: int) -> EncoderSpec:
    """Return the specification that simulated vectors are stored under."""
    return EncoderSpec("simulated", (Modality("optical", ("B02",), (0.0,), (1.0,)),), 64, 10.0, dimension, "mean")


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


def chips(count: int, dimension: int, seed: int) -> pa.Table:
    """Return that many chips of the landscape; another seed gives other chips."""
    lon, lat = places(count, seed)
    rng = np.random.default_rng(seed + 1)
    half = 0.003
    corners = footprint.footprints(
        lon[:, None] + np.array([-half, half, half, -half]), lat[:, None] + np.array([-half, -half, half, half])
    )
    days = np.datetime64("2020-01-01", "us") + rng.integers(0, 1461, count) * np.timedelta64(86_400_000_000, "us")
    when = pa.array(days).cast(schema.TIME)
    window = {"modality": "optical", "item": "simulated", "href": "", "row": 0, "col": 0, "height": 64, "width": 64}
    one = pa.array([[{**window, "datetime": None}]], schema.CHIPS.field("inputs").type)
    offsets = pa.array(np.arange(0, count * dimension + 1, dimension, dtype=np.int32))
    embedding = pa.ListArray.from_arrays(
        offsets, pa.array(vectors(lon, lat, dimension, seed + 2).ravel()), type=schema.CHIPS.field("embedding").type
    )
    return pa.table(
        {
            "id": pa.array([f"{seed:08x}{i:024x}" for i in range(count)]),
            "geometry": pa.array(shapely.to_wkb(corners)),
            "datetime": when,
            "datetime_end": when,
            "inputs": one.take(pa.array(np.zeros(count, np.int64))),
            "modalities": pa.array(np.ones(count, np.int32)),
            "valid_fraction": pa.array(rng.uniform(0.5, 1, count).astype(np.float32)),
            "thumbnail": pa.nulls(count, pa.binary()),
            "embedding": embedding,
        },
        schema=schema.CHIPS,
    )


def store(path: Path, rows: int, dimension: int) -> Store:
    """Open a store of the landscape at a path, and fill it first if there is none."""
    if (path / "_delta_log").is_dir():
        return Store.open(path)
    made = Store.create(path, encoder(dimension), GridSpec.for_chips(640))
    for number, size in _chunks(rows):
        made.append(chips(size, dimension, number))
    return made


def _chunks(rows: int) -> Iterator[tuple[int, int]]:
    for number, start in enumerate(range(0, rows, CHUNK)):
        yield 10 * number, min(CHUNK, rows - start)
