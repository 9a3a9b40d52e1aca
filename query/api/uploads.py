"""Uploaded chips: what they may be, and their vectors.

A stranger's raster is opened by GDAL's GTiff and PNG drivers and no other, alone in a folder of its own, and only after
its first bytes, its size, its bands and its blocks were found to be in bounds.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import rasterio

from embedstore import deadline
from embedstore.errors import LimitError, RasterError
from embedstore.vectors import to_unit
from indexer.rasters import opened
from query.api.problems import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from query.api.collections import Collection
    from query.api.settings import Settings

MAGIC = {
    b"II*\0": ("chip.tif", "GTiff"),
    b"MM\0*": ("chip.tif", "GTiff"),
    b"II+\0": ("chip.tif", "GTiff"),
    b"MM\0+": ("chip.tif", "GTiff"),
    b"\x89PNG": ("chip.png", "PNG"),
}
"""First bytes of the formats that are taken: TIFF and BigTIFF of either byte order, PNG."""
ALONE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_HTTP_MAX_RETRY": "0",
}
"""GDAL looks at no other file and at no network."""


NAMES_FILES = ("OVERVIEWS", "GEOLOCATION")
"""Domains of a TIFF's metadata by which GDAL finds other files to open, wherever they are."""


def encode(of: Collection, file: BinaryIO, settings: Settings) -> NDArray[np.float32]:
    """Return the unit vector of an uploaded chip, shape (1, d).

    Raises
    ------
    Problem
        415 if it is neither GeoTIFF nor PNG.
    LimitError
        If it is larger than allowed.
    RasterError, BandError
        If it cannot be read, or lacks a band.
    """
    from indexer.query_chip import encode_chip  # noqa: PLC0415 - torch is needed for chips only

    head = file.read(4)
    file.seek(0)
    if head not in MAGIC:
        raise Problem(415, "the file is neither GeoTIFF nor PNG; send a chip in one of these formats.")
    name, driver = MAGIC[head]
    encoder = of.engine.encoder()
    with tempfile.TemporaryDirectory(prefix="embedstore-upload-") as folder, rasterio.Env(**ALONE):
        path = Path(folder) / name
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        with opened(path, driver) as source:
            _check(source, settings)
        deadline.check()
        vector = encode_chip(path, encoder, driver)
    return to_unit(vector, of.engine.store.encoder.dimension)


def _check(source: Any, settings: Settings) -> None:
    """Refuse a raster that would take more memory than it is worth, or that leads elsewhere."""
    if any(source.tags(ns=domain) for domain in NAMES_FILES):
        raise RasterError("the file's metadata names other files; send a chip that stands alone.")
    if source.count > settings.max_upload_bands:
        raise LimitError(f"the file has {source.count} bands; {settings.max_upload_bands} are allowed.")
    if source.width * source.height > settings.max_upload_pixels:
        raise LimitError(
            f"the file has {source.width} x {source.height} pixels; {settings.max_upload_pixels} are allowed. Cut it."
        )
    width = max(np.dtype(t).itemsize for t in source.dtypes)
    blocks = max(height * across for height, across in source.block_shapes)
    decoded = source.count * width * max(source.width * source.height, blocks)
    if decoded > settings.max_upload_decoded_bytes:
        raise LimitError(f"the file is {decoded} bytes once decoded; {settings.max_upload_decoded_bytes} are allowed.")
