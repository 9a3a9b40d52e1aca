"""The vector of a picture that is asked about: a GeoTIFF chip, encoded as the store's chips were."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from embedstore.errors import RasterError
from indexer.bands import describe
from indexer.rasters import Reader, opened

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from indexer.encoders.base import Encoder


def encode_chip(path: str | Path, encoder: Encoder, driver: str | None = None) -> NDArray[np.float32]:
    """Return the unit vector of a raster file, shape (1, dimension).

    The file needs the encoder's bands, by name, and no CRS; of a raster larger than a chip the centre is taken. If one
    of GDAL's drivers is named, no other may open it.

    Raises
    ------
    RasterError
        If it cannot be read, is smaller than a chip, or holds no data.
    BandError
        If a band is missing.
    """
    path = Path(path)
    size, modality = encoder.spec.chip_size, encoder.spec.modalities[0]
    with opened(path, driver) as source:
        bands = describe(source, path.name).select(modality.bands, path)
    with Reader(path, bands, driver) as reader:
        height, width = reader.shape
        if min(height, width) < size:
            raise RasterError(
                f"{path} is {width} x {height} pixels; this store's encoder takes chips of {size} x {size}. Give a "
                f"larger cut-out, with pixels of {encoder.spec.gsd:g} m."
            )
        pixels, valid = reader.read((height - size) // 2, (width - size) // 2, size, size)
    if not valid.any():
        raise RasterError(f"{path} holds no pixel of data in its central {size} x {size}; give another chip.")
    return encoder.encode({modality.name: pixels[None]}, valid[None])
