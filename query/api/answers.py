"""What the service answers in JSON, with examples, as the OpenAPI document shows it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from query.api.negotiate import JSON

ID = "7dc6a84be2659765b05b2eae00ffd6c5"
SCENE = "sha256:cfc42d373e1186d71c3df517291cde7b41351e30107844878e8b025a267cd63f"
THUMBNAIL = f"/collections/italy/items/{ID}/thumbnail"
CHIP = {
    "id": ID,
    "lon": 13.36807,
    "lat": 45.7676,
    "h3": "891ea522d8bffff",
    "datetime": "2019-04-16T00:00:00Z",
    "datetime_end": "2019-04-16T00:00:00Z",
    "modalities": 1,
    "valid_fraction": 1.0,
    "item": SCENE,
    "thumbnail": THUMBNAIL,
}
BOX = [13.3652, 45.7656, 13.3709, 45.7696]
RING = [[[13.3652, 45.7656], [13.3709, 45.7656], [13.3709, 45.7696], [13.3652, 45.7696], [13.3652, 45.7656]]]
REPORT = {"plan": "exact", "exact": True, "candidates": 3099, "scanned": 3099, "lists_probed": 0, "warnings": []}
LINK = {"rel": "self", "type": JSON, "href": "http://127.0.0.1:8000/collections/italy"}


class Shown(BaseModel):
    """An answer; newer versions may say more."""

    model_config = ConfigDict(extra="allow")


def example(**values: Any) -> ConfigDict:
    """Return the configuration of a model with an example."""
    return ConfigDict(extra="allow", json_schema_extra={"examples": [values]})


class Link(Shown):
    """Where to go on."""

    rel: str
    type: str
    href: str


class Collection(Shown):
    """A store."""

    model_config = example(
        id="italy",
        title="italy",
        chips=3099,
        extent={
            "spatial": {"bbox": [[13.295, 45.7065, 13.513, 45.7945]]},
            "temporal": {"interval": [["2019-04-16T00:00:00Z", "2019-04-16T00:00:00Z"]]},
        },
        encoder={
            "name": "rcf",
            "dimension": 256,
            "fingerprint": "1ae2…",
            "modalities": [{"name": "optical", "bands": ["B02", "B03", "B04", "B08"]}],
        },
        chip_metres=320.0,
        version=1,
        links=[LINK],
    )
    id: str
    title: str
    chips: int
    extent: dict[str, Any]
    encoder: dict[str, Any]
    chip_metres: float
    version: int
    links: list[Link]


class Collections(Shown):
    """All stores that are served."""

    collections: list[Collection]
    links: list[Link]


class Item(Shown):
    """A chip as a GeoJSON feature."""

    model_config = example(
        type="Feature", id=ID, bbox=BOX, geometry={"type": "Polygon", "coordinates": RING}, properties=CHIP
    )
    type: str
    id: str
    bbox: list[float]
    geometry: dict[str, Any]
    properties: dict[str, Any]


class Items(Shown):
    """A page of chips."""

    type: str
    features: list[Item]
    numberMatched: int  # noqa: N815 - as the standard writes it
    numberReturned: int  # noqa: N815
    links: list[Link]


class Hits(Shown):
    """Hits, best first, and how they were found."""

    model_config = example(hits=[{"rank": 1, "score": 0.9934, **CHIP}], report=REPORT)
    hits: list[dict[str, Any]]
    report: dict[str, Any]


class HitFeatures(Shown):
    """Hits as GeoJSON; rank and score are among the properties."""

    type: str
    features: list[Item]
    report: dict[str, Any]


class Explanations(Shown):
    """How like the examples the pixels of chips are.

    A grid says it row by row: 0 for no data, 1 for a cosine similarity of 0 or less, up to 255 for 1. Its corners on
    the ground come from the upper left clockwise; `matching` is the share of pixels with a similarity of 0.5 or more.
    A chip that cannot be explained has a reason instead.
    """

    model_config = example(
        explained=[
            {
                "id": ID,
                "matching": 0.5,
                "rows": 2,
                "cols": 2,
                "corners": [[13.3652, 45.7696], [13.3709, 45.7696], [13.3709, 45.7656], [13.3652, 45.7656]],
                "grid": [[12, 240], [9, 251]],
            },
            {"id": ID, "reason": "its scene aquileia.tif has changed since it was encoded"},
        ]
    )
    explained: list[dict[str, Any]]


class MatchFeatures(Shown):
    """What of each chip matches as GeoJSON; a geometry is null where nothing does, or where there is a reason."""

    model_config = example(
        type="FeatureCollection",
        features=[
            {
                "type": "Feature",
                "id": ID,
                "geometry": {"type": "Polygon", "coordinates": RING},
                "properties": {"id": ID, "matching": 1.0},
            }
        ],
    )
    type: str
    features: list[dict[str, Any]]


class Table(Shown):
    """Rows of a statement."""

    model_config = example(columns=[{"name": "chips", "type": "int64"}], rows=[[3099]], truncated=False)
    columns: list[dict[str, str]]
    rows: list[list[Any]]
    truncated: bool


class TableFeatures(Shown):
    """Rows of a statement as GeoJSON."""

    type: str
    features: list[dict[str, Any]]


class HeatCells(Shown):
    """A heat map."""

    model_config = example(resolution=8, cells=[{"h3": "881ea5200bfffff", "chips": 3, "mean": 0.957, "best": 0.999}])
    resolution: int
    cells: list[dict[str, Any]]


class Classified(Shown):
    """Classes of chips; a chip's class is null where the confidence was too low."""

    model_config = example(
        classes=["field", "town"],
        chips=[
            {
                "id": ID,
                "lon": 13.36807,
                "lat": 45.7676,
                "class": "town",
                "confidence": 0.81,
                "distance": 0.12,
                "neighbours": [ID],
            }
        ],
    )
    classes: list[str]
    chips: list[dict[str, Any]]
    notes: list[str] = []
    evaluation: dict[str, Any] | None = None


class JobStarted(Shown):
    """A job that was started instead of an answer."""

    model_config = example(job="3d325539d46a4687b6f1df531814dd14", href="/jobs/3d325539d46a4687b6f1df531814dd14")
    job: str
    href: str


class Suggestions(Shown):
    """What to label next."""

    model_config = example(
        suggestions=[
            {
                "id": ID,
                "lon": 13.36807,
                "lat": 45.7676,
                "why": "uncertain",
                "confidence": 0.52,
                "uncertainty": 0.97,
                "thumbnail": THUMBNAIL,
            }
        ]
    )
    suggestions: list[dict[str, Any]]


class Pairs(Shown):
    """Places at two times, the most changed first."""

    model_config = example(
        pairs=[
            {
                "id_a": ID,
                "id_b": "1bf582a6620f3256e6b02dc94d077f6c",
                "lon": 13.36807,
                "lat": 45.7676,
                "distance": 0.41,
                "datetime_a": "2019-04-16T00:00:00Z",
                "datetime_b": "2022-06-04T00:00:00Z",
            }
        ]
    )
    pairs: list[dict[str, Any]]


class Rasters(Shown):
    """Scenes."""

    model_config = example(
        rasters=[{"item": SCENE, "datetime": "2019-04-16T00:00:00Z", "bbox": BOX, "minzoom": 11, "maxzoom": 13}]
    )
    rasters: list[dict[str, Any]]


class Job(Shown):
    """How a job stands."""

    model_config = example(
        id="3d325539d46a4687b6f1df531814dd14",
        status="done",
        progress=1.0,
        message="done",
        result="/jobs/3d325539d46a4687b6f1df531814dd14/result",
    )
    id: str
    status: str
    progress: float
    message: str
    result: str | None = None


class Status(Shown):
    """That the service is well."""

    model_config = example(status="ok")
    status: str


class Conformance(Shown):
    """Standards."""

    conformsTo: list[str]  # noqa: N815 - as the standard writes it


class ProblemDocument(Shown):
    """What was wrong, where, and what to do (RFC 9457)."""

    model_config = example(
        type="about:blank", title="Bad Request", status=400, detail="k = 0 makes no sense; ask for at least one hit."
    )
    type: str
    title: str
    status: int
    detail: str
