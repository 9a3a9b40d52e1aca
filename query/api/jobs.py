"""Jobs over HTTP: how one stands, its result, and cancelling it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import FileResponse, JSONResponse, Response

from query.api import answers, openapi
from query.api.negotiate import PARQUET
from query.api.service import Asker, Served, Writer

router = APIRouter(tags=["Jobs"])


@router.get("/jobs/{id}", response_class=Response, responses=openapi.plain(answers.Job))
def get_job(service: Served, asker: Asker, id: str) -> JSONResponse:  # noqa: A002 - the name in the path
    """Say how a job stands."""
    return JSONResponse(service.jobs.view(id, asker))


@router.get("/jobs/{id}/result", response_class=Response, responses=openapi.ok((PARQUET, None)))
def get_result(service: Served, asker: Asker, id: str) -> Response:  # noqa: A002 - the name in the path
    """Return the GeoParquet file that a job made."""
    return FileResponse(service.jobs.result(id, asker), media_type=PARQUET, filename=f"{id}.parquet")


@router.delete("/jobs/{id}", status_code=204, response_class=Response)
def delete_job(service: Served, asker: Writer, id: str) -> Response:  # noqa: A002 - the name in the path
    """Cancel a job, or take away the result of one that is done."""
    service.jobs.delete(id, asker)
    return Response(status_code=204)
