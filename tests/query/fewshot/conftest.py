"""A made landscape: patches of three classes, chips side by side, and vectors that say what they show, and where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from embedstore import footprint, schema
from query import Engine
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("field", "forest", "water")
SIDE = 24
"""Chips in a row."""
PATCH = 4
"""Chips from one edge of a patch to the other."""
STEP = 0.003
"""Degrees of latitude from one chip to the next, about 333 m; chips are as wide and touch."""
WEST, SOUTH = 11.0, 46.0
WIDE = STEP / np.cos(np.radians(SOUTH))


@dataclass(frozen=True, eq=False)
class Landscape:
    """Chips in rows from the south-west, and the class that each shows."""

    path: Path
    ids: list[str]
    lon: np.ndarray
    lat: np.ndarray
    classes: np.ndarray
    vectors: np.ndarray

    def labels(self, at: Any) -> dict[str, str]:
        return {self.ids[i]: CLASSES[self.classes[i]] for i in at}

    def square(self, number: int, size: float = 0.5) -> Any:
        """A square around a chip's centre, `size` times as wide as the chip."""
        return shapely.box(
            self.lon[number] - size * WIDE / 2,
            self.lat[number] - size * STEP / 2,
            self.lon[number] + size * WIDE / 2,
            self.lat[number] + size * STEP / 2,
        )


def chips(
    prefix: str, lon: np.ndarray, lat: np.ndarray, vectors: np.ndarray, when: datetime, size: float = 1.0
) -> pa.Table:
    x, y = lon[:, None], lat[:, None]
    w, h = size * WIDE / 2, size * STEP / 2
    shapes = footprint.footprints(x + np.array([-w, w, w, -w]), y + np.array([-h, -h, h, h]))
    part = {"modality": "optical", "item": prefix, "href": "a.tif", "row": 0, "col": 0, "height": 32, "width": 32}
    count = len(lon)
    return pa.table(
        {
            "id": [make.chip_id(f"{prefix}{i}") for i in range(count)],
            "geometry": shapely.to_wkb(shapes).tolist(),
            "datetime": [when] * count,
            "datetime_end": [when] * count,
            "inputs": [[{**part, "datetime": when}]] * count,
            "modalities": [1] * count,
            "valid_fraction": [1.0] * count,
            "thumbnail": [b"webp"] * count,
            "embedding": [v.astype(np.float32).tolist() for v in vectors],
        },
        schema=schema.CHIPS,
    )


def grid() -> tuple[np.ndarray, np.ndarray]:
    col, row = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    return WEST + (col.ravel() + 0.5) * WIDE, SOUTH + (row.ravel() + 0.5) * STEP


@pytest.fixture(scope="session")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Landscape:
    """24 x 24 chips; each patch has a look of its own, stronger than that of its class."""
    random = np.random.default_rng(5)
    col, row = np.meshgrid(np.arange(SIDE) // PATCH, np.arange(SIDE) // PATCH)
    patch = (row * (SIDE // PATCH) + col).ravel()
    of = random.permutation(np.arange(patch.max() + 1) % len(CLASSES))
    classes = of[patch]
    looks = random.normal(size=(len(CLASSES), make.DIMENSION))
    local = 2.0 * random.normal(size=(patch.max() + 1, make.DIMENSION))
    vectors = looks[classes] + local[patch] + 0.3 * random.normal(size=(SIDE**2, make.DIMENSION))
    lon, lat = grid()
    table = chips("made", lon, lat, vectors, datetime(2021, 6, 1, tzinfo=UTC))
    path = tmp_path_factory.mktemp("landscape") / "store"
    store = make.store(path)
    store.append(table.slice(0, 300))
    store.append(table.slice(300))
    return Landscape(path, table["id"].to_pylist(), lon, lat, classes, vectors)


@pytest.fixture
def engine(landscape: Landscape) -> Engine:
    return Engine(landscape.path)


def feature(shape: Any, class_: Any, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": None if shape is None else shapely.geometry.mapping(shape),
        "properties": {"class": class_, **properties},
    }


def collection(*features: dict[str, Any]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}
