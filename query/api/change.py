"""`POST /collections/{c}/change`: the places that have changed most between two times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from starlette.responses import JSONResponse, Response

from embedstore.errors import LimitError
from query.api import answers, openapi
from query.api.questions import Filters
from query.api.service import Of, Served

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.settings import Settings

router = APIRouter(tags=["Search"])
SHOWN = ("id_a", "id_b", "lon", "lat", "distance", "datetime_a", "datetime_b")


class Change(Filters):
    """Two times, and where to look."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"a": "2019-01-01/2019-12-31", "b": "2022-01-01/2022-12-31", "k": 20}]},
    )
    a: str = Field(max_length=128, description="Times A/B of the earlier state.")
    b: str = Field(max_length=128, description="Times A/B of the later one.")
    k: int = Field(default=100, ge=1, description="How many places.")
    between: None = Field(default=None, description="Not here: the times are a and b.")


@router.post("/collections/{c}/change", response_class=Response, responses=openapi.plain(answers.Pairs))
async def change(of: Of, service: Served, asked: Change) -> Response:
    """Rank places by the distance between their vectors at two times."""
    return await service.heavy.run(_answer, of, service.settings, asked)


def _answer(of: Collection, settings: Settings, asked: Change) -> Response:
    from query.change import change as rank  # noqa: PLC0415

    if asked.k > settings.max_k:
        raise LimitError(f"k = {asked.k} is more than the {settings.max_k} places allowed; ask for fewer.")
    filters = asked.arguments(settings)
    del filters["between"]
    found = rank(of.bounded, asked.a, asked.b, k=asked.k, **filters).select(SHOWN)
    pairs = [
        {n: v.isoformat().replace("+00:00", "Z") if hasattr(v, "isoformat") else v for n, v in row.items()}
        for row in found.to_pylist()
    ]
    return JSONResponse({"pairs": pairs})
