"""Scenes as files: where they lie, what they hold, when they were taken, and their pixels by the window."""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from embedstore.errors import RasterError
from indexer import acquisition, identity, remote
from indexer.bands import Bands, alpha_is_a_band, describe
from indexer.lonlat import lonlat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

# WGS 84 (NIMA TR8350.2): semi-major axis in metres, and first eccentricity squared.
SEMI_MAJOR, ECCENTRICITY2 = 6_378_137.0, 0.00669437999014

GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError)
"""What rasterio raises over files: the last one where a name in them is no UTF-8."""
LEAST_CACHE = 64 << 20
"""Bytes of decoded blocks that are always kept."""
MOST_BLOCK = 1 << 30
"""Bytes of the largest block that is decoded: a file of a few bytes may say that it has one of any size."""
MOST_BANDS = 4096
"""Of a scene: GDAL and rasterio go through all bands for each, so more of them take minutes."""


@dataclass(frozen=True)
class Raster:
    """A scene: everything about it but its pixels.

    Parameters
    ----------
    path
        The file.
    item
        Identity of its content, ``sha256:<hex>`` or :func:`indexer.remote.identity`; never a path.
    crs, transform
        Where its pixels lie: ``transform * (col, row)`` in the CRS. It may be rotated.
    width, height
        In pixels.
    dtype
        Of the stored numbers.
    bands
        All of its bands.
    nodata
        Stored number that means no data, if one does.
    datetime
        When it was taken, in UTC, if that is known.
    gsd
        Ground sample distance at the centre in metres, the mean of both axes, to three digits.
    block_height
        Rows of pixels that are stored, and so decoded, together.
    href
        What it is called in the table; its absolute path if empty.
    """

    path: Path
    item: str
    crs: Any
    transform: Any
    width: int
    height: int
    dtype: str
    bands: Bands
    nodata: float | None
    datetime: datetime | None
    gsd: float
    block_height: int
    href: str = ""

    def lonlat(self, col: NDArray[Any], row: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude (degrees, OGC:CRS84) of pixel positions; infinite where there is no Earth."""
        return _lonlat(self.crs, self.transform, col, row)

    def reader(self, names: Sequence[str]) -> Reader:
        """Open the file for reading some of its bands."""
        return Reader(self.path, self.bands.select(names, self.path))


def open_raster(path: str | Path, when: datetime | None = None, item: str | None = None) -> Raster:
    """Open a scene, look at it, and close it again.

    Parameters
    ----------
    path
        Any raster that GDAL reads; or the URL of a COG (http, https, s3, gs, az), of which parts are read.
    when
        When it was taken, if the caller knows better than the file.
    item
        Its identity, if it has one; else the file is read to make its digest.

    Raises
    ------
    RasterError
        If it cannot be read, or does not say where it lies.
    """
    path = remote.named(path)
    with opened(path) as source:
        _refuse(path, source)
        tags = {**source.tags(), **source.tags(ns="IMAGERY")}
        return Raster(
            path,
            item or identity.of(path, source),
            source.crs,
            source.transform,
            source.width,
            source.height,
            source.dtypes[0],
            describe(source, path.name),
            source.nodata,
            when or acquisition.from_tags(tags) or acquisition.from_name(path.name),
            _gsd(path, source),
            max(height for height, _ in source.block_shapes),
        )


def _refuse(path: Path, source: Any) -> None:
    """Raise RasterError for what does not say where it lies, or says that it is larger than anything."""
    if source.crs is None or source.transform.is_identity:
        lack = "no CRS" if source.crs is None else "no geotransform"
        raise RasterError(
            f"{path} has {lack}, so nobody knows where it lies. Give it one, for instance with "
            "gdal_translate -a_srs EPSG:… -a_ullr …, or warp it with gdalwarp."
        )
    if source.transform.determinant == 0:
        raise RasterError(f"{path} has a geotransform without area: {tuple(source.transform)[:6]}. Mend it.")
    if source.count > MOST_BANDS:
        raise RasterError(
            f"{path} says that it has {source.count:,} bands; {MOST_BANDS:,} are read. Take those that you need, for "
            "instance with gdal_translate -b."
        )
    block = max(h * w for h, w in source.block_shapes) * max(np.dtype(t).itemsize for t in source.dtypes)
    if block > MOST_BLOCK:
        raise RasterError(
            f"{path} says that it has {source.width} x {source.height} pixels in blocks of {block:,} bytes, which "
            f"are decoded whole; {MOST_BLOCK:,} are read. Tile it, for instance with gdal_translate -of COG."
        )


@contextmanager
def block_cache(rasters: Iterable[Raster], bands: int, height: int) -> Iterator[None]:
    """Let GDAL keep as many decoded blocks as neighbouring windows share, and no more.

    By default it keeps a twentieth of the machine's memory, and in a long read the kernel clears a page for all of it.

    Parameters
    ----------
    rasters
        What will be read.
    bands
        How many of their bands.
    height
        Of a window in pixels; windows are read from left to right.
    """
    rows = [(r.width * np.dtype(r.dtype).itemsize, height + 2 * r.block_height) for r in rasters]
    needed = bands * max((row * count for row, count in rows), default=0)
    with rasterio.Env(GDAL_CACHEMAX=max(LEAST_CACHE, needed)):
        yield


@contextmanager
def opened(path: Path, driver: str | None = None) -> Iterator[Any]:
    """Open a rasterio dataset, by one of GDAL's drivers and no other if it is named.

    Raises
    ------
    RasterError
        If the file is missing or no raster, or GDAL fails while it is open.
    """
    with remote.settings(path), _open(path, driver) as source:
        try:
            yield source
        except GDAL_ERRORS as error:
            if remote.url(path):
                raise remote.reason(path, error) from error
            raise RasterError(f"{path} cannot be read: {error}. Is it whole? Fetch it again.") from error


def _open(path: Path, driver: str | None = None) -> Any:
    away = remote.url(path) is not None
    if not away and not path.is_file():
        raise RasterError(f"there is no file {path}; give the path of a raster, for instance a GeoTIFF.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(remote.gdal_name(path), driver=driver or remote.driver(path))
    except GDAL_ERRORS as error:
        if away:
            raise remote.reason(path, error) from error
        raise RasterError(f"{path} cannot be opened: {error}. Is it whole, and a raster? Fetch it again.") from error


class Reader:
    """An open file and the bands wanted of it; one for each thread.

    Parameters
    ----------
    path
        The file.
    bands
        What to read.
    driver
        Of GDAL, the one that may open it; any if None.

    Raises
    ------
    RasterError
        If the file cannot be opened.
    """

    def __init__(self, path: Path, bands: Bands, driver: str | None = None) -> None:
        self.path = path
        self.bands = bands
        with remote.settings(path):
            self._source = _open(path, driver)
        # a virtual raster may lead elsewhere
        self._settings = None if self._source.driver == "VRT" else path
        self._buffer: NDArray[Any] = np.empty(0, np.result_type(*self._source.dtypes))
        ignored = {MaskFlags.alpha, MaskFlags.per_dataset} if alpha_is_a_band(self._source) else set()
        masks, nodata = self._source.mask_flag_enums, self._source.nodatavals  # each asks all bands
        flags = [set(masks[i - 1]) - ignored for i in bands.indexes]
        self._nodata = [nodata[i - 1] for i in bands.indexes]
        self._by_nodata = all(f <= {MaskFlags.all_valid, MaskFlags.nodata} for f in flags)
        self._one_mask = all(MaskFlags.per_dataset in f and MaskFlags.nodata not in f for f in flags)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the whole raster in pixels."""
        return self._source.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers of the bands wanted, as they stand in the file."""
        return np.result_type(*(self._source.dtypes[i - 1] for i in self.bands.indexes))

    def stored(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return numbers as they stand in the file, and where they are data.

        Returns
        -------
        Shape (bands, height, width), in memory that the next call overwrites (see :meth:`Bands.physical`); and bool
        of shape (height, width): the dataset's masks (nodata, alpha, mask band) allow the pixel in every band, and
        every value is finite.

        Raises
        ------
        RasterError
            If a block cannot be read.
        """
        window = Window(col, row, width, height)
        numbers = len(self.bands.indexes) * height * width
        if self._buffer.size < numbers:
            self._buffer = np.empty(numbers, self._buffer.dtype)
        out = self._buffer[:numbers].reshape(-1, height, width)
        try:
            with remote.settings(self._settings):
                self._source.read(list(self.bands.indexes), window=window, out=out)
                return out, self._valid(out, window)
        except GDAL_ERRORS as error:
            if remote.url(self.path):
                raise remote.reason(self.path, error) from error
            raise RasterError(
                f"{self.path} cannot be read at row {row}, column {col}: {error}. Is it whole? Fetch it again."
            ) from error

    def read(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return pixels in physical units, float32, and where they are data; otherwise as :meth:`stored`."""
        stored, valid = self.stored(row, col, height, width)
        pixels = np.empty(stored.shape, np.float32)
        self.bands.physical(stored, pixels)
        return pixels, valid

    def _valid(self, stored: NDArray[Any], window: Window) -> NDArray[np.bool_]:
        if self._by_nodata:
            valid = np.ones(stored.shape[1:], bool)
            for band, nodata in zip(stored, self._nodata, strict=True):
                if nodata is not None and not math.isnan(nodata):
                    valid &= band != nodata
        elif self._one_mask:
            valid = self._source.read_masks(self.bands.indexes[0], window=window) > 0
        else:
            valid = (self._source.read_masks(list(self.bands.indexes), window=window) > 0).all(axis=0)
        if stored.dtype.kind == "f":
            valid &= np.isfinite(stored).all(axis=0)
        return valid


def _lonlat(crs: Any, transform: Any, col: Any, row: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = transform * (np.asarray(col, np.float64).ravel(), np.asarray(row, np.float64).ravel())
    lon, lat = lonlat(crs, x, y)
    return lon.reshape(np.shape(col)), lat.reshape(np.shape(col))


def _gsd(path: Path, source: Any) -> float:
    """Return the mean side of the central pixel in metres, to three digits."""
    return float(f"{sum(pixel_sides(path, source)) / 2:.3g}")


def pixel_sides(path: Path, source: Any) -> tuple[float, float]:
    """Return width and height of the central pixel of an open rasterio dataset in metres, measured on the ellipsoid.

    Raises
    ------
    RasterError
        If it lies nowhere on Earth.
    """
    row, col = source.height / 2, source.width / 2
    try:
        lon, lat = _lonlat(source.crs, source.transform, np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    except GDAL_ERRORS as error:
        raise RasterError(f"the CRS of {path} does not lead to longitude and latitude: {error}.") from error
    nowhere = f"the centre of {path} lies nowhere on Earth; its CRS or geotransform is wrong."
    if not np.isfinite([lon, lat]).all():
        raise RasterError(nowhere)
    x, y = np.radians(lon), np.radians(lat)
    normal = SEMI_MAJOR / np.sqrt(1 - ECCENTRICITY2 * np.sin(y) ** 2)
    place = normal * np.array([np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), (1 - ECCENTRICITY2) * np.sin(y)])
    sides = np.linalg.norm(place[:, 1:] - place[:, :1], axis=0)
    if not (np.isfinite(sides).all() and sides.min() > 0):
        raise RasterError(nowhere)
    return float(sides[0]), float(sides[1])
