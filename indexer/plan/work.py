"""Work units: what one row of a plan says, plain data that travels to whoever does it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import RasterioError

from embedstore.errors import PlanError, RasterError
from indexer.bands import Bands
from indexer.chips import ChipPlan
from indexer.rasters import Raster, pixel_sides

if TYPE_CHECKING:
    from datetime import datetime

    from indexer.numbers import Numbers

NO_BANDS = Bands((), (), (), (), ())


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of a scene lie.

    Parameters
    ----------
    crs
        As PROJ takes it: ``EPSG:32633``, WKT or PROJJSON.
    transform
        The six numbers of the affine transform, row by row: ``x = a·col + b·row + c``, ``y = d·col + e·row + f``.
    width, height
        In pixels.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or not np.isfinite(self.transform).all() or not self.affine.determinant:
            raise RasterError(
                f"a grid of {self.width} x {self.height} pixels and transform {self.transform} covers no ground."
            )
        _crs(self.crs)

    @property
    def affine(self) -> Affine:
        """Its transform."""
        return Affine(*self.transform)

    def raster(self, path: str, item: str, when: datetime | None) -> Raster:
        """Return the raster that is expected here, as far as a grid can tell; it cannot be read."""
        gsd = float(f"{sum(pixel_sides(Path(path), _Sized(self))) / 2:.3g}")
        return Raster(
            Path(path), item, _crs(self.crs), self.affine, self.width, self.height, "", NO_BANDS, None, when, gsd, 0
        )


@dataclass(frozen=True, slots=True)
class Source:
    """One modality of a work unit.

    Parameters
    ----------
    modality
        What the encoder calls it.
    item
        Identity of the STAC Item, ``stac:<collection>/<id>``.
    assets
        Name and href of its files: one with all bands, or several with one or more bands each.
    datetime
        When it was taken, in UTC.
    cloud
        Per cent of it that clouds cover, as the item says.
    numbers
        What the item says of the stored numbers of each of the assets.

    Raises
    ------
    PlanError
        If it names nothing that could be read.
    """

    modality: str
    item: str
    assets: tuple[tuple[str, str], ...]
    datetime: datetime
    cloud: float | None = None
    numbers: tuple[Numbers, ...] = ()

    def __post_init__(self) -> None:
        named = (self.modality, self.item, *(text for asset in self.assets for text in asset))
        if not (self.assets and all(isinstance(text, str) and text for text in named)):
            raise PlanError(
                f"the source {self.modality!r} of {self.item!r} in a plan names no file that could be read: "
                f"{self.assets}. Make the plan again with `embedstore plan`."
            )


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """Chips of one scene, of one H3 cell, for one period: what is encoded and committed together.

    Parameters
    ----------
    cell
        The H3 cell; a child or grandchild of a partition of the store.
    period
        What it is for: ``2019-04``, ``2019-MAM``, ``2019``, or the whole range of the plan.
    sources
        By modality, the first being the one whose grid the chips lie on.
    grid
        Of the first source.
    cells
        The H3 cells, descendants of `cell`, whose chips are taken from this scene.
    within
        Area of interest hereabouts, WKB in degrees; None where all of `cells` lies inside.
    chip_size, stride
        In pixels.
    chips
        How many there are.

    Raises
    ------
    PlanError
        If it has no source.
    """

    cell: int
    period: str
    sources: tuple[Source, ...]
    grid: Grid
    cells: tuple[int, ...]
    within: bytes | None
    chip_size: int
    stride: int
    chips: int

    def __post_init__(self) -> None:
        if not self.sources:
            told = f"a work unit of a plan, {self.cell:x} {self.period}, has no source."
            raise PlanError(f"{told} Make the plan again with `embedstore plan`.")

    @property
    def name(self) -> str:
        """What people call it: cell, period, and item of the first source."""
        return f"{self.cell:x} {self.period} {self.sources[0].item}"

    def expected(self) -> ChipPlan:
        """Return its chips as they were planned, from the grid alone: they can be counted and named, not read."""
        first = self.sources[0]
        raster = self.grid.raster(first.assets[0][1], first.item, first.datetime)
        beside = tuple((s.modality, self.grid.raster(s.assets[0][1], s.item, s.datetime)) for s in self.sources[1:])
        return self.chips_of(raster, beside)

    def chips_of(self, raster: Raster, beside: tuple[tuple[str, Raster], ...]) -> ChipPlan:
        """Return its chips, cut from rasters on its grid.

        Raises
        ------
        PlanError
            If the area of the unit is no WKB.
        """
        try:
            aoi = None if self.within is None else shapely.from_wkb(self.within)
        except shapely.errors.ShapelyError as error:
            told = f"the area of the work unit {self.name} is no WKB: {error}. Make the plan again."
            raise PlanError(told) from error
        return ChipPlan(
            raster, self.sources[0].modality, self.chip_size, self.stride, aoi, beside, raster.path, self.cells
        )


class _Sized:
    """A grid in the form of an open dataset."""

    def __init__(self, grid: Grid) -> None:
        self.width, self.height, self.transform, self.crs = grid.width, grid.height, grid.affine, _crs(grid.crs)


@cache
def _crs(text: str) -> Any:
    try:
        with rasterio.Env():
            return CRS.from_user_input(text)
    except (RasterioError, ValueError) as error:
        raise RasterError(f"{text!r} is no CRS that PROJ knows: {error}.") from error
