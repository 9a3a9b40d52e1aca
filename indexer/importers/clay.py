"""Clay: files of one MGRS tile, made by version 0 (with an index in the tile) or by version 1.

Source: the samples in github.com/cloudnativegeo/geo-embeddings-survey, data/clay, and clay-foundation.github.io/model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from indexer.importers.columns import utc
from indexer.importers.parquet import ParquetSource, TableLayout
from indexer.importers.source import Model

if TYPE_CHECKING:
    import pyarrow as pa

MODEL = "https://github.com/Clay-foundation/model"
V1 = {768: "clay-v1", 1024: "clay-v1.5"}
"""By dimension, where a file does not name its model."""


def _v0(source: ParquetSource) -> Model:
    return Model(source.options.model or "clay-v0", source.dimension, 512, 10.0, source=MODEL)


def _v1(source: ParquetSource) -> Model:
    name = source.options.model or source.one_value("source_model") or V1.get(source.dimension, "clay")
    gsd = float(f"{source.side / 256:.3g}") if source.side else 10.0
    return Model(str(name), source.dimension, 256, gsd, source=MODEL)


def _times(rows: pa.Table, source: ParquetSource) -> tuple[pa.Array, pa.Array]:
    when = utc(rows["date"], source.path)
    return when, when


def _origin(rows: pa.Table) -> dict[str, Any]:
    urls = rows["source_url"].to_pylist()
    # a path of somebody else's machine, in a file of somebody else's, shall not be opened on this one
    hrefs = [url if url and "://" in url else None for url in urls]
    return {"item": [url and url.rpartition("/")[2] for url in urls], "href": hrefs}


_COMMON = ("source_url", "date", "embeddings", "geometry")
V0_LAYOUT = TableLayout(
    "Clay v0", ("index", *_COMMON), "embeddings", ("source_url", "date", "index"), _v0, _times, _origin
)
V1_LAYOUT = TableLayout(
    "Clay v1",
    _COMMON,
    "embeddings",
    ("source_url", "date", "geometry"),
    _v1,
    _times,
    _origin,
    optional=("source_model",),
)
