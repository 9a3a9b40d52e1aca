"""Major TOM: fragments of grid cells; the model stands in the data set's name, so that the caller must tell it.

Source: Czerkawski, Kluczek and Bojanowski 2024 (arXiv:2412.05600) and the cards of its data sets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedstore.errors import EmbeddingsError
from indexer.importers.columns import utc
from indexer.importers.parquet import ParquetSource, TableLayout
from indexer.importers.source import Model

if TYPE_CHECKING:
    import pyarrow as pa

CHIP = 224
"""Pixels along a side, where the file does not say."""


def _model(source: ParquetSource) -> Model:
    if not source.options.model:
        raise EmbeddingsError(
            f"{source.path} is of Major TOM, which names the model in the data set's name and not in the file; "
            "say it by --model, for instance --model SSL4EO-ResNet50."
        )
    boxes = _boxes(source.first)
    chip = boxes[0][2] - boxes[0][0] if boxes else CHIP
    gsd = float(f"{source.side / chip:.3g}") if source.side else 10.0
    return Model(source.options.model, source.dimension, chip, gsd, source="https://huggingface.co/Major-TOM")


def _boxes(rows: pa.Table) -> list[list[int]]:
    """Return left, top, right and bottom of each fragment in its grid cell, in pixels, as far as the file says."""
    boxes = rows["pixel_bbox"].to_pylist() if "pixel_bbox" in rows.column_names else []
    for box in boxes:
        whole = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int) for side in box)
        if not whole or box[0] >= box[2] or box[1] >= box[3]:
            raise EmbeddingsError(
                f"the column pixel_bbox holds {str(box)[:80]}, which is no box; it has left, top, right and bottom in "
                "whole pixels. Mend the column, or leave it out."
            )
    return boxes


def _times(rows: pa.Table, source: ParquetSource) -> tuple[pa.Array, pa.Array]:
    when = utc(rows["timestamp"], source.path)
    return when, when


def _origin(rows: pa.Table) -> dict[str, Any]:
    origin = {"item": rows["product_id"].to_pylist()}
    if "pixel_bbox" in rows.column_names:
        left, top, right, bottom = zip(*_boxes(rows), strict=True) if len(rows) else ((),) * 4
        origin |= {"row": top, "col": left}
        origin |= {"height": [b - t for t, b in zip(top, bottom, strict=True)]}
        origin |= {"width": [r - x for x, r in zip(left, right, strict=True)]}
    return origin


LAYOUT = TableLayout(
    "Major TOM",
    ("unique_id", "embedding", "timestamp", "product_id", "grid_cell", "geometry"),
    "embedding",
    ("unique_id",),
    _model,
    _times,
    _origin,
    optional=(
        "pixel_bbox",
        "grid_row_u",
        "grid_col_r",
        "centre_lat",
        "centre_lon",
        "utm_footprint",
        "utm_crs",
    ),
)
