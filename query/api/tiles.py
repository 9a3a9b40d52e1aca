"""Vector tiles: the chips' footprints, and how like an example every place is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, Any

import h3.api.basic_int as h3
import numpy as np
import pyarrow as pa
import shapely
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from embedstore import footprint, grid
from query.api import listing, mvt, openapi
from query.api.mvt import Tile
from query.api.negotiate import MVT
from query.api.questions import HeatMap, Id
from query.api.service import Limits, Of, Served
from query.filters import Filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from query.api.collections import Collection
    from query.api.settings import Settings
    from query.searcher import Searcher

router = APIRouter(tags=["Tiles"])
CHIP_PIXELS = 4
"""Footprints are drawn from the zoom on at which a chip is so many pixels wide, on tiles of 512."""
TILE_PIXELS = 512
CELL_DEGREES = tuple(26.0 / 7 ** (r / 2) for r in range(16))
"""Wider than any cell, by resolution, in degrees of latitude."""
Ids = Annotated[str, Field(max_length=8_000)]
WHILE = "private, max-age=60"


@router.get(
    "/collections/{c}/footprints/tiles/{z}/{x}/{y}.mvt", response_class=Response, responses=openapi.ok((MVT, None))
)
def footprint_tile(of: Of, settings: Limits, z: int, x: int, y: int) -> Response:
    """Draw the chips of a tile (layer `chips`); where they would be too small or too many, H3 cells (layer `cells`)."""
    tile = Tile(z, x, y)
    most = settings.max_tile_features
    return _tile(of.tiles.get((tile,), lambda: of.ask(lambda searcher: _footprints(searcher, of, tile, most))))


@router.get(
    "/collections/{c}/heatmap/tiles/{z}/{x}/{y}.mvt", response_class=Response, responses=openapi.ok((MVT, None))
)
async def heat_tile(
    of: Of,
    service: Served,
    z: int,
    x: int,
    y: int,
    id: Annotated[Id | None, Query()] = None,  # noqa: A002 - the column's name
    positives: Annotated[list[Ids], Query(description="Repeat it, or put commas between.")] = [],  # noqa: B006
    negatives: Annotated[list[Ids], Query(description="Repeat it, or put commas between.")] = [],  # noqa: B006
    between: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """Draw the heat map of a tile: layer `heat`, H3 cells with chips, mean and best cosine similarity."""
    tile = Tile(z, x, y)
    asked = HeatMap.model_construct(id=id, positives=_split(positives), negatives=_split(negatives), between=between)
    key = (tile, hashlib.sha256(asked.model_dump_json().encode()).digest())  # as short for a thousand ids as for one
    return _tile(await service.heavy.run(of.tiles.get, key, lambda: _heat(of, service.settings, tile, asked)))


def _split(ids: list[str]) -> list[str]:
    return [one for text in ids for one in text.split(",") if one]


def _tile(body: bytes) -> Response:
    return Response(body, media_type=MVT, headers={"Cache-Control": WHILE})


def _resolution(of: Collection, zoom: int) -> int:
    """Return the resolution at which a tile is some forty cells wide, and no cell smaller than a chip's."""
    return min(max(round(0.71 * zoom + 0.5), 0), of.engine.store.grid.h3_resolution)


def _footprints(searcher: Searcher, of: Collection, tile: Tile, most: int) -> bytes:
    margin = of.chip_metres / 111_195.0
    resolution = _resolution(of, tile.z)
    small = of.chip_metres / (2 * mvt.HALF / (1 << tile.z) / TILE_PIXELS) < CHIP_PIXELS
    if not small:
        found = listing.passing(searcher, Filter.parse(tile.degrees(margin)))
        if sum(len(at) for _, at in found) <= most:
            table = listing.of_ids(searcher.snapshot, of.shelf, found, "geometry")
            times = [None if t is None else t.isoformat().replace("+00:00", "Z") for t in table["datetime"].to_pylist()]
            columns = {
                "id": table["id"],
                "datetime": pa.array(times, pa.string()),
                "valid_fraction": table["valid_fraction"],
            }
            return mvt.encode(tile, "chips", shapely.from_wkb(np.array(table["geometry"].to_pylist(), object)), columns)
    found = listing.passing(searcher, Filter.parse(tile.degrees(2 * CELL_DEGREES[resolution])))
    cells = [grid.parents(piece.segment.take("h3", at), resolution) for piece, at in found]
    unique, counts = np.unique(np.concatenate(cells or [np.empty(0, np.int64)]), return_counts=True)
    return _cells(tile, "cells", unique, {"chips": pa.array(counts)})


def _heat(of: Collection, settings: Settings, tile: Tile, asked: HeatMap) -> bytes:
    resolution = _resolution(of, tile.z)
    arguments = asked.arguments(settings) | {"bbox": tile.degrees(2 * CELL_DEGREES[resolution])}
    found = of.bounded.heat_map(**asked.examples(settings), **arguments, resolution=resolution)
    columns = {"chips": found["chips"], "mean": found["mean"], "best": found["best"]}
    return _cells(tile, "heat", found["h3"].to_numpy(), columns)


def _cells(tile: Tile, layer: str, cells: NDArray[np.int64], columns: dict[str, Any]) -> bytes:
    """Return H3 cells as a tile."""
    shapes = np.array([_outline(cell) for cell in cells.tolist()], object)
    names = pa.array([f"{cell:x}" for cell in cells.tolist()], pa.string())
    return mvt.encode(tile, layer, shapes, {"h3": names, **columns})


def _outline(cell: int) -> Any:
    lat, lon = zip(*h3.cell_to_boundary(cell), strict=True)
    if max(lon) - min(lon) > 180:
        return footprint.ring(lon, lat)
    return shapely.Polygon(list(zip(lon, lat, strict=True)))
