"""The OpenAPI document: what each endpoint answers, the problems that may come, and how a key is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from query.api import answers
from query.api.negotiate import GEOJSON, JSON
from query.api.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

PROBLEMS = {
    400: "What was asked cannot be done as asked.",
    401: "A key is needed.",
    403: "This key may not do that.",
    404: "There is no such thing.",
    406: "The answer cannot be had in the form asked for.",
    409: "Not in the state that it is in.",
    413: "More than is allowed.",
    415: "A file of another format.",
    422: "The request is not what this document says.",
    429: "This key has asked for as much as it may.",
    503: "Not now.",
    504: "Not answered in time; the work was stopped.",
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def ok(*forms: tuple[str, type[BaseModel] | None], status: int = 200, says: str = "As asked.") -> dict[int | str, Any]:
    """Return the description of an answer: its media types, and the model of each that is JSON."""
    content = {media: {"schema": _schema(media, model)} for media, model in forms}
    return {status: {"description": says, "content": content}}


def _schema(media: str, model: type[BaseModel] | None) -> dict[str, Any]:
    if model is not None:
        return {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"type": "string"} if media.startswith("text/") else {"type": "string", "format": "binary"}


def feature(model: type[BaseModel]) -> dict[int | str, Any]:
    """Return the description of an answer that is GeoJSON."""
    return ok((GEOJSON, model))


def plain(model: type[BaseModel]) -> dict[int | str, Any]:
    """Return the description of an answer that is JSON."""
    return ok((JSON, model))


def document(app: FastAPI, bodies: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    """Return the OpenAPI document.

    Parameters
    ----------
    app
        Whose.
    bodies
        Models of requests that an endpoint reads by itself.
    """
    made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    shown = [one for one in vars(answers).values() if isinstance(one, type) and issubclass(one, answers.Shown)]
    models: list[tuple[Any, Any]] = [(model, "validation") for model in (*shown, *bodies)]
    _, more = models_json_schema(models, ref_template="#/components/schemas/{model}")
    components = made.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **more["$defs"]}
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)  # problems are told otherwise here
    components["securitySchemes"] = SECURITY
    made["security"] = [{}, *({name: []} for name in SECURITY)]
    problem = {MEDIA_TYPE: {"schema": _schema(MEDIA_TYPE, answers.ProblemDocument)}}
    for operations in made["paths"].values():
        for operation in operations.values():
            for status, says in PROBLEMS.items():
                operation["responses"][str(status)] = {"description": says, "content": problem}
    return made
