"""The files of a work unit, opened: bands stacked and modalities warped onto one grid where they are not on it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import rasterio.shutil
from rasterio.dtypes import dtype_rev, typename_fwd
from rasterio.enums import MaskFlags, Resampling
from rasterio.vrt import WarpedVRT

from embedstore.errors import InputError, RasterError
from indexer.items import same_grid
from indexer.numbers import Numbers, applied
from indexer.rasters import Raster, open_raster, opened

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.chips import ChipPlan
    from indexer.plan.work import Source, WorkUnit


def open_unit(unit: WorkUnit, folder: Path) -> ChipPlan:
    """Open the files of a work unit.

    Parameters
    ----------
    unit
        What to open.
    folder
        Where virtual rasters are written; they are needed as long as the chips are read.

    Raises
    ------
    RasterError
        If a file is not there, cannot be read, or its first one does not lie where the plan says.
    """
    grid = unit.expected().raster
    first, *others = (_open(source, grid, folder, lead=i == 0) for i, source in enumerate(unit.sources))
    names = [source.modality for source in unit.sources[1:]]
    return unit.chips_of(first, tuple(zip(names, others, strict=True)))


def _open(source: Source, grid: Raster, folder: Path, *, lead: bool) -> Raster:
    """Open one modality on the grid of the first."""
    try:
        told = source.numbers or (Numbers(),) * len(source.assets)
        rasters = {
            name: applied(numbers, open_raster(href, source.datetime, source.item))
            for (name, href), numbers in zip(source.assets, told, strict=True)
        }
        leader = next(iter(rasters.values()))
        if lead and not same_grid(leader, grid):
            raise RasterError(f"{leader.path} does not lie where the plan says; make the plan again.")
        several = len(rasters) > 1
        on_grid = {
            name: r if same_grid(r, grid) and not (several and _is_masked(r)) else _warped(r, grid, folder)
            for name, r in rasters.items()
        }
        whole = next(iter(on_grid.values())) if len(on_grid) == 1 else _stacked(on_grid, grid, folder)
    except InputError as error:
        raise RasterError(f"{source.modality} of {source.item} cannot be used: {error}") from error
    return replace(whole, datetime=source.datetime, href=source.assets[0][1])


def _is_masked(raster: Raster) -> bool:
    """Tell whether a mask or an alpha band says where there is data: in a stack of files only numbers can."""
    with opened(raster.path) as source:
        return any({MaskFlags.per_dataset, MaskFlags.alpha} & set(flags) for flags in source.mask_flag_enums)


def _warped(raster: Raster, grid: Raster, folder: Path) -> Raster:
    """Return a virtual raster that is another warped onto a grid, bilinear, without data beyond its edges.

    A raster that names no number for that gets one: NaN, or 0 for whole numbers, as Sentinel products have it.
    """
    path = folder / f"{uuid.uuid4().hex}.vrt"
    with opened(raster.path) as source:
        whole = not source.dtypes[0].startswith("float")
        nodata = source.nodata if source.nodata is not None else 0 if whole else float("nan")
        options = {"crs": grid.crs, "transform": grid.transform, "width": grid.width, "height": grid.height}
        with WarpedVRT(source, resampling=Resampling.bilinear, nodata=nodata, **options) as vrt:
            rasterio.shutil.copy(vrt, path, driver="VRT")
    return replace(open_raster(path, raster.datetime, raster.item), bands=raster.bands)


def _stacked(rasters: dict[str, Raster], grid: Raster, folder: Path) -> Raster:
    """Return a virtual raster of all bands of several; the only band of a file is called by its asset's name."""
    root = ET.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    ET.SubElement(root, "SRS").text = grid.crs.to_wkt()
    ET.SubElement(root, "GeoTransform").text = ", ".join(map(repr, grid.transform.to_gdal()))
    for name, raster in rasters.items():
        with opened(raster.path) as source:
            for index in raster.bands.indexes:
                said = source.descriptions[index - 1] or (name if source.count == 1 else f"{name}_{index}")
                band = ET.SubElement(root, "VRTRasterBand", dataType=_gdal_type(source.dtypes[index - 1]))
                for key, value in (("Description", said), ("NoDataValue", source.nodatavals[index - 1])):
                    if value is not None:
                        ET.SubElement(band, key).text = str(value)
                simple = ET.SubElement(band, "SimpleSource")
                ET.SubElement(simple, "SourceFilename", relativeToVRT="0").text = source.name
                ET.SubElement(simple, "SourceBand").text = str(index)
    path = folder / f"{uuid.uuid4().hex}.vrt"
    path.write_bytes(ET.tostring(root))
    whole = open_raster(path, grid.datetime, grid.item)
    scale, offset, shift = (
        tuple(value for raster in rasters.values() for value in getattr(raster.bands, name))
        for name in ("scale", "offset", "shift")
    )
    return replace(whole, bands=replace(whole.bands, scale=scale, offset=offset, shift=shift))


def _gdal_type(dtype: str) -> str:
    """Return GDAL's name of a type of numbers."""
    name: str = typename_fwd[dtype_rev[dtype]]
    return name
