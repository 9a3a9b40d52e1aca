"""Positions of any CRS in degrees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.warp import transform

from embedstore.errors import RasterError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FARTHEST = 1e9
"""No CRS has coordinates beyond: the Earth is 4e7 metres around, and 1.3e8 feet."""


def lonlat(crs: Any, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitude and latitude (WGS 84, degrees) of positions, each of shape (n,).

    Infinite where a CRS does not reach, and where no CRS does: with such numbers as damaged files hold GDAL may not
    come to an end (seen for 1e140 metres in EPSG:3857).

    Parameters
    ----------
    crs
        As rasterio takes it.
    x, y
        Positions in it, each of shape (n,).

    Raises
    ------
    RasterError
        If PROJ gives up.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = (np.abs(x) <= FARTHEST) & (np.abs(y) <= FARTHEST)  # NaN is not
    lon, lat = np.full(x.shape, np.inf), np.full(x.shape, np.inf)
    if known.any():
        try:
            lon[known], lat[known] = transform(crs, "OGC:CRS84", x[known], y[known])
        except (RasterioError, CPLE_BaseError) as error:
            raise RasterError(
                f"positions in {crs} cannot be told in degrees: {str(error).rstrip('.')}. Is the CRS right?"
            ) from error
    return lon, lat
