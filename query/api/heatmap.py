"""`POST /collections/{c}/heatmap`: how like the examples every place is, by H3 cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from embedstore.errors import LimitError
from query.api import answers, openapi
from query.api.questions import HeatMap
from query.api.service import Of, Served
from query.filters import Filter

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.settings import Settings

router = APIRouter(tags=["Search"])
CELLS_WANTED = 4_000
"""About how many cells a heat map has where nobody says its resolution."""
CELL_KM2 = tuple(5.10066e8 / (2 + 120 * 7**r) for r in range(16))
"""Mean area of a cell, by resolution."""


@router.post("/collections/{c}/heatmap", response_class=Response, responses=openapi.plain(answers.HeatCells))
async def heat_map(of: Of, service: Served, asked: HeatMap) -> Response:
    """Sum up by H3 cell how like the examples the chips are: mean and best cosine similarity."""
    return await service.heavy.run(_answer, of, service.settings, asked)


def _answer(of: Collection, settings: Settings, asked: HeatMap) -> Response:
    arguments = asked.arguments(settings)
    where = Filter.parse(arguments["bbox"], arguments["within"])
    resolution = default_resolution(of, where) if asked.resolution is None else asked.resolution
    found = of.bounded.heat_map(**asked.examples(settings), **arguments, resolution=resolution)
    if found.num_rows > settings.max_heat_cells:
        raise LimitError(
            f"the heat map has {found.num_rows} cells at resolution {resolution}; {settings.max_heat_cells} are "
            "allowed. Ask for a coarser resolution or a smaller area."
        )
    cells = [
        {"h3": f"{h3:x}", "chips": chips, "mean": round(mean, 6), "best": round(best, 6)}
        for h3, chips, mean, best in zip(*(column.to_pylist() for column in found.columns), strict=True)
    ]
    return JSONResponse({"resolution": resolution, "cells": cells})


def default_resolution(of: Collection, where: Filter) -> int:
    """Return the finest resolution that gives about a few thousand cells, and none much smaller than a chip."""
    areas = [_km2(*of.describe()["extent"]["spatial"]["bbox"][0])]
    if where.boxes is not None:
        areas.append(sum(_km2(*box) for box in where.boxes.tolist()))
    if where.shape is not None:
        areas.append(_km2(*where.shape.bounds))
    finest = of.engine.store.grid.h3_resolution
    fitting = [r for r in range(finest) if min(areas) / CELL_KM2[r] <= CELLS_WANTED]
    return max(fitting, default=0)


def _km2(west: float, south: float, east: float, north: float) -> float:
    """Return about how large a box in degrees is, in square kilometres."""
    height = (north - south) * 111.195
    return height * (east - west) * 111.195 * math.cos(math.radians((north + south) / 2))
