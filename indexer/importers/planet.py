"""Planet: one row a chip and time; the model stands in no column, so that it is called ``planet`` unless told.

Source: the sample in github.com/cloudnativegeo/geo-embeddings-survey, data/planet, whose footer declares EPSG:3857 over
coordinates in degrees, and whose rows without data have no vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.importers.columns import utc
from indexer.importers.parquet import ParquetSource, TableLayout
from indexer.importers.source import Model

if TYPE_CHECKING:
    import pyarrow as pa

CHIP = 224
"""Pixels along a side, where the file does not say."""
_QUALITY = ("embedding_thumbnail_uri", "cloud_percent", "clear_percent")


def _model(source: ParquetSource) -> Model:
    chip = int(source.one_value("chip_size") or CHIP)
    gsd = float(f"{source.side / chip:.3g}") if source.side else 3.0
    return Model(source.options.model or "planet", source.dimension, chip, gsd)


def _times(rows: pa.Table, source: ParquetSource) -> tuple[pa.Array, pa.Array]:
    first, last = ("datetime",) * 2 if "datetime" in rows.column_names else ("start_datetime", "end_datetime")
    return utc(rows[first], source.path), utc(rows[last], source.path)


def _origin(rows: pa.Table) -> dict[str, Any]:
    name = next((c for c in ("item_id", "related_to_event_id") if c in rows.column_names), None)
    return {"item": rows[name].to_pylist()} if name else {}


def _layout(name: str, times: tuple[str, ...]) -> TableLayout:
    return TableLayout(
        name,
        ("geometry", "embedding", *times),
        "embedding",
        ("geometry", *times, "item_id"),
        _model,
        _times,
        _origin,
        one_of=_QUALITY,
        optional=("chip_size", "item_id", "related_to_event_id"),
        missing_percent="nodata_percent",
    )


LAYOUT = _layout("Planet", ("datetime",))
SPAN_LAYOUT = _layout("Planet (time spans)", ("start_datetime", "end_datetime"))
