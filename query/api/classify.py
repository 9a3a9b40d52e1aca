"""`POST /collections/{c}/classify` and `/suggest`: labels in, classes and confidence out, and what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from embedstore.errors import LabelError, LimitError, QueryError
from embedstore.snapshot import id_bytes
from query.api import answers, items, openapi
from query.api.labels import Classify, Suggest
from query.api.negotiate import JSON
from query.api.problems import Problem
from query.api.service import Asker, Of, Served, To
from query.classify import hex_ids
from query.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

    from query.api.collections import Collection, Collections
    from query.api.features import Links
    from query.api.keys import Key
    from query.api.service import Service
    from query.api.settings import Settings
    from query.fewshot import Labelled
    from query.searcher import Searcher

router = APIRouter(tags=["Labels"])
NEIGHBOURS = 5
DECIMALS = 6
ANSWERS = openapi.plain(answers.Classified) | openapi.ok(
    (JSON, answers.JobStarted), status=202, says="A job was started, because there are many chips."
)


@router.post("/collections/{c}/classify", response_class=Response, responses=ANSWERS)
async def classify(of: Of, service: Served, asker: Asker, asked: Classify) -> Response:
    """Give chips the class that labels suggest: at once, or by a job where there are many."""
    return await service.heavy.run(_classify, of, service, asker, asked)


def _classify(of: Collection, service: Service, asker: Key, asked: Classify) -> Response:
    from query.fewshot import Labelled  # noqa: PLC0415 - scikit-learn is needed here only

    settings = service.settings
    source, filters = asked.source(settings), asked.arguments(settings)
    ids = _named(of, asked, settings)
    if ids is None:
        chips = of.ask(lambda searcher: _count(searcher, filters))
        if chips > settings.sync_chips:
            if not asker.may("write"):
                raise Problem(403, f"{chips} chips are classified by a job, and this key may not start one.")
            job = service.jobs.submit(_request(of, asked, source, filters), asker)
            return JSONResponse({"job": job, "href": f"/jobs/{job}"}, 202, {"Location": f"/jobs/{job}"})
        ids = of.ask(lambda searcher: _ids(searcher, filters))
    labelled = Labelled.read(of.bounded, source, asked.column)
    body: dict[str, Any] = {"classes": list(labelled.names), "chips": _classified(of, labelled, asked, ids)}
    return JSONResponse(body | _about(labelled, asked.method, asked.k, measure=asked.evaluate))


@router.post("/collections/{c}/suggest", response_class=Response, responses=openapi.plain(answers.Suggestions))
async def suggest(of: Of, to: To, service: Served, asked: Suggest) -> Response:
    """Say which chips are worth a label: those that the labels leave in doubt, far from one another."""
    return await service.heavy.run(_suggest, of, to, service.settings, asked)


def _suggest(of: Collection, to: Links, settings: Settings, asked: Suggest) -> Response:
    from query.fewshot import Labelled  # noqa: PLC0415 - scikit-learn is needed here only
    from query.fewshot import suggest as best  # noqa: PLC0415

    filters = asked.arguments(settings)
    labelled = Labelled.read(of.bounded, asked.source(settings), asked.column)
    found = best(of.bounded, labelled, asked.n, method=asked.method, k=neighbours(asked.k, labelled), **filters)
    chips = [{**_rounded(row), "thumbnail": to.thumbnail(row["id"])} for row in found.to_pylist()]
    return JSONResponse({"suggestions": chips})


def work(collections: Collections) -> Callable[..., dict[str, Any]]:
    """Return what a job does: classify an area into a GeoParquet file."""

    def classify_area(request: dict[str, Any], result: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
        from query.fewshot import Labelled, classify_area  # noqa: PLC0415

        of = collections[request["collection"]]
        asked, version = request["asked"], of.version
        labelled = Labelled.read(of.bounded, asked["labels"], asked["column"])
        done = classify_area(
            of.bounded,
            labelled,
            asked["method"],
            result,
            k=neighbours(asked["k"], labelled),
            abstain_below=asked["abstain_below"],
            progress=progress,
            **asked["filters"],
        )
        about = _about(labelled, asked["method"], asked["k"], measure=asked["evaluate"])
        return {"version": version, **done.to_dict(), **about}

    return classify_area


def _about(labelled: Labelled, method: str, k: int | None, *, measure: bool) -> dict[str, Any]:
    """Return what to know of the labels, and how good the classes are, if that is asked and can be measured."""
    from query.fewshot import evaluate  # noqa: PLC0415

    notes = list(labelled.notes)
    if not measure:
        return {"notes": notes}
    try:
        score = evaluate(labelled, method, k=neighbours(k, labelled)).to_dict()
    except LabelError as error:  # the classes are right all the same
        return {"notes": [*notes, f"no score: {error}"], "evaluation": None}
    return {"notes": notes, "evaluation": score}


def is_served(collections: Collections) -> Callable[[dict[str, Any]], bool]:
    """Return a test for jobs of these collections: the name may be that of another store elsewhere."""
    stores = {one.id: str(one.engine.store.path) for one in collections}
    return lambda request: stores.get(request["collection"]) == request["store"]


def neighbours(k: int | None, labelled: Labelled) -> int:
    """Return how many neighbours vote: as many as were asked for, else the usual number or all that there are."""
    return min(NEIGHBOURS, len(labelled)) if k is None else k


def _request(of: Collection, asked: Classify, source: dict[str, Any], filters: dict[str, Any]) -> dict[str, Any]:
    plain = {name: getattr(asked, name) for name in ("column", "method", "k", "abstain_below", "evaluate")}
    box = filters["bbox"]
    kept = filters | {"bbox": None if box is None else list(box)}
    return {
        "collection": of.id,
        "store": str(of.engine.store.path),
        "asked": {**plain, "labels": source, "filters": kept},
    }


def _named(of: Collection, asked: Classify, settings: Settings) -> list[str] | None:
    """Return the chips that are asked for one by one; None if an area is asked for."""
    if asked.ids is None and asked.points is None:
        return None
    if any(v is not None for v in (asked.bbox, asked.within, asked.cells, asked.between, asked.where)):
        raise QueryError("ids and points name chips one by one; leave out bbox, within, cells, between and where.")
    count = len(asked.ids or ()) + len(asked.points or ())
    if count > settings.max_labels:
        raise LimitError(f"there are {count} ids and points; {settings.max_labels} are allowed. Give an area instead.")
    places = [items.nearest(of, lon, lat) for lon, lat in asked.points or ()]
    return [*(asked.ids or ()), *places]


def _count(searcher: Searcher, filters: dict[str, Any]) -> int:
    return sum(selection.count for selection in searcher.select(Filter.parse(**filters)))


def _ids(searcher: Searcher, filters: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for piece, selection in zip(searcher.snapshot.pieces, searcher.select(Filter.parse(**filters)), strict=True):
        rows = np.arange(piece.segment.rows) if selection.rows is None else selection.rows
        if selection.count:
            found += hex_ids(piece.segment.take("id", rows)).to_pylist()
    return found


def _classified(of: Collection, labelled: Labelled, asked: Classify, ids: list[str]) -> list[dict[str, Any]]:
    from query.fewshot import classify_ids  # noqa: PLC0415

    if not ids:
        return []
    table: pa.Table = classify_ids(
        of.bounded, labelled, asked.method, ids, k=neighbours(asked.k, labelled), abstain_below=asked.abstain_below
    )
    lon, lat = of.ask(lambda searcher: _places(searcher, table["id"].to_pylist()))
    chips = zip(table.to_pylist(), lon.tolist(), lat.tolist(), strict=True)
    return [_rounded({**row, "lon": x, "lat": y}) for row, x, y in chips]


def _places(searcher: Searcher, ids: list[str]) -> tuple[Any, Any]:
    lon, lat = np.full(len(ids), np.nan), np.full(len(ids), np.nan)
    for piece, at, rows in searcher.snapshot.find(id_bytes(ids)):
        lon[at], lat[at] = piece.segment.take("lon", rows), piece.segment.take("lat", rows)
    return lon, lat


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the digits that single precision has."""
    exact = ("lon", "lat")
    return {
        name: round(value, DECIMALS) if isinstance(value, float) and name not in exact else value
        for name, value in row.items()
    }
