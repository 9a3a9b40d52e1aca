"""Several sensors of one place, found in a catalogue, encoded as one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from embedstore import footprint, segment_rows
from embedstore.store import Store
from indexer.encode import encode
from indexer.landscape import files
from indexer.plan import file, make
from indexer.plan.encode import encode_plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def by_place(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
    """Return centres, vectors and present modalities of all chips, in order of place."""
    columns = ["geometry", "embedding", "modalities"]
    table = pa.concat_tables([pq.read_table(p, columns=columns) for p in sorted(path.glob("h3_cell=*/*.parquet"))])
    lon, lat = footprint.centres(shapely.from_wkb(table["geometry"].to_pylist()))
    vectors = segment_rows.matrix(table["embedding"], Store.open(path).encoder.dimension)
    order = np.lexsort((lon.round(6), lat.round(6)))
    return np.column_stack([lon, lat])[order], vectors[order], table["modalities"].to_numpy()[order]


def test_what_a_plan_joins_is_what_an_item_holds(tmp_path: Path) -> None:
    (item,) = files.write(tmp_path / "scenes", "delta", 1, (6,))
    body = json.loads(item.read_bytes())
    day = body["properties"]["datetime"][:10]
    area = shapely.geometry.shape(body["geometry"]).buffer(0.001)
    plan = tmp_path / "plan.parquet"
    made = make.plan(area, str(tmp_path / "scenes" / "collection.json"), f"{day}/{day}", plan, encoder="clip:small")
    assert (made.faults, made.alone) == ((), 0)
    report = encode_plan(plan, tmp_path / "planned")
    assert report.chips == file.read(plan).chips == 16
    assert report.scenes_failed == ()
    assert encode([item], tmp_path / "alone", "clip:small").chips == 16
    places, vectors, present = by_place(tmp_path / "planned")
    same_places, same_vectors, _ = by_place(tmp_path / "alone")
    assert (present == 0b111).all(), "optical, amplitude and coherence"
    assert np.allclose(places, same_places, atol=1e-6)
    assert np.allclose(vectors, same_vectors, atol=1e-3)
