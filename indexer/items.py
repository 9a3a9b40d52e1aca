"""STAC Items whose assets are modalities of one place: rasters on one grid, named ``optical``, ``sar``, …."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import numpy as np

from embedstore.errors import InputError, RasterError
from indexer import acquisition, numbers, remote
from indexer.rasters import Raster, open_raster

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

SUFFIXES = (".json", ".geojson")
TIMES = ("datetime", "start_datetime")
"""Say when an Item or an asset was taken; a span has no ``datetime``."""
SAME_GRID = 0.01
"""Of a pixel: how far apart the corners of one grid may be."""


def is_item(path: Path) -> bool:
    """Tell by a file's name whether it is an item rather than a raster."""
    return path.suffix.lower() in SUFFIXES


def open_item(path: Path, modalities: Iterable[str], when: datetime | None = None) -> dict[str, Raster]:
    """Open those assets of an item that are named as modalities, in the order in which these are given.

    Parameters
    ----------
    path
        The item, STAC 1.0 or 1.1. Its hrefs are paths, absolute or from its own folder, ``file:`` URLs, or URLs
        of COGs.
    modalities
        Names of assets; there may be others.
    when
        When all were taken, if the caller knows better than the asset, the item and the file, which are asked in turn.

    Raises
    ------
    RasterError
        If it is no item, has none of the assets, one cannot be read, or they are not on one grid.
    """
    item = _read(path)
    assets = {name: item["assets"][name] for name in modalities if name in item["assets"]}
    if not assets:
        raise RasterError(
            f"the item {path} has no asset named {' or '.join(modalities)}; it has "
            f"{', '.join(item['assets']) or 'none'}. Name assets by what they are."
        )
    rasters = {name: _open(path, name, asset, item, when) for name, asset in assets.items()}
    first, *others = rasters
    for name in others:
        _check_grid(path, (first, rasters[first]), (name, rasters[name]))
    return rasters


def _read(path: Path) -> Any:
    try:
        item = json.loads(path.read_bytes())
    except OSError as error:
        raise RasterError(f"there is no item {path} that can be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise RasterError(f"{path} is no JSON ({error}); give a raster, or a STAC Item.") from error
    is_feature = isinstance(item, dict) and item.get("type") == "Feature" and isinstance(item.get("assets"), dict)
    if not is_feature or not isinstance(item.get("properties") or {}, dict):
        raise RasterError(f"{path} is no STAC Item: it is no Feature with assets and properties. Give a raster or one.")
    return item


def _open(path: Path, name: str, asset: Any, item: Any, when: datetime | None) -> Raster:
    """Open an asset; what is wrong with it is said with the item's path."""
    href = asset.get("href") if isinstance(asset, dict) else None
    if not isinstance(href, str) or not href:
        raise RasterError(f"the asset {name!r} of the item {path} has no href; give it the path of a raster.")
    parts = urlsplit(href)
    away = remote.url(href) is not None
    if len(parts.scheme) > 1 and parts.scheme != "file" and not away:  # one letter is a drive
        raise RasterError(
            f"the asset {name!r} of the item {path} is at {parts.scheme}://…, which is not read "
            "here. Download it, and give its path."
        )
    file = href if away else path.parent / (unquote(parts.path) if parts.scheme == "file" else href)
    said = next((of[name] for of in (asset, item.get("properties") or {}) for name in TIMES if of.get(name)), None)
    try:
        raster = open_raster(file, when or (acquisition.parse(str(said)) if said else None))
        return numbers.applied(numbers.said(item, asset), raster)
    except InputError as error:
        raise RasterError(f"the asset {name!r} of the item {path} cannot be used: {error}") from error


def same_grid(a: Raster, b: Raster) -> bool:
    """Tell whether the pixels of two rasters lie on each other."""
    corners = np.array([[0, a.width, 0, a.width], [0, 0, a.height, a.height]], float)
    there, here = (np.array(r.transform * tuple(corners)) for r in (b, a))
    pixel = abs(a.transform.determinant) ** 0.5
    apart = float(np.abs(there - here).max())
    return (a.width, a.height) == (b.width, b.height) and a.crs == b.crs and apart <= SAME_GRID * pixel


def _check_grid(path: Path, one: tuple[str, Raster], other: tuple[str, Raster]) -> None:
    (name, a), (other_name, b) = one, other
    if not same_grid(a, b):
        raise RasterError(
            f"the assets {name!r} and {other_name!r} of the item {path} lie on different grids: "
            f"{_grid(a)}, and {_grid(b)}. Warp them to one, for instance with gdalwarp -t_srs -te -ts."
        )


def _grid(raster: Raster) -> str:
    west, north = raster.transform * (0, 0)
    return f"{raster.width} x {raster.height} pixels of {raster.gsd:g} m from {west:.10g}, {north:.10g} in {raster.crs}"
