"""STAC catalogues: Items from an API, a static catalogue, a file of Items, or stac-geoparquet, as plain dictionaries.

Sources: STAC 1.1 (https://github.com/radiantearth/stac-spec), STAC API - Item Search 1.0, stac-geoparquet 1.0.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import shapely

from embedstore.errors import MissingExtraError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

PAGE = 250
"""Items asked of an API at once."""
TIMEOUT = 60.0
"""Seconds that an API may take to answer; pystac-client asks again where a server is overloaded."""
PARQUET = (".parquet", ".geoparquet", ".pq")


@dataclass(frozen=True, slots=True)
class Question:
    """What a catalogue is asked for; it may answer with more.

    Parameters
    ----------
    area
        Polygons in degrees, cut at the antimeridian.
    start, end
        Of the acquisitions, both included.
    collections
        Ids of collections; any if empty.
    """

    area: Any
    start: datetime
    end: datetime
    collections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of a catalogue that cannot be used, and why; the rest is."""

    what: str
    reason: str

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}"


def items(catalogue: str, question: Question, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """Yield the Items of a catalogue, each once, hrefs of assets absolute.

    Parameters
    ----------
    catalogue
        URL of an API; URL or path of a static catalogue, a collection, an Item, a FeatureCollection of Items, or
        (path only) stac-geoparquet, a file or a folder of such.
    question
        Which ones are wanted.
    faults
        Gets the links of a static catalogue that lead nowhere.

    Raises
    ------
    PlanError
        If the catalogue itself cannot be read, or an API fails on the way.
    MissingExtraError
        If the extra `stac` is not installed.
    """
    seen = set()
    for item in _items(catalogue, question, faults):
        key = (str(item.get("collection")), str(item.get("id")))
        if key not in seen:
            seen.add(key)
            yield item


def _items(catalogue: str, question: Question, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    if catalogue.lower().endswith(PARQUET) or Path(catalogue).is_dir():
        yield from _geoparquet(catalogue, question)
        return
    root = _read(catalogue)
    if root["type"] in {"Feature", "FeatureCollection"}:
        for item in _list(root.get("features", [root])):
            yield _absolute(item, catalogue)
    elif any(isinstance(link, dict) and link.get("rel") == "search" for link in _list(root.get("links"))):
        yield from _api(catalogue, question)
    else:
        yield from _static(catalogue, faults)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(catalogue: str) -> dict[str, Any]:
    """Return the JSON at the root of a catalogue."""
    pystac = _library("pystac")
    try:
        root = json.loads(pystac.StacIO.default().read_text(catalogue))
    except _errors() as error:
        raise PlanError(
            f"the catalogue {catalogue} cannot be read: {error}. Give the URL of a STAC API, or a file: catalog.json, "
            "a collection, a FeatureCollection of Items, or stac-geoparquet."
        ) from error
    if not isinstance(root, dict) or root.get("type") not in ("Catalog", "Collection", "Feature", "FeatureCollection"):
        raise PlanError(f"{catalogue} is JSON, but no STAC Catalog, Collection, Item or FeatureCollection.")
    return root


def _api(url: str, question: Question) -> Iterator[dict[str, Any]]:
    """Search an API, once for each side of the antimeridian that the area lies on."""
    client_library = _library("pystac_client")
    try:
        client = client_library.Client.open(url, timeout=TIMEOUT)
        for box in _boxes(question.area):
            search = client.search(
                bbox=box,
                datetime=(question.start, question.end),
                collections=list(question.collections) or None,
                limit=PAGE,
            )
            for item in search.items_as_dicts():
                yield _absolute(item, url)
    except (client_library.exceptions.APIError, *_errors()) as error:
        raise PlanError(
            f"the STAC API {url} failed: {str(error) or type(error).__name__}. Nothing was planned; try again later, "
            "or check the URL, the dates and the collections."
        ) from error


def _boxes(area: Any) -> list[tuple[float, ...]]:
    """Return the bounds of an area: two where it lies on both sides of the antimeridian and is nearer across it."""
    west, south, east, north = shapely.bounds(area)
    if west > -180 or east < 180:
        return [(west, south, east, north)]
    halves = [shapely.intersection(area, shapely.box(*sides)) for sides in ((-180, -90, 0, 90), (0, -90, 180, 90))]
    return [tuple(shapely.bounds(half).tolist()) for half in halves if not half.is_empty]


def _static(href: str, faults: list[Fault]) -> Iterator[dict[str, Any]]:
    """Walk the links of a static catalogue; those that lead nowhere become faults."""
    pystac = _library("pystac")
    reader = pystac.StacIO.default()
    todo, seen = [href], set()
    while todo:
        at = todo.pop()
        if at in seen:
            continue
        seen.add(at)
        try:
            found = reader.read_stac_object(at)
        except _errors() as error:
            faults.append(Fault(at, f"the link leads to nothing that can be read ({error})"))
            continue
        if isinstance(found, pystac.Item):
            yield _absolute(found.to_dict(include_self_link=False, transform_hrefs=False), at)
        else:
            links = [link.get_absolute_href() for link in found.links if link.rel in {"child", "item"}]
            todo += [link for link in reversed(links) if link]


def _geoparquet(path: str, question: Question) -> Iterator[dict[str, Any]]:
    """Read stac-geoparquet, only the row groups that may hold the dates."""
    arrow = _library("stac_geoparquet.arrow")
    try:
        dataset = ds.dataset(path, format="parquet")
        when = pc.field("datetime")
        asked = (when >= pa.scalar(question.start)) & (when <= pa.scalar(question.end)) | when.is_null()
        for batch in dataset.to_batches(filter=asked):
            for item in arrow.stac_table_to_items(pa.Table.from_batches([batch])) if len(batch) else ():
                yield _absolute(item, str(Path(path).absolute()))
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{path} cannot be read as stac-geoparquet: {error}.") from error


def _absolute(item: Any, base: str) -> dict[str, Any]:
    """Return an Item whose assets' hrefs do not depend on where it was found."""
    absolute = _library("pystac.utils").make_absolute_href
    if not isinstance(item, dict):
        return {}
    assets = item.get("assets")
    named = assets.items() if isinstance(assets, dict) else ()
    usable = {name: a for name, a in named if isinstance(a, dict) and isinstance(a.get("href"), str)}
    return {**item, "assets": {name: {**a, "href": absolute(a["href"], base)} for name, a in usable.items()}}


def _errors() -> tuple[type[Exception], ...]:
    """Return what reading and understanding a document of others may raise."""
    return (
        _library("pystac").STACError,
        _library("urllib3").exceptions.HTTPError,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    )


def _library(name: str) -> Any:
    import importlib  # noqa: PLC0415

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{error.name} is not installed, which reads STAC catalogues. Run `pip install 'embedstore[stac]'`."
        ) from error
