"""Small stores of random vectors, for tests that need no pixels."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint, schema
from embedstore.spec import EncoderSpec, GridSpec, Modality
from embedstore.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DIMENSION = 16
ENCODER = EncoderSpec("test", (Modality("optical", ("B02",), (0.0,), (1.0,)),), 32, 10.0, DIMENSION, "mean")
GRID = GridSpec(h3_resolution=9, partition_resolution=3)
START = datetime(2020, 1, 1, tzinfo=UTC)


def chip_id(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()[:32]


def chips(
    names: list[object],
    *,
    seed: int = 0,
    box: tuple[float, float, float, float] = (10.0, 45.0, 14.0, 48.0),
    item: str = "scene",
    dimension: int = DIMENSION,
) -> pa.Table:
    """Chips with these names; the same name always gets the same place, time and vector."""
    lon, lat, when, vectors = [], [], [], []
    for name in names:
        rng = np.random.default_rng([seed, int(chip_id(name)[:8], 16)])
        lon.append(rng.uniform(box[0], box[2]))
        lat.append(rng.uniform(box[1], box[3]))
        when.append(START + timedelta(days=int(rng.integers(0, 1000))))
        place = np.random.default_rng([7, int(lon[-1] * 4) + 720, int(lat[-1] * 4) + 360]).normal(size=dimension)
        vectors.append(place + 0.5 * rng.normal(size=dimension))
    x, y = np.array(lon)[:, None], np.array(lat)[:, None]
    h = 0.002
    shapes = (
        footprint.footprints(x + np.array([-h, h, h, -h]), y + np.array([-h, -h, h, h]))
        if names
        else np.array([], object)
    )
    inputs = [
        [{"modality": "optical", "item": item, "href": "a.tif", "row": 0, "col": 0, "height": 32, "width": 32,
          "datetime": t}]
        for t in when
    ]  # fmt: skip
    return pa.table(
        {
            "id": [chip_id(n) for n in names],
            "geometry": shapely.to_wkb(shapes).tolist(),
            "datetime": when,
            "datetime_end": when,
            "inputs": inputs,
            "modalities": [1] * len(names),
            "valid_fraction": [1.0] * len(names),
            "thumbnail": [b"webp"] * len(names),
            "embedding": [v.astype(np.float32).tolist() for v in vectors],
        },
        schema=schema.CHIPS,
    )


def store(path: Path, dimension: int = DIMENSION) -> Store:
    encoder = EncoderSpec("test", ENCODER.modalities, 32, 10.0, dimension, "mean")
    return Store.create(path, encoder, GRID)


def files(store: Store) -> set[str]:
    """Every file of a store, and every folder of its index."""
    index = store.path / "_index"
    return {str(p.relative_to(store.path)) for p in store.path.rglob("*") if p.is_file() or p.parent.parent == index}
