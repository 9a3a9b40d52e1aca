"""Chips as one GeoParquet 1.1 file, with the same columns and footers as the table's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import shapely

from embedstore import schema
from query.export import chips as source

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from query.rows import Rows

PER_DEGREE = 1e9
"""Steps in which the footer's bounds are told: a tenth of a millimetre."""


def write(chips: Rows, path: Path) -> None:
    """Write chips to a file, block by block; the footprints are read twice, since the footer's bounds come first."""
    bounds, types = (-180.0, -90.0, 180.0, 90.0), set[str]()
    boxes = []
    for block in source.blocks(chips, ("geometry",)):
        shapes = footprints(block)
        types |= {shape.geom_type for shape in shapes}
        boxes.append(shapely.total_bounds(shapes))
    if boxes:
        # outwards, with few digits: who reads them as decimals shall not find a corner outside by its last bit
        low = np.maximum(np.floor(np.min(boxes, axis=0)[:2] * PER_DEGREE) / PER_DEGREE, [-180, -90])
        high = np.minimum(np.ceil(np.max(boxes, axis=0)[2:] * PER_DEGREE) / PER_DEGREE, [180, 90])
        bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    keys = schema.footer(schema.geo_key(bounds, sorted(types)), schema.emb_key(chips.snapshot.encoder))
    described = schema.FILE.with_metadata(keys)
    with pq.ParquetWriter(
        path,
        described,
        compression="zstd",
        use_dictionary=["inputs.list.element.modality", "inputs.list.element.item", "inputs.list.element.href"],
        column_encoding={"embedding.list.element": "BYTE_STREAM_SPLIT"},
        write_page_index=True,
    ) as writer:
        for block in source.blocks(chips):
            writer.write_table(block.cast(described), row_group_size=source.BLOCK)


def footprints(table: pa.Table) -> NDArray[Any]:
    """Return the footprints of a table, shapely geometries in degrees."""
    return np.asarray(shapely.from_wkb(np.array(table["geometry"].to_pylist(), object)), object)
