"""What `embedstore export` wrote as GeoParquet: the columns of a store's own files, and who made the vectors.

The encoder's fingerprint is the version of the model, so that vectors of two encoders never come together, even where
both are called alike: ``rcf`` is another for every region that it was fitted to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from embedstore.errors import EmbeddingsError
from indexer.encoders.imported import PREFIX
from indexer.importers.columns import utc
from indexer.importers.parquet import ParquetSource, TableLayout
from indexer.importers.source import Model

if TYPE_CHECKING:
    import pyarrow as pa


def _model(source: ParquetSource) -> Model:
    try:
        made, size = source.emb["model"], int(source.emb["emb:chip_layout"]["chip_size"][0])
        name, fingerprint = source.options.model or str(made["id"]).removeprefix(PREFIX), str(made["fingerprint"])
        return Model(name, source.dimension, size, float(source.emb["gsd"]), fingerprint)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise EmbeddingsError(
            f"{source.path} has the columns of an export, and does not say in its footer `emb` which encoder made its "
            "vectors. Export it again with `embedstore export`."
        ) from error


def _times(rows: pa.Table, source: ParquetSource) -> tuple[pa.Array, pa.Array]:
    return utc(rows["datetime"], source.path), utc(rows["datetime_end"], source.path)


def _origin(rows: pa.Table) -> dict[str, Any]:
    first = pc.list_element(rows["inputs"], 0).combine_chunks()
    return {name: pc.struct_field(first, name).to_pylist() for name in ("item", "row", "col", "height", "width")}


LAYOUT = TableLayout(
    "embedstore",
    ("id", "geometry", "h3", "datetime", "datetime_end", "inputs", "modalities", "valid_fraction", "embedding"),
    "embedding",
    ("id",),
    _model,
    _times,
    _origin,
    optional=("bbox", "thumbnail"),
    valid="valid_fraction",
)
