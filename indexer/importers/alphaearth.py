"""AlphaEarth Foundations: GeoTIFFs of 64 bands of int8, A00 to A63, one file a year and part of a UTM zone.

A stored number v stands for ((v / 127.5)²) · sign(v); -128 is no data; dequantised vectors have length one. The files
are written south up, which their geotransform says.

Source: developers.google.com/earth-engine/guides/aef_on_gcs_readme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import EmbeddingsError
from indexer.importers import when
from indexer.importers.pixels import PixelSource
from indexer.importers.source import Model, Options
from indexer.rasters import Reader, open_raster, opened

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from indexer.rasters import Raster

NAME = "AlphaEarth"
BANDS = tuple(f"A{i:02}" for i in range(64))
NODATA = -128
_STORED = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32)
DEQUANTISED = ((_STORED / 127.5) ** 2 * np.sign(_STORED)).astype(np.float32)
"""What each stored number stands for, by its bits as uint8."""


def looks_like(source: Any) -> bool:
    """Tell whether an open rasterio dataset may be of this layout."""
    return bool(source.count == len(BANDS))


def open_source(path: Path, options: Options) -> PixelSource:
    """Open a file.

    Raises
    ------
    EmbeddingsError
        If it says of its numbers what is not so of AlphaEarth's.
    """
    with opened(path) as source:
        for what, said, right in (
            ("data type", "/".join(sorted(set(source.dtypes))), "int8"),
            ("nodata value", f"{source.nodata:g}" if source.nodata is not None else "none", f"{NODATA}"),
            ("scale", "/".join(f"{s:g}" for s in sorted(set(source.scales))), "1"),
            ("offset", "/".join(f"{o:g}" for o in sorted(set(source.offsets))), "0"),
        ):
            if said != right:
                raise EmbeddingsError(
                    f"{path} has 64 bands as AlphaEarth's files do, but its {what} is {said} and not {right}, so that "
                    "nobody knows what its numbers stand for. Fetch the file again as it was published."
                )
    raster = open_raster(path)
    bands = raster.bands.names
    if set(bands) != set(BANDS) and bands != tuple(str(i) for i in range(1, 65)):
        raise EmbeddingsError(f"{path} has 64 bands that are not A00 to A63 ({bands[0]}, {bands[1]}, …).")
    model = Model(
        "alphaearth",
        len(BANDS),
        1,
        raster.gsd,
        "v1",
        "https://developers.google.com/earth-engine/guides/aef_on_gcs_readme",
    )
    told = when.with_year(options, path)
    return PixelSource(path, NAME, model, raster, _Dequantised(raster), told, unit_length=True)


class _Dequantised:
    """Reads windows of an AlphaEarth file."""

    def __init__(self, raster: Raster) -> None:
        named = BANDS if set(raster.bands.names) == set(BANDS) else raster.bands.names
        self._reader = Reader(raster.path, raster.bands.select(named, raster.path))

    def __call__(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        stored, _ = self._reader.stored(row, col, height, width)
        valid: NDArray[np.bool_] = (stored != NODATA).all(axis=0)
        return DEQUANTISED[stored.view(np.uint8)], valid
