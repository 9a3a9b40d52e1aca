"""The vector of a picture that is asked about: a chip in a file, encoded as the store's chips were."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import RasterError
from indexer import magnitude
from indexer.bands import describe
from indexer.items import is_item, open_item
from indexer.rasters import Reader, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.bands import Bands
    from indexer.encoders.base import Encoder


def encode_chip(path: str | Path, encoder: Encoder, driver: str | None = None) -> NDArray[np.float32]:
    """Return the unit vector of a raster file or a STAC Item, shape (1, dimension).

    A raster needs all the bands of one of the encoder's modalities, by name, and no CRS; of one larger than a chip the
    centre is taken. If one of GDAL's drivers is named, no other may open it.

    Raises
    ------
    RasterError
        If it cannot be read, is smaller than a chip, holds no data, or is in other units than the encoder takes.
    BandError
        If a band is missing.
    """
    path = Path(path)
    spec, size = encoder.spec, encoder.spec.chip_size
    with ExitStack() as files:
        layers = _layers(path, spec.modalities, driver)
        readers = {name: files.enter_context(Reader(file, bands, driver)) for name, (file, bands) in layers.items()}
        height, width = next(iter(readers.values())).shape
        if min(height, width) < size:
            raise RasterError(
                f"{path} is {width} x {height} pixels; this store's encoder takes chips of {size} x {size}. Give a "
                f"larger cut-out, with pixels of {spec.gsd:g} m."
            )
        window = (height - size) // 2, (width - size) // 2, size, size
        looks = {name: reader.read(*window) for name, reader in readers.items()}
        for modality in spec.modalities:
            if modality.name in readers:
                reader = readers[modality.name]
                magnitude.check_bytes(reader.dtype, reader.bands, modality, path)
                magnitude.check(*looks[modality.name], modality, path)
    valid = np.any([seen for _, seen in looks.values()], axis=0)
    if not valid.any():
        raise RasterError(f"{path} holds no pixel of data in its central {size} x {size}; give another chip.")
    if len(looks) > 1:
        for pixels, seen in looks.values():
            pixels[:, ~seen] = np.nan
    return encoder.encode({name: pixels[None] for name, (pixels, _) in looks.items()}, valid[None])


def _layers(path: Path, modalities: Sequence[Modality], driver: str | None) -> dict[str, tuple[Path, Bands]]:
    """Return file and bands of each modality that a chip has."""
    if is_item(path) and driver is None:
        rasters = open_item(path, [m.name for m in modalities])
        bands_of = {m.name: m.bands for m in modalities}
        return {name: (r.path, r.bands.select(bands_of[name], r.path)) for name, r in rasters.items()}
    with opened(path, driver) as source:
        bands = describe(source, path.name)
    has = [m for m in modalities if set(m.bands) <= set(bands.names)] or modalities[:1]
    return {m.name: (path, bands.select(m.bands, path)) for m in has}
