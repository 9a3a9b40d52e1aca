"""`POST /collections/{c}/search`: the chips most like an example, which may be an uploaded one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response

from embedstore.errors import LimitError
from query.api import answers, openapi, uploads
from query.api.features import arrow_stream, features, plain_rows
from query.api.negotiate import ARROW, GEOJSON, JSON, choose
from query.api.problems import Problem
from query.api.questions import Search
from query.api.service import Accept, Limits, Of, To

if TYPE_CHECKING:
    from query.api.collections import Collection
    from query.api.features import Links
    from query.api.settings import Settings
    from query.hits import Hits

router = APIRouter(tags=["Search"])
FORMS = (JSON, GEOJSON, ARROW)
ANSWERS = openapi.ok((JSON, answers.Hits), (GEOJSON, answers.HitFeatures), (ARROW, None))
ASKED = {"$ref": "#/components/schemas/Search"}
FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "format": "binary",
            "description": "A GeoTIFF or PNG chip with the encoder's bands.",
        },
        "query": {"type": "string", "description": "The same JSON.", "examples": ['{"k": 5}']},
    },
}
BODY = {
    "required": True,
    "content": {JSON: {"schema": ASKED}, "multipart/form-data": {"schema": FORM}},
}


@router.post("/collections/{c}/search", response_class=Response, responses=ANSWERS, openapi_extra={"requestBody": BODY})
async def search(request: Request, of: Of, to: To, settings: Limits, accept: Accept) -> Response:
    """Find the chips most like one or more examples: stored chips, places, vectors, or an uploaded chip."""
    form = choose(accept, FORMS)
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=1, max_part_size=settings.max_body_bytes) as parts:
            file = parts.get("file")
            if not isinstance(file, UploadFile):
                raise Problem(422, "the form has no file; send a GeoTIFF or PNG chip as its part `file`.")
            asked = _read(str(parts.get("query") or "{}").encode("utf-8", "surrogatepass"))
            return await run_in_threadpool(_by_upload, of, to, settings, asked, file, form)
    asked = _read(await request.body())
    return await run_in_threadpool(_answer, of, to, settings, asked, form)


def _read(raw: bytes) -> Search:
    try:
        return Search.model_validate_json(raw or b"null")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None


def _by_upload(of: Collection, to: Links, settings: Settings, asked: Search, file: UploadFile, form: str) -> Response:
    if asked.vector is not None:
        raise Problem(422, "there are a file and a vector; give one of them.")
    vector = uploads.encode(of, file.file, settings)
    return _answer(of, to, settings, asked.model_copy(update={"vector": vector[0]}), form)


def _answer(of: Collection, to: Links, settings: Settings, asked: Search, form: str) -> Response:
    if asked.k > settings.max_k:
        raise LimitError(f"k = {asked.k} is more than the {settings.max_k} hits allowed; ask for fewer.")
    filters, examples = asked.arguments(settings), asked.examples(settings)
    hits = of.bounded.search(**examples, **filters, k=asked.k, recall=asked.recall, spread=asked.spread)
    return _render(of, to, hits, form)


def _render(of: Collection, to: Links, hits: Hits, form: str) -> Response:
    table = hits.to_arrow()
    names = {JSON: ("inputs",), GEOJSON: ("geometry", "inputs"), ARROW: ("geometry",)}[form]
    files, places = hits.places()  # read from the shelf and not from the disk
    for name, column in zip(names, of.shelf.take(files, places, names), strict=True):
        table = table.append_column(name, column)
    report: dict[str, Any] = hits.report.to_dict()
    if form == ARROW:
        return Response(arrow_stream(table.replace_schema_metadata({"report": json.dumps(report)})), media_type=ARROW)
    if form == GEOJSON:
        body = {"type": "FeatureCollection", "features": features(table, to), "report": report}
        return JSONResponse(body, media_type=GEOJSON)
    return JSONResponse({"hits": plain_rows(table, to), "report": report})
