"""Earth Index (Earth Genome): tiles of 320 m, the model named in the footer ``emb``.

Source: the samples and the schema in github.com/cloudnativegeo/geo-embeddings-survey, data/earth_index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedstore.errors import EmbeddingsError
from indexer import acquisition
from indexer.importers.parquet import ParquetSource, TableLayout
from indexer.importers.source import Model, moments

if TYPE_CHECKING:
    import pyarrow as pa

GSD, CHIP = 10.0, 32
"""Sentinel-2, tiles of 320 m: what the files leave to their documentation."""


def _model(source: ParquetSource) -> Model:
    made, embedding = source.emb.get("model", {}), source.emb.get("embedding", {})
    if not (source.options.model or made.get("id")):
        raise EmbeddingsError(
            f"{source.path} does not say in its footer `emb` which model made its vectors; say it by --model."
        )
    stated, quantization = embedding.get("dim"), embedding.get("quantization")
    if stated is not None and stated != source.dimension:
        raise EmbeddingsError(
            f"the footer `emb` of {source.path} says dimension {stated}, its vectors have {source.dimension}."
        )
    if str(quantization) not in ("None", "", "none"):
        raise EmbeddingsError(
            f"the footer `emb` of {source.path} says that its vectors are quantised ({quantization}), and not how to "
            "undo it. Dequantise them, and set quantization to None."
        )
    return Model(
        source.options.model or str(made["id"]),
        source.dimension,
        CHIP,
        GSD,
        str(made.get("version") or made.get("fingerprint") or ""),
        str(made.get("source", "")),
    )


def _times(rows: pa.Table, source: ParquetSource) -> tuple[pa.Array, pa.Array]:
    emb = source.emb
    first, last = emb.get("start_datetime") or emb.get("datetime"), emb.get("end_datetime") or emb.get("datetime")
    span = (acquisition.parse(first), acquisition.parse(last)) if first and last else None
    return moments(source.options.span or span, len(rows))


def _origin(rows: pa.Table) -> dict[str, Any]:
    return {"item": rows["id"].to_pylist()}


LAYOUT = TableLayout("Earth Index", ("id", "embedding", "geometry"), "embedding", ("id",), _model, _times, _origin)
