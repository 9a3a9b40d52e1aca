"""Tiles as files that any tool reads: Cloud Optimized GeoTIFFs, and STAC Items and a Collection that name them."""

from __future__ import annotations

import calendar
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import SpecError, storage_errors
from indexer.landscape import optical
from indexer.landscape.world import SIMULATOR, SIZE, TILES, Landscape, pick
from indexer.pretrain.modalities import CLASSES, PIXELS
from indexer.pretrain.sources import circle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from indexer.landscape.world import Scene, Tile

YEAR = 2021
"""Of every scene, because a date must have one."""
STAC = "1.0.0"
EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("projection/v1.1.0", "eo/v1.1.0", "raster/v1.1.0", "classification/v1.1.0", "view/v1.0.0")
)
UNKNOWN = 255
"""In a map of classes."""


@dataclass(frozen=True, slots=True)
class Layer:
    """How a modality is stored: ``stored * scale`` is the physical number.

    Parameters
    ----------
    title
        For people.
    dtype, scale, nodata
        Of the stored numbers.
    changes
        Whether each month has its own.
    """

    title: str
    dtype: str
    scale: float
    nodata: float
    changes: bool


LAYERS = {
    "optical": Layer("Surface reflectance, as Sentinel-2 level 2A", "uint16", 1e-4, 0, changes=True),
    "sar": Layer("Backscatter in dB, as Sentinel-1 GRD", "int16", 0.01, -32768, changes=True),
    "coherence": Layer("Interferometric coherence, as of Sentinel-1 pairs", "uint16", 1e-4, 65535, changes=True),
    "terrain": Layer("Elevation in metres and slope in degrees", "float32", 1.0, -9999, changes=False),
    "canopy": Layer("Height of trees and its standard deviation in metres", "float32", 1.0, -9999, changes=False),
    "land_cover": Layer("Land cover, classes of ESA WorldCover", "uint8", 1.0, UNKNOWN, changes=False),
    "dynamic_world": Layer("Land cover, classes of Dynamic World", "uint8", 1.0, UNKNOWN, changes=False),
}


def write(
    folder: Path,
    region: str,
    tiles: int,
    months: Sequence[int],
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Path]:
    """Write tiles spread at random over a region, with an item for each tile and month; the first are always the same.

    Parameters
    ----------
    folder
        Where ``collection.json`` goes, and a folder of each tile; made if it is not there.
    region, seed
        Of the landscape.
    tiles, months
        How many, and 1 to 12 each.
    progress
        Called with the tiles done and all of them.

    Returns
    -------
    Paths of the items.

    Raises
    ------
    SpecError
        If the region or a month is none, or there are not so many tiles.
    StorageError
        If a file cannot be written.
    """
    land = Landscape(region, seed)
    if not 0 < tiles <= TILES**2:
        raise SpecError(f"a region has 1 to {TILES**2:,} tiles, not {tiles:,}.")
    if not months or len(set(months)) != len(months):
        raise SpecError("give the months, each once, from 1 to 12.")
    items = []
    with storage_errors("write simulated scenes", folder):
        for done, (row, col) in enumerate(_places(seed, region, tiles), start=1):
            items += write_tile(folder, land.tile(row, col, months))
            progress(done, tiles)
        _write_json(folder / "collection.json", _collection(land, items, folder))
    return items


def write_tile(folder: Path, tile: Tile) -> list[Path]:
    """Write the files and the items of a tile into a folder of its own; return the items."""
    place = f"{tile.region.name}-{tile.row:03}-{tile.col:03}"
    home = folder / place
    home.mkdir(parents=True, exist_ok=True)
    still: dict[str, NDArray[Any]] = {**tile.pixels, **tile.classes}
    for name, values in still.items():
        _write_raster(home / f"{name}.tif", name, values, tile, {})
    items = []
    for scene in tile.scenes:
        when = _moment(scene.month)
        for name, pixels in scene.pixels.items():
            _write_raster(home / f"{name}_{when[:10]}.tif", name, pixels, tile, {"DATETIME": when})
        item = home / f"{place}-{scene.month:02}.json"
        _write_json(item, _item(item.stem, tile, scene, when))
        items.append(item)
    return items


def _places(seed: int, region: str, count: int) -> Iterator[tuple[int, int]]:
    """Yield the rows and columns of tiles, each once."""
    seen: set[tuple[int, int]] = set()
    number = 0
    while len(seen) < count:
        place = pick(seed, region, number)
        number += 1
        if place not in seen:
            seen.add(place)
            yield place


def _moment(month: int) -> str:
    return f"{YEAR}-{month:02}-15T10:30:00Z"


def _bands(name: str) -> tuple[str, ...]:
    return PIXELS.get(name, (name,))


def _write_raster(path: Path, name: str, values: NDArray[Any], tile: Tile, tags: dict[str, str]) -> None:
    import rasterio  # noqa: PLC0415 - slow to import

    layer, bands = LAYERS[name], _bands(name)
    stored = values.reshape(len(bands), SIZE, SIZE)
    if layer.dtype != "float32" and layer.scale != 1:
        limits = np.iinfo(layer.dtype)
        # The number that means no data is never one of the data.
        low, high = limits.min + (layer.nodata == limits.min), limits.max - (layer.nodata == limits.max)
        stored = np.rint(stored / layer.scale).clip(low, high)
    profile = {"driver": "COG", "width": SIZE, "height": SIZE, "count": len(bands), "dtype": layer.dtype}
    with rasterio.open(
        path,
        "w",
        **profile,
        crs=f"EPSG:{tile.region.epsg}",
        transform=tile.transform,
        nodata=layer.nodata,
        compress="DEFLATE",
        predictor="YES",
        blocksize=SIZE,
    ) as out:
        out.write(stored.astype(layer.dtype))
        out.scales = [layer.scale] * len(bands)
        out.descriptions = bands
        out.update_tags(SIMULATED=f"embedstore simulator {SIMULATOR}, region {tile.region.name}", **tags)


def _item(ident: str, tile: Tile, scene: Scene, when: str) -> dict[str, Any]:
    """Return a STAC Item."""
    ring = np.stack(tile.lonlat([0, SIZE, SIZE, 0, 0], [0, 0, SIZE, SIZE, 0]), axis=1).round(7)
    elevation = tile.pixels["terrain"][0].mean(keepdims=True).reshape(1)
    lon, lat = tile.lonlat([SIZE / 2], [SIZE / 2])
    _, _, up = optical.sun(float(lat[0]), scene.month)
    values = {
        "climate": tile.climate(elevation, scene.month)[0],
        "lat": circle.angles(lat)[0],
        "lon": circle.angles(lon)[0],
        "month": circle.months([scene.month])[0],
    }
    assets = {name: _asset(name, layer, when) for name, layer in LAYERS.items()}
    return {
        "type": "Feature",
        "stac_version": STAC,
        "stac_extensions": list(EXTENSIONS),
        "id": ident,
        "geometry": {"type": "Polygon", "coordinates": [ring.tolist()]},
        "bbox": [*ring.min(axis=0).tolist(), *ring.max(axis=0).tolist()],
        "properties": {
            "title": f"Simulated tile {tile.row}, {tile.col} of {tile.region.name}, {calendar.month_name[scene.month]}",
            "description": "Simulated: this place does not exist.",
            "datetime": when,
            "gsd": 10,
            "proj:epsg": tile.region.epsg,
            "proj:shape": [SIZE, SIZE],
            "proj:transform": [float(v) for v in tuple(tile.transform)[:6]],
            "view:sun_elevation": round(float(np.degrees(np.arcsin(up))), 2),
            "embedstore:simulator": SIMULATOR,
            "embedstore:values": {name: [float(f"{v:.6g}") for v in numbers] for name, numbers in values.items()},
            "embedstore:labels": dict(tile.labels),
        },
        "links": [
            {"rel": rel, "href": "../collection.json", "type": "application/json"}
            for rel in ("root", "parent", "collection")
        ],
        "collection": _name(tile.region.name),
        "assets": assets,
    }


def _asset(name: str, layer: Layer, when: str) -> dict[str, Any]:
    about: dict[str, Any] = {
        "href": f"./{name}_{when[:10]}.tif" if layer.changes else f"./{name}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "title": layer.title,
        "roles": ["data"],
        "raster:bands": [
            {"data_type": layer.dtype, "scale": layer.scale, "nodata": layer.nodata, "spatial_resolution": 10}
            for _ in _bands(name)
        ],
    }
    if name == "optical":
        about["eo:bands"] = [{"name": band} for band in _bands(name)]
    if name in CLASSES:
        about["classification:classes"] = [
            {"value": code, "name": label.replace(" ", "_"), "description": label}
            for code, label in enumerate(CLASSES[name])
        ]
    return about


def _collection(land: Landscape, items: Sequence[Path], folder: Path) -> dict[str, Any]:
    """Return a STAC Collection of items."""
    found = [json.loads(item.read_bytes()) for item in items]
    boxes = np.array([item["bbox"] for item in found])
    times = sorted(item["properties"]["datetime"] for item in found)
    return {
        "type": "Collection",
        "stac_version": STAC,
        "stac_extensions": [],
        "id": _name(land.region.name),
        "title": f"Simulated landscape {land.region.name}",
        "description": (
            f"Simulated, no place on Earth: region {land.region.name}, seed {land.seed}, simulator {SIMULATOR}."
        ),
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [[*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]]},
            "temporal": {"interval": [[times[0], times[-1]]]},
        },
        "links": [
            {"rel": "root", "href": "./collection.json", "type": "application/json"},
            *(
                {"rel": "item", "href": f"./{item.relative_to(folder).as_posix()}", "type": "application/geo+json"}
                for item in items
            ),
        ],
    }


def _name(region: str) -> str:
    return f"simulated-{region}"


def _write_json(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
