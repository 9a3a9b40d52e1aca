"""Errors as RFC 9457 problem documents: one table from error class to status.

What only the keeper may see, such as where files lie, stays in the log.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from embedstore import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[Exception], int] = {
    errors.UnknownIdError: 404,
    errors.InputError: 400,
    errors.AbsentModelError: 400,
    errors.LimitError: 413,
    errors.StoreError: 503,
    errors.EmbedstoreError: 500,
    RecursionError: 400,
}
"""The first class that an error is of decides."""

_PATH = re.compile(r"(?<![\w.:/<])/(?:[^\s/'\"(),;:]+/)*([^\s/'\"(),;:]+)")
"""An absolute path, and its last part."""


class Problem(HTTPException):
    """What the service itself refuses: status, and a detail that says what was wrong and what to do."""


def respond(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    """Return a problem document."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Response(json.dumps(body), status, dict(headers or {}), MEDIA_TYPE)


def status_of(error: Exception) -> int:
    """Return the status that an error raised on purpose has; 500 for any other."""
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)


def public(message: str) -> str:
    """Return a message without the folders of the machine."""
    return _PATH.sub(r"\1", " ".join(message.split()))


def detail_of(error: Exception) -> str:
    """Return what a client may know of an error."""
    if isinstance(error, RecursionError):
        return "the request is nested too deeply; send plainer JSON."
    if isinstance(error, (errors.InputError, errors.LimitError, errors.AbsentModelError)):
        return public(str(error))
    if isinstance(error, errors.StoreError):
        return "the store cannot serve this at the moment; whoever keeps the service finds the reason in its log."
    return "something went wrong inside the service; whoever keeps it finds the reason in its log."


def install(app: FastAPI) -> None:
    """Let every error of an application become a problem document."""

    def ours(request: Request, error: Exception) -> Response:
        request.scope["error"] = error  # for the log
        return respond(status_of(error), detail_of(error))

    def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(error.status_code, str(error.detail), error.headers)

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # OGC 17-069r4, /req/core/query-param-invalid
        return invalid_input(error.errors(), 400 if request.url.path.endswith("/items") else 422)

    app.add_exception_handler(errors.EmbedstoreError, ours)
    app.add_exception_handler(RecursionError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def invalid_input(found: Any, status: int = 422) -> Response:
    """Return the problem of a request that is not what the documentation says: where, and why."""
    faults = [{"at": ".".join(str(part) for part in one["loc"]), "message": one["msg"]} for one in found[:10]]
    first = faults[0] if faults else {"at": "body", "message": "cannot be read"}
    return respond(status, f"{first['at']}: {first['message']}. See /docs for what is expected.", errors=faults)
