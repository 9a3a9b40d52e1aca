"""Which layout a file is of: by its columns, its bands, or what stands beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedstore.errors import EmbeddingsError
from indexer.importers import alphaearth, clay, earth_index, exported, major_tom, planet, tessera
from indexer.importers.arrays import ArraySource
from indexer.importers.parquet import ParquetSource
from indexer.importers.streaming import open_parquet, readable
from indexer.rasters import opened

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.importers.source import Options, Source

TABLES = (
    exported.LAYOUT,
    major_tom.LAYOUT,
    clay.V0_LAYOUT,
    clay.V1_LAYOUT,
    planet.LAYOUT,
    planet.SPAN_LAYOUT,
    earth_index.LAYOUT,
)
"""The first that fits is taken: those with more columns stand first."""
RASTERS = (".tif", ".tiff", ".vrt")
PARQUET = (".parquet", ".gpq", ".geoparquet", ".pq")


def open_source(path: Path, options: Options) -> Source:
    """Open a file as the layout that it is of.

    Raises
    ------
    EmbeddingsError
        If it is of none; the message says what each would need.
    """
    if not path.is_file():
        raise EmbeddingsError(f"there is no file {path}; give the path of a file of embeddings.")
    with readable(path):
        return _open(path, options)


def _open(path: Path, options: Options) -> Source:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        has_scales = tessera.scales_of(path).is_file()
        return tessera.open_source(path, options) if has_scales else ArraySource(path, options)
    if suffix in RASTERS:
        return _open_raster(path, options)
    if suffix not in PARQUET:
        raise EmbeddingsError(
            f"{path} is of no kind that is known: give GeoParquet ({', '.join(PARQUET)}), a raster of vectors "
            f"({', '.join(RASTERS)}) or an array (.npy)."
        )
    columns = set(open_parquet(path).schema_arrow.names)
    for layout in TABLES:
        if not layout.missing(columns):
            return ParquetSource(path, layout, options)
    lacks = "; ".join(f"{layout.name} would need {layout.missing(columns)}" for layout in TABLES)
    raise EmbeddingsError(
        f"the columns of {path} ({', '.join(sorted(columns))}) are of no layout that is known: {lacks}."
    )


def _open_raster(path: Path, options: Options) -> Source:
    with opened(path) as source:
        known, count = alphaearth.looks_like(source), source.count
    if not known:
        raise EmbeddingsError(
            f"{path} has {count} bands; of rasters of vectors AlphaEarth's are known, of 64. Scenes are for "
            "`embedstore encode`."
        )
    return alphaearth.open_source(path, options)
