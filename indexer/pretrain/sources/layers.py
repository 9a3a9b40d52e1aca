"""One modality of a scene: a raster whose bands are channels, read in pixels of 10 m."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.windows import Window

from embedstore.errors import RasterError
from indexer import acquisition, rasters
from indexer.bands import Bands, describe
from indexer.lonlat import lonlat
from indexer.pretrain.modalities import CLASSES, PIXELS

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from affine import Affine
    from numpy.typing import NDArray

GSD = 10.0
"""Metres to a pixel of what is drawn; scenes of other pixels are resampled."""
GSD_RATIO = 2.0
"""A scene's pixels may be this much finer or coarser."""
SAME_GSD = 0.01
"""Pixels that differ by no more are taken as they are."""
REFLECTANCE = (0.005, 2.0)
"""Between these lies the 99th percentile of a scene's brightest band, from deep water to clouds in low sun."""
LOOK = 256
"""Side of the reduced picture by which a scene is judged."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a raster lie.

    Parameters
    ----------
    crs
        As WKT.
    transform, width, height
        As GDAL has them.
    sides
        Width and height of a pixel in metres, at the centre.
    """

    crs: str
    transform: Affine
    width: int
    height: int
    sides: tuple[float, float]

    @property
    def zoom(self) -> tuple[float, float]:
        """How many of its pixels go into one of 10 m, along x and y."""
        zoom = (GSD / self.sides[0], GSD / self.sides[1])
        return (1.0, 1.0) if all(abs(z - 1) <= SAME_GSD for z in zoom) else zoom

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels of 10 m."""
        x, y = self.zoom
        return int(self.height / y), int(self.width / x)

    def lonlat(
        self, row: NDArray[np.float64], col: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return longitude and latitude in degrees of positions in pixels of 10 m."""
        a, b, c, d, e, f = tuple(self.transform)[:6]
        across, down = col * self.zoom[0], row * self.zoom[1]
        x, y = a * across + b * down + c, d * across + e * down + f
        return lonlat(CRS.from_wkt(self.crs), x, y)


@dataclass(frozen=True, slots=True)
class Layer:
    """One modality of a scene.

    Parameters
    ----------
    name
        One of :mod:`indexer.pretrain.modalities`.
    path
        The raster.
    grid
        Where its pixels lie.
    bands
        Those of its bands that are channels.
    channels
        Which channels they are.
    when
        When it was taken, if the file says so.
    """

    name: str
    path: Path
    grid: Grid
    bands: Bands
    channels: tuple[int, ...]
    when: datetime | None

    @classmethod
    def open(cls, path: Path, name: str, scale: float | None = None) -> Self:
        """Look at a raster.

        Parameters
        ----------
        path
            The file.
        name
            What it is.
        scale
            Times which its stored numbers are physical ones, if somebody knows better than the file.

        Raises
        ------
        RasterError
            If it cannot be read or placed, its pixels are much finer or coarser than 10 m, it has none of the bands
            that it should, or what it holds cannot be what it is said to be.
        """
        with rasters.opened(path) as source:
            grid = _grid(path, source)
            bands = describe(source, path.name)
            tags = {**source.tags(), **source.tags(ns="IMAGERY")}
        if name in CLASSES:
            bands, channels = bands.select(bands.names[:1], path), [0]
        else:
            known = [b for b in PIXELS[name] if b in bands.names]
            if not known:
                raise RasterError(
                    f"{path} has none of the bands {', '.join(PIXELS[name])}; it has {', '.join(bands.names)}. Name "
                    'its bands (GDAL band descriptions), or leave the file out: "leave_out" in scenes.json.'
                )
            bands, channels = bands.select(known, path), [PIXELS[name].index(b) for b in known]
        if scale is not None:
            bands = replace(bands, scale=(scale,) * len(channels), offset=(0.0,) * len(channels))
        when = acquisition.from_tags(tags) or acquisition.from_name(path.name)
        layer = cls(name, path, grid, bands, tuple(channels), when)
        if name == "optical":
            _check_reflectance(layer)
        return layer

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[Any]:
        """Read a window, given in pixels of 10 m.

        Returns
        -------
        float32 of shape (channels, height, width), NaN where there is no data; of classes int64 of shape
        (height, width), -1 where there is none.

        Raises
        ------
        RasterError
            If the file cannot be read, or holds a class that there is not.
        """
        x, y = self.grid.zoom
        stored, valid = self._stored(Window(col * x, row * y, width * x, height * y), height, width)
        if self.name in CLASSES:
            return self._classes(stored[0], valid[0])
        pixels = np.full((len(PIXELS[self.name]), height, width), np.nan, np.float32)
        values = np.empty(stored.shape, np.float32)
        self.bands.physical(stored, values)
        pixels[list(self.channels)] = np.where(valid, values, np.nan)
        return pixels

    def _stored(self, window: Window, height: int, width: int) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return numbers as they stand in the file, resampled, and where they are data; each band by itself."""
        resampling = Resampling.nearest if self.name in CLASSES else Resampling.bilinear
        indexes, shape = list(self.bands.indexes), (len(self.bands.indexes), height, width)
        with rasters.opened(self.path) as source:
            stored = source.read(indexes, window=window, out_shape=shape, resampling=resampling)
            valid = source.read_masks(indexes, window=window, out_shape=shape) > 0
        return stored, valid & np.isfinite(stored)

    def _classes(self, stored: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = np.where(valid, stored, 0).astype(np.int64)
        odd = classes[(classes < 0) | (classes >= len(CLASSES[self.name]))]
        if odd.size:
            raise RasterError(
                f"{self.path} holds class {odd[0]}; {self.name} has {len(CLASSES[self.name])}, numbered from 0 "
                "in the order of indexer.pretrain.modalities. Number them so, and say what means no data."
            )
        classes[~valid] = -1
        return classes


def _grid(path: Path, source: Any) -> Grid:
    if source.crs is None or source.transform.is_identity:
        raise RasterError(f"{path} does not say where it lies (no CRS or no geotransform). Give it one.")
    sides = rasters.pixel_sides(path, source)
    if not all(1 / GSD_RATIO <= side / GSD <= GSD_RATIO for side in sides):
        raise RasterError(
            f"{path} has pixels of {sides[0]:.3g} x {sides[1]:.3g} m; those of {GSD / GSD_RATIO:g} to "
            f'{GSD * GSD_RATIO:g} m will do. Resample it, or leave it out: "leave_out" in scenes.json.'
        )
    return Grid(source.crs.to_wkt(), source.transform, source.width, source.height, sides)


def _check_reflectance(layer: Layer) -> None:
    """Raise RasterError if what a scene holds cannot be reflectance."""
    grid = layer.grid
    shape = min(LOOK, grid.height), min(LOOK, grid.width)
    stored, valid = layer._stored(Window(0, 0, grid.width, grid.height), *shape)  # noqa: SLF001 - its own module
    values = np.empty(stored.shape, np.float32)
    layer.bands.physical(stored, values)
    high = [float(np.percentile(band[seen], 99)) for band, seen in zip(values, valid, strict=True) if seen.any()]
    if not high:
        raise RasterError(f'{layer.path} holds no data; leave it out: "leave_out" in scenes.json.')
    least, most = REFLECTANCE
    if not least <= max(high) <= most:
        raise RasterError(
            f"the numbers of {layer.path} reach {max(high):.4g}, so they are no reflectances of 0 to 1. Say in "
            'scenes.json beside the scenes what to multiply them with, like {"scale": {"*.tif": 0.0001}}.'
        )
