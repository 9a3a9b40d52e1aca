"""TESSERA: tiles of 0.1 degrees, int8 of shape (rows, columns, 128) in one file, a scale for each pixel in another.

A vector is its int8 numbers times its scale; a scale of 0 or NaN is no data. The tile's land mask, a GeoTIFF of the
same name, says where the pixels lie: beside the tile, or in ``global_0.1_degree_tiff_all``.

Source: Feng et al. 2025 (arXiv:2506.20380) and geotessera's documentation.
"""

from __future__ import annotations

import tokenize
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore import spec
from embedstore.errors import EmbeddingsError
from indexer.identity import digest_by_pieces
from indexer.importers import when
from indexer.importers.pixels import PixelSource
from indexer.importers.source import Model, Options
from indexer.rasters import open_raster

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "TESSERA"
MASKS = "global_0.1_degree_tiff_all"


def scales_of(path: Path) -> Path:
    """Return the file of a tile's scales."""
    return path.with_name(f"{path.stem}_scales.npy")


def open_source(path: Path, options: Options) -> PixelSource:
    """Open a tile.

    Raises
    ------
    EmbeddingsError
        If its numbers, scales and land mask do not go together.
    """
    stored, scales = mapped(path), mapped(scales_of(path))
    if stored.ndim != 3 or stored.dtype != np.int8:
        raise EmbeddingsError(
            f"{path} has scales beside it, but is no tile of TESSERA: {stored.dtype} of shape {stored.shape} and not "
            "int8 of (rows, columns, dimension)."
        )
    if scales.dtype.kind != "f" or scales.shape not in (stored.shape[:2], stored.shape):
        raise EmbeddingsError(
            f"the scales {scales_of(path)} ({scales.dtype}, {scales.shape}) do not fit {path.name} ({stored.shape}): "
            "one real number a pixel, or one a pixel and dimension. Fetch both again."
        )
    raster = open_raster(_mask(path))
    if (raster.height, raster.width) != stored.shape[:2]:
        raise EmbeddingsError(
            f"the land mask {raster.path} has {raster.height} x {raster.width} pixels, {path.name} "
            f"{stored.shape[0]} x {stored.shape[1]}; they are of different versions. Fetch both again."
        )
    item = f"sha256:{spec.digest([digest_by_pieces(path), digest_by_pieces(scales_of(path))])}"
    model = Model("tessera", stored.shape[2], 1, raster.gsd, source="https://github.com/ucam-eo/tessera")
    read = _Scaled(path, stored, scales)
    told = when.with_year(options, path)
    return PixelSource(path, NAME, model, replace(raster, path=path, item=item), read, told, unit_length=False)


def mapped(path: Path) -> NDArray[Any]:
    """Return an array that stays on disk until it is read.

    Raises
    ------
    EmbeddingsError
        If the file is no .npy.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, TypeError, EOFError, SyntaxError, tokenize.TokenError) as error:
        raise EmbeddingsError(f"{path} cannot be read as .npy: {error}.") from error


def _mask(path: Path) -> Path:
    places = [path.with_suffix(suffix) for suffix in (".tiff", ".tif")]
    places += [folder / MASKS / f"{path.stem}.tiff" for folder in path.absolute().parents[:4]]
    for place in places:
        if place.is_file():
            return place
    raise EmbeddingsError(
        f"{path} needs its land mask {path.stem}.tiff to say where it lies; put it beside the tile, or into {MASKS}."
    )


class _Scaled:
    """Reads windows of a tile."""

    def __init__(self, path: Path, stored: NDArray[Any], scales: NDArray[Any]) -> None:
        self._path, self._stored, self._scales = path, stored, scales

    def __call__(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        window = slice(row, row + height), slice(col, col + width)
        scales = np.asarray(self._scales[window], np.float32).reshape(height, width, -1)
        if (scales < 0).any() or np.isinf(scales).any():
            raise EmbeddingsError(
                f"the scales {scales_of(self._path)} hold numbers below 0 or infinity near row {row}, column {col}; "
                "they are no scales. Fetch them again."
            )
        valid: NDArray[np.bool_] = np.logical_and(np.isfinite(scales).all(axis=2), (scales > 0).any(axis=2))
        vectors = self._stored[window] * np.where(valid[..., None], scales, 0)
        return np.ascontiguousarray(vectors.transpose(2, 0, 1), np.float32), valid
