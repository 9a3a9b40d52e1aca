"""The map's page and its files, and what OGC clients find at the root."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles

from query.api import answers, openapi
from query.api.negotiate import JSON, choose
from query.api.service import Accept

if TYPE_CHECKING:
    from fastapi import FastAPI

DIST = Path(__file__).parents[1] / "web" / "dist"
"""The map as Vite built it."""
HTML = "text/html"
CONFORMS = tuple(
    f"http://www.opengis.net/spec/ogcapi-{part}/1.0/conf/{name}"
    for part, name in (("features-1", "core"), ("features-1", "geojson"))
)
SOURCES = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self' 'unsafe-inline'",  # MapLibre and Swagger UI set styles of elements
    "img-src": "'self' data: blob: https:",
    "font-src": "'self' data:",
    "connect-src": "'self' https:",  # background tiles, if somebody names a server of them
    "worker-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
POLICY = "; ".join(f"{what} {whence}" for what, whence in SOURCES.items())
HEADERS = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
"""Of pages: scripts are those of the package alone."""
NO_MAP = """<!doctype html><html lang="en"><meta charset="utf-8"><title>embedstore</title>
<p>This installation has no map. The service is described at <a href="openapi.json">/openapi.json</a>.</p></html>"""

router = APIRouter(tags=["Operation"])


@router.get("/", response_class=Response, responses=openapi.ok((HTML, None), (JSON, answers.Shown)))
def root(request: Request, accept: Accept) -> Response:
    """Show the map; to a client that asks for JSON, where to go on."""
    if choose(accept, (HTML, JSON)) == JSON:
        base = str(request.base_url).rstrip("/")
        links = [
            {"rel": "self", "type": JSON, "href": f"{base}/"},
            {"rel": "service-desc", "type": JSON, "href": f"{base}/openapi.json"},
            {"rel": "conformance", "type": JSON, "href": f"{base}/conformance"},
            {"rel": "data", "type": JSON, "href": f"{base}/collections"},
        ]
        return JSONResponse({"title": "embedstore", "links": links})
    page = DIST / "index.html"
    return FileResponse(page, headers=HEADERS) if page.is_file() else HTMLResponse(NO_MAP, headers=HEADERS)


@router.get("/conformance", response_class=Response, responses=openapi.plain(answers.Conformance))
async def conformance() -> JSONResponse:
    """Name the standards that are kept to."""
    return JSONResponse({"conformsTo": list(CONFORMS)})


def mount(app: FastAPI) -> None:
    """Serve the map's files."""
    if (DIST / "assets").is_dir():
        app.mount("/assets", StaticFiles(directory=DIST / "assets"), name="assets")
        app.get("/docs", include_in_schema=False)(docs)


def docs() -> FileResponse:
    """Return the page that shows the OpenAPI document."""
    return FileResponse(DIST / "docs.html", headers=HEADERS)
