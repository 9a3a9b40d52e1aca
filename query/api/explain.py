"""`POST /collections/{c}/explain`: which pixels of some chips are like the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from embedstore.errors import LimitError
from query import explained, output
from query.api import answers, openapi
from query.api.negotiate import GEOJSON, JSON, choose
from query.api.problems import public
from query.api.questions import Explain
from query.api.service import Accept, Of, Served

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.settings import Settings

router = APIRouter(tags=["Search"])
ANSWERS = openapi.ok((JSON, answers.Explanations), (GEOJSON, answers.MatchFeatures))


@router.post("/collections/{c}/explain", response_class=Response, responses=ANSWERS)
async def explain(of: Of, service: Served, accept: Accept, asked: Explain) -> Response:
    """Tell which pixels of chips are like the examples, where their scenes can still be read."""
    return await service.heavy.run(_answer, of, service.settings, asked, choose(accept, (JSON, GEOJSON)))


def _answer(of: Collection, settings: Settings, asked: Explain, form: str) -> Response:
    if len(asked.ids) > settings.max_explained:
        raise LimitError(f"there are {len(asked.ids)} chips; {settings.max_explained} are allowed. Ask for fewer.")
    found = of.bounded.explain(asked.ids, **asked.examples(settings)).to_pylist()
    for one in found:
        one["reason"] = one["reason"] and public(one["reason"])
    if form == JSON:
        return JSONResponse({"explained": [{"id": one["id"], **explained.plain(one)} for one in found]})
    nothing = np.full(len(found), shapely.Polygon(), object)
    features = [
        {
            "type": "Feature",
            "id": one["id"],
            "geometry": shape,
            "properties": {"id": one["id"], **explained.summary(one)},
        }
        for shape, one in zip(output.geometries(explained.areas(nothing, found)), found, strict=True)
    ]
    return JSONResponse({"type": "FeatureCollection", "features": features}, media_type=GEOJSON)
