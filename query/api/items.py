"""Collections, their items and thumbnails, as OGC API - Features has them (https://docs.ogc.org/is/17-069r4/17-069r4.html)."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote, urlencode

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from embedstore.errors import FilterError, UnknownIdError
from embedstore.snapshot import id_bytes
from query import example
from query.api import answers, listing, openapi
from query.api.collections import METRES_A_DEGREE, Collection
from query.api.features import features
from query.api.negotiate import GEOJSON
from query.api.problems import Problem
from query.api.service import Limits, Of, Served, To
from query.filters import Filter

router = APIRouter(tags=["Collections and items"])
WEBP = "image/webp"
DAY = "private, max-age=86400"
PARAMETERS = frozenset({"limit", "bbox", "datetime", "token"})
"""Of a page of items."""


@router.get("/collections", response_class=Response, responses=openapi.plain(answers.Collections))
def list_collections(request: Request, service: Served) -> JSONResponse:
    """List the stores that are served."""
    all_ = [_with_links(request, one) for one in service.collections]
    return JSONResponse({"collections": all_, "links": [_link(request, "self", "/collections", "application/json")]})


@router.get("/collections/{c}", response_class=Response, responses=openapi.plain(answers.Collection))
def get_collection(request: Request, of: Of) -> JSONResponse:
    """Say what there is to know about one store."""
    return JSONResponse(_with_links(request, of))


@router.get("/collections/{c}/items", response_class=Response, responses=openapi.feature(answers.Items))
def list_items(
    request: Request,
    of: Of,
    to: To,
    settings: Limits,
    limit: Annotated[int, Query(ge=1, description="Items of a page; more than the service allows are cut.")] = 10,
    bbox: Annotated[str | None, Query(description="W,S,E,N in degrees.", examples=["13.3,45.7,13.5,45.8"])] = None,
    datetime: Annotated[
        str | None,
        Query(max_length=128, description="A time, or A/B; .. leaves an end open.", examples=["2019-01-01/.."]),
    ] = None,
    token: Annotated[str | None, Query(max_length=64, description="From a next link.")] = None,
) -> Response:
    """List chips page by page, in the order of the ground; the next link goes on where this page ends."""
    unknown = set(request.query_params) - PARAMETERS
    if unknown:  # OGC 17-069r4, /req/core/query-param-unknown: all chips are no answer to a filter that is misspelt
        raise Problem(400, f"there is no parameter {', '.join(sorted(unknown))}; give {', '.join(sorted(PARAMETERS))}.")
    filter_ = Filter.parse(_box(bbox), None, None, _interval(datetime), None)
    after = _read_token(token)
    page = of.ask(lambda s: listing.page(s, of.shelf, filter_, min(limit, settings.max_page), after))
    path, query = f"{_path(of)}/items", dict(request.query_params)
    links = [_link(request, "self", path, GEOJSON, query)]
    if page.after is not None:
        links.append(_link(request, "next", path, GEOJSON, {**query, "token": f"{page.after[0]:x}-{page.after[1]}"}))
    body = {
        "type": "FeatureCollection",
        "features": features(page.table, to),
        "numberMatched": page.matched,
        "numberReturned": page.table.num_rows,
        "links": links,
    }
    return JSONResponse(body, media_type=GEOJSON)


@router.get("/collections/{c}/items/{id}", response_class=Response, responses=openapi.feature(answers.Item))
def get_item(of: Of, to: To, id: str) -> Response:  # noqa: A002 - the name in the path
    """Return one chip."""
    return JSONResponse(_item(of, to, id), media_type=GEOJSON)


@router.get("/collections/{c}/items/{id}/thumbnail", response_class=Response, responses=openapi.ok((WEBP, None)))
def get_thumbnail(of: Of, id: str) -> Response:  # noqa: A002 - the name in the path
    """Return a chip's picture."""
    picture = _columns(of, id, "thumbnail")["thumbnail"][0].as_py()
    if picture is None:
        raise Problem(404, f"the chip {id!r} has no thumbnail; its store was encoded without.")
    return Response(picture, media_type=WEBP, headers={"Cache-Control": DAY})


@router.get("/collections/{c}/nearest", response_class=Response, responses=openapi.feature(answers.Item))
def get_nearest(
    of: Of,
    to: To,
    lon: Annotated[float, Query(ge=-180, le=180, allow_inf_nan=False, examples=[13.371])],
    lat: Annotated[float, Query(ge=-90, le=90, allow_inf_nan=False, examples=[45.768])],
) -> Response:
    """Return the chip at a place: the one whose centre is nearest, no further than two chip sides."""
    return JSONResponse(_item(of, to, nearest(of, lon, lat)), media_type=GEOJSON)


def _item(of: Collection, to: To, id_: str) -> dict[str, Any]:
    (item,) = features(_columns(of, id_, "geometry", "inputs"), to)
    item["links"].append({"rel": "collection", "type": "application/json", "href": to.collection})
    return item


def _columns(of: Collection, id_: str, *columns: str) -> Any:
    """Return the row of one chip."""

    def ask(searcher: Any) -> Any:
        found = searcher.snapshot.find(id_bytes([id_]))
        if not found:
            raise UnknownIdError(f"the collection {of.id} holds no chip {id_!r}.")
        return listing.of_ids(searcher.snapshot, of.shelf, [(piece, at) for piece, _, at in found], *columns)

    return of.ask(ask)


def nearest(of: Collection, lon: float, lat: float) -> str:
    """Return the id of the chip whose centre is nearest to a place.

    Raises
    ------
    Problem
        404 if none is nearer than two chip sides.
    """
    reach = 2 * of.chip_metres
    up = reach / METRES_A_DEGREE
    across = min(up / max(np.cos(np.radians(min(abs(lat) + up, 90))), 1e-6), 180)
    near = Filter.parse((lon - across, max(lat - up, -90), lon + across, min(lat + up, 90)))

    def ask(searcher: Any) -> str | None:
        best: tuple[float, str] = (reach, "")
        for piece, at in listing.passing(searcher, near):
            metres = example.distance(piece.segment.take("lon", at), piece.segment.take("lat", at), lon, lat)
            first = int(np.argmin(metres))
            if metres[first] <= best[0]:
                best = (float(metres[first]), bytes(piece.segment.take("id", at[first : first + 1])[0]).hex())
        return best[1]

    found = of.ask(ask)
    if not found:
        raise Problem(404, f"no chip of {of.id} lies near {lon:.5f},{lat:.5f}; its extent is in /collections/{of.id}.")
    return found


def _box(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) == 6:  # with heights, which chips do not have
        values = [*values[:2], *values[3:5]]
    if len(values) != 4:
        raise FilterError(f"bbox {text!r} is not four numbers; give west,south,east,north.")
    return values


def _interval(text: str | None) -> str | None:
    """Return a time or an interval, as OGC writes it, as an interval."""
    return text if text is None or "/" in text else f"{text}/{text}"


def _read_token(token: str | None) -> listing.Cursor | None:
    if token is None:
        return None
    cell, _, id_ = token.partition("-")
    try:
        value = int(cell, 16)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 63 or len(id_) != 32:
        raise FilterError(f"the token {token!r} is none of ours; take it from a next link.")
    return value, id_


def _path(of: Collection) -> str:
    return f"/collections/{quote(of.id, safe='')}"


def _link(request: Request, rel: str, path: str, type_: str, query: dict[str, str] | None = None) -> dict[str, str]:
    href = str(request.base_url).rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
    return {"rel": rel, "type": type_, "href": href}


def _with_links(request: Request, of: Collection) -> dict[str, Any]:
    path = _path(of)
    links = [_link(request, "self", path, "application/json"), _link(request, "items", f"{path}/items", GEOJSON)]
    return {**of.describe(), "links": links}
