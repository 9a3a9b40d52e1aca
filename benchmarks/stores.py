"""A store of given vectors, so that all engines search the same rows: the id of a chip is its row number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import shapely

from embedstore import footprint, schema
from embedstore.spec import EncoderSpec, GridSpec, Modality
from embedstore.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.peers.rows import Rows

HALF = 0.003
"""Half a chip's side in degrees."""
CHUNK = 65_536
FIRST_DAY = np.datetime64("2020-01-01", "us")
DAYS = 1461


def create(path: Path, dimension: int) -> Store:
    """Make an empty store for vectors that no encoder of ours made."""
    optical = Modality("optical", ("B02",), (0.0,), (1.0,))
    return Store.create(
        path, EncoderSpec("benchmark", (optical,), 64, 10.0, dimension, "mean"), GridSpec.for_chips(640)
    )


def append(store: Store, rows: Rows, first: int = 0) -> None:
    """Append rows whose numbers begin at `first`."""
    for start in range(0, len(rows), CHUNK):
        part = slice(start, min(start + CHUNK, len(rows)))
        store.append(_chips(rows, part, first))


def row_numbers(ids: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows that ids stand for."""
    return np.array([int(i, 16) for i in ids], np.int64)


def drawn(lon: NDArray[np.float64], seed: int) -> tuple[NDArray[np.datetime64], NDArray[np.float32]]:
    """Draw times and an attribute from 0 to 1; half of each depends on the place, as in archives."""
    rng = np.random.default_rng(seed)
    west, east = lon.min(), lon.max()
    place = (lon - west) / max(east - west, 1e-9)
    late = (place + rng.random(len(lon))) / 2
    when = FIRST_DAY + (late * DAYS).astype(np.int64) * np.timedelta64(86_400_000_000, "us")
    share = ((1 - place + rng.random(len(lon))) / 2).astype(np.float32)
    return when, share


def _chips(rows: Rows, part: slice, first: int) -> pa.Table:
    lon, lat = rows.lon[part], rows.lat[part]
    count, dimension = len(lon), rows.dimension
    corners = footprint.footprints(
        lon[:, None] + np.array([-HALF, HALF, HALF, -HALF]), lat[:, None] + np.array([-HALF, -HALF, HALF, HALF])
    )
    when = pa.array(rows.when[part]).cast(schema.TIME)
    window = {"modality": "optical", "item": "benchmark", "href": "", "row": 0, "col": 0, "height": 64, "width": 64}
    one = pa.array([[{**window, "datetime": None}]], schema.CHIPS.field("inputs").type)
    offsets = pa.array(np.arange(0, count * dimension + 1, dimension, dtype=np.int32))
    embedding = pa.ListArray.from_arrays(
        offsets, pa.array(rows.vectors[part].ravel()), type=schema.CHIPS.field("embedding").type
    )
    return pa.table(
        {
            "id": pa.array([f"{first + part.start + i:032x}" for i in range(count)]),
            "geometry": pa.array(shapely.to_wkb(corners)),
            "datetime": when,
            "datetime_end": when,
            "inputs": one.take(pa.array(np.zeros(count, np.int64))),
            "modalities": pa.array(np.ones(count, np.int32)),
            "valid_fraction": pa.array(rows.share[part]),
            "thumbnail": pa.nulls(count, pa.binary()),
            "embedding": embedding,
        },
        schema=schema.CHIPS,
    )
