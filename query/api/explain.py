"""`POST /collections/{c}/explain`: which pixels of some chips are like the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from embedstore.errors import LimitError
from query import explained
from query.api import answers, openapi
from query.api.problems import public
from query.api.questions import Explain
from query.api.service import Of, Served

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.settings import Settings

router = APIRouter(tags=["Search"])


@router.post("/collections/{c}/explain", response_class=Response, responses=openapi.plain(answers.Explanations))
async def explain(of: Of, service: Served, asked: Explain) -> Response:
    """Tell which pixels of chips are like the examples, where their scenes can still be read."""
    return await service.heavy.run(_answer, of, service.settings, asked)


def _answer(of: Collection, settings: Settings, asked: Explain) -> Response:
    if len(asked.ids) > settings.max_explained:
        raise LimitError(f"there are {len(asked.ids)} chips; {settings.max_explained} are allowed. Ask for fewer.")
    found = of.bounded.explain(asked.ids, **asked.examples(settings)).to_pylist()
    told = [{"id": one["id"], **explained.plain(one)} for one in found]
    for one in told:
        if "reason" in one:
            one["reason"] = public(one["reason"])
    return JSONResponse({"explained": told})
