"""What load balancers and Prometheus ask."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from query.api import answers, openapi
from query.api.problems import Problem
from query.api.service import Admin, Served

router = APIRouter(tags=["Operation"])
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@router.get("/healthz", response_class=Response, responses=openapi.plain(answers.Status))
async def healthz() -> JSONResponse:
    """Say that the process is alive."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", response_class=Response, responses=openapi.plain(answers.Status))
def readyz(service: Served) -> JSONResponse:
    """Say that every collection can be asked."""
    for one in service.collections:
        if not one.engine.store.home.has_table():
            raise Problem(503, f"the collection {one.id} has lost its store.")
    if not service.settings.jobs_folder.is_dir():
        raise Problem(503, "the folder of jobs is gone.")
    return JSONResponse({"status": "ready", "collections": {one.id: one.version for one in service.collections}})


@router.get("/metrics", response_class=Response, responses=openapi.ok(("text/plain", None)))
def metrics(service: Served, _: Admin) -> Response:
    """Return counters and times as Prometheus reads them."""
    for one in service.collections:
        service.metrics.chips.labels(one.id).set(one.describe()["chips"])
        service.metrics.version.labels(one.id).set(one.version)
    for status, count in service.jobs.count().items():
        service.metrics.jobs.labels(status).set(count)
    return Response(service.metrics.text(), headers={"Content-Type": PROMETHEUS})
