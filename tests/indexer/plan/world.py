"""Small scenes on the ground, and STAC Items that describe them."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform as warp

from embedstore import footprint
from tests.indexer.scenes import write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

GSD = 10


def outline(crs: str, transform: Affine, width: int, height: int) -> Any:
    """Corners of a raster as a polygon in degrees."""
    x, y = transform * (np.array([0, 0, width, width], float), np.array([0, height, height, 0], float))
    lon, lat = warp(crs, "OGC:CRS84", x, y)
    return footprint.ring(lon, lat)


def item(
    folder: Path,
    name: str,
    *,
    crs: str = "EPSG:32633",
    west: float = 500_000,
    north: float = 5_000_000,
    size: int = 64,
    gsd: float = GSD,
    when: str = "2024-04-10T10:00:00Z",
    cloud: float | None = 5.0,
    assets: Sequence[str] = ("optical",),
    collection: str = "made",
    bands: int = 2,
    projection: bool = True,
    height: int | None = None,
) -> dict[str, Any]:
    """Write rasters of noise, one an asset, and return the Item that names them."""
    transform, height = Affine(gsd, 0, west, 0, -gsd, north), height or size
    random = np.random.default_rng(zlib.crc32(name.encode()))
    links = {}
    for asset in assets:
        path = folder / f"{name}-{asset}.tif"
        pixels = random.integers(1, 250, (bands, height, size)).astype("uint16")
        names = [f"{asset}{i}" for i in range(bands)] if bands > 1 else ()
        write(path, pixels, crs=crs, transform=transform, names=names)
        links[asset] = {"href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"]}
    shape = outline(crs, transform, size, height)
    properties: dict[str, Any] = {"datetime": when}
    if cloud is not None:
        properties["eo:cloud_cover"] = cloud
    if projection:
        properties |= {
            "proj:code": crs,
            "proj:shape": [height, size],
            "proj:transform": list(transform)[:6],
        }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "geometry": shapely.geometry.mapping(shape),
        "bbox": list(shape.bounds),
        "properties": properties,
        "links": [],
        "assets": links,
    }


def tiling(
    folder: Path,
    columns: int,
    rows: int,
    *,
    step: int,
    size: int,
    crs: str = "EPSG:32633",
    name: str = "t",
    **more: Any,
) -> list[dict[str, Any]]:
    """Make scenes beside each other, `step` pixels apart: they overlap where it is less than their size."""
    return [
        item(
            folder,
            f"{name}{row}{column}",
            crs=crs,
            west=more.get("west", 500_000) + column * step * GSD,
            north=more.get("north", 5_000_000) - row * step * GSD,
            size=size,
            **{k: v for k, v in more.items() if k not in {"west", "north"}},
        )
        for row in range(rows)
        for column in range(columns)
    ]


def collection_file(path: Path, items: Iterable[Mapping[str, Any]]) -> str:
    """Write an ItemCollection and return its path."""
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(items)}), encoding="utf-8")
    return str(path)


def around(items: Iterable[Mapping[str, Any]], margin: float = 0.0) -> Any:
    """Return the ground of some Items, widened by degrees."""
    return shapely.union_all([shapely.geometry.shape(i["geometry"]) for i in items]).buffer(margin)


def centres(store: str | Path) -> Any:
    """Return ids, longitudes and latitudes of the chips of a store."""
    import pyarrow.parquet as pq

    tables = [pq.ParquetFile(p).read(["id", "geometry"]) for p in sorted(store.glob("h3_cell=*/*.parquet"))]  # type: ignore[union-attr]
    ids = [i for t in tables for i in t["id"].to_pylist()]
    shapes = shapely.from_wkb([g for t in tables for g in t["geometry"].to_pylist()])
    return ids, *footprint.centres(shapes)


def pixels(path: Path) -> Any:
    with rasterio.open(path) as source:
        return source.read()
