"""Items of a catalogue as candidates: what of them is wanted, when they were taken, and what ground they cover."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np
import shapely

from embedstore import area, footprint
from embedstore.errors import InputError, PlanError, SpecError
from indexer import acquisition, numbers
from indexer.plan.catalogue import Fault
from indexer.plan.work import Grid, Source
from indexer.rasters import Raster, open_raster

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from indexer.plan.catalogue import Question

SIDE = 16
"""Points along a side of a scene's outline: straight lines of one CRS are curves in another."""
FILLED = 0.98
"""An outline that fills this share of its raster means all of it: catalogues draw outlines with few corners."""
RASTERS = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2")
NOT_DATA = {"thumbnail", "overview", "metadata"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A modality, and where a catalogue has it.

    Parameters
    ----------
    name
        What the encoder calls it.
    collection
        The collection's id; any if empty.
    assets
        Names of the assets that hold its bands, in order. If empty, the asset that is called like the modality, or
        the only raster of the Item.
    """

    name: str
    collection: str = ""
    assets: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """Read ``NAME``, ``NAME=ASSET,…``, or ``NAME=COLLECTION/ASSET,…``.

        Raises
        ------
        SpecError
            If it is none of these.
        """
        name, equals, where = (part.strip() for part in text.partition("="))
        collection, _, assets = where.rpartition("/")
        names = tuple(asset.strip() for asset in assets.split(",") if asset.strip())
        if not name or (equals and not (collection or names)):
            raise SpecError(f"{text!r} names no modality; write it like optical=sentinel-2-l2a/B02,B03,B04,B08.")
        return cls(name, collection, names)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One modality of an Item, which may be chosen.

    Parameters
    ----------
    source
        What a work unit says of it.
    coverage
        Ground that it holds data of (shapely, degrees, cut at the antimeridian).
    grid
        Of its first asset; None where it is not needed.
    gsd
        Ground sample distance in metres, or NaN without a grid.
    bytes
        Of its files, as the Item says (``file:size``); None if it does not.
    bands
        How many its files have.
    """

    source: Source
    coverage: Any
    grid: Grid | None
    gsd: float
    bytes: int | None
    bands: int


def candidates(
    items: Iterable[dict[str, Any]], wanted: Wanted, question: Question, faults: list[Fault], *, lead: bool
) -> list[Candidate]:
    """Return the Items that hold a modality, within the area and the dates.

    Parameters
    ----------
    items
        As :func:`indexer.plan.catalogue.items` yields them.
    wanted
        The modality.
    question
        Area and dates.
    faults
        Gets each Item that holds it but cannot be used.
    lead
        Whether chips lie on its grid: read from the Item (STAC projection extension), else from the header of its
        first file.
    """
    found = []
    for item in items:
        if wanted.collection and item.get("collection") != wanted.collection:
            continue
        try:
            candidate = _candidate(item, wanted, question, lead=lead)
        except InputError as error:
            faults.append(Fault(f"{item.get('id')}", str(error)))
            continue
        except (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            OverflowError,
            shapely.errors.GEOSException,
        ) as error:
            faults.append(Fault(f"{item.get('id')}", f"it is no STAC Item: {error!r}"))
            continue
        if candidate:
            found.append(candidate)
    return found


def _candidate(item: dict[str, Any], wanted: Wanted, question: Question, *, lead: bool) -> Candidate | None:
    """Return what an Item has to offer, None if it is elsewhere, of another time, or without this modality."""
    when = _when(item)
    if not question.start <= when <= question.end:
        return None
    shape = _geometry(item)
    if not shapely.intersects(question.area, shape):
        return None
    assets = _assets(item, wanted)
    if not assets:
        return None
    properties = item.get("properties") or {}
    said = properties.get("eo:cloud_cover")
    cloud = float(said) if isinstance(said, (int, float)) and np.isfinite(said) else None
    identity = f"stac:{item.get('collection') or ''}/{item['id']}"
    files = tuple((name, _path(asset["href"])) for name, asset in assets.items())
    told = tuple(numbers.said(item, asset) for asset in assets.values())
    source = Source(wanted.name, identity, files, when, cloud, told)
    sizes = [asset.get("file:size") for asset in assets.values()]
    size = sum(sizes) if all(isinstance(s, int) for s in sizes) else None
    bands = sum(_bands(asset) for asset in assets.values())
    if not lead:
        return Candidate(source, shape, None, float("nan"), size, bands)
    grid = _grid(item, next(iter(assets.values()))) or _grid_of_file(source)
    expected = grid.raster(files[0][1], identity, when)
    return Candidate(source, _coverage(shape, expected), grid, expected.gsd, size, bands)


def _when(item: dict[str, Any]) -> datetime:
    properties = item.get("properties") or {}
    said = properties.get("datetime") or properties.get("start_datetime")
    if not said:
        raise PlanError("the Item does not say when it was taken.")
    return acquisition.parse(said if isinstance(said, str) else str(said))


def _geometry(item: dict[str, Any]) -> Any:
    geometry = item.get("geometry")
    if not geometry or not item.get("id"):
        raise PlanError(
            "the Item has no geometry, so nobody knows what it covers." if item.get("id") else "it has no id."
        )
    return area.parse(geometry)


def _assets(item: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return the assets of a modality by name; none if the Item has nothing to do with it."""
    assets: dict[str, Any] = item.get("assets") or {}
    if wanted.assets:
        there = {name: assets[name] for name in wanted.assets if name in assets}
        if there and len(there) < len(wanted.assets):
            lacking = ", ".join(sorted(set(wanted.assets) - set(there)))
            raise PlanError(f"the Item lacks the asset(s) {lacking}, so {wanted.name} is not whole.")
        return there
    if wanted.name in assets:
        return {wanted.name: assets[wanted.name]}
    rasters = {name: asset for name, asset in assets.items() if _is_data(asset)}
    if len(rasters) > 1:
        raise PlanError(
            f"the Item has several rasters ({', '.join(sorted(rasters))}); say which are {wanted.name}, like "
            f"--modality {wanted.name}={','.join(sorted(rasters)[:3])}."
        )
    return rasters


def _is_data(asset: dict[str, Any]) -> bool:
    roles = set(asset.get("roles") or [])
    return not roles & NOT_DATA and ("data" in roles or str(asset.get("type", "")).startswith(RASTERS))


def _path(href: str) -> str:
    """Return the path that a ``file:`` URL means, and any other href as it is."""
    parts = urlsplit(href)
    return unquote(parts.path) if parts.scheme == "file" else href


def _bands(asset: dict[str, Any]) -> int:
    return max(1, *(len(asset.get(key) or ()) for key in ("bands", "eo:bands", "raster:bands")))


def _grid(item: dict[str, Any], asset: dict[str, Any]) -> Grid | None:
    """Return the grid as the projection extension (versions 1 and 2) has it, None if it is not all there."""
    said = {**(item.get("properties") or {}), **asset}
    code = said.get("proj:code") or (f"EPSG:{said['proj:epsg']}" if said.get("proj:epsg") else None)
    crs = code or said.get("proj:wkt2") or (json.dumps(said["proj:projjson"]) if said.get("proj:projjson") else None)
    shape, transform = said.get("proj:shape"), said.get("proj:transform")
    if not crs or shape is None or transform is None or len(shape) != 2 or len(transform) < 6:
        return None
    a, b, c, d, e, f = (float(v) for v in list(transform)[:6])
    return Grid(str(crs), (a, b, c, d, e, f), int(shape[1]), int(shape[0]))


def _grid_of_file(source: Source) -> Grid:
    """Return the grid that the header of the first file says."""
    raster = open_raster(source.assets[0][1], source.datetime, source.item)
    code = raster.crs.to_epsg()
    crs = f"EPSG:{code}" if code and raster.crs == raster.crs.from_epsg(code) else raster.crs.to_wkt()
    a, b, c, d, e, f = tuple(raster.transform)[:6]
    return Grid(crs, (a, b, c, d, e, f), raster.width, raster.height)


def _coverage(shape: Any, raster: Raster) -> Any:
    """Return where a raster holds data: within its edges, and within the Item's outline where that says less."""
    along = np.linspace(0, 1, SIDE, endpoint=False)
    zero, one = np.zeros(SIDE), np.ones(SIDE)
    col = np.concatenate([zero, along, one, 1 - along]) * raster.width
    row = np.concatenate([along, one, 1 - along, zero]) * raster.height
    lon, lat = raster.lonlat(col, row)
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise PlanError("its grid reaches beyond what its CRS can show on Earth.")
    edges = footprint.ring(((lon + 180) % 360 - 180).tolist(), lat.tolist())
    inside = shapely.intersection(edges, shape)
    if inside.is_empty:
        raise PlanError("its geometry and the grid of its raster do not meet; one of them is wrong.")
    return edges if inside.area >= FILLED * edges.area else inside
