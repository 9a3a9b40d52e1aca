"""The gate that every request goes through: who asks, is there room, and is the body no larger than allowed."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from query.api.access import Access
from query.api.asked import HEAT_TILE, asked
from query.api.budget import Budgets
from query.api.line import Crowd, Line
from query.api.patience import Patience
from query.api.problems import Problem, respond
from query.api.settings import STATEMENTS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from query.api.settings import Settings

OPEN = frozenset({"/", "/healthz", "/readyz", "/conformance", "/openapi.json", "/docs"})
"""Paths that need no key: the map's page and its files, the documentation, and what a load balancer asks."""
OPEN_FOLDER = "/assets/"
RETRY_SECONDS = "1"
WATCH = frozenset({"/healthz", "/readyz", "/metrics"})
"""Paths with a line of their own: a service that is busy is well, and whoever keeps it must see that."""
HEAVY = frozenset({HEAT_TILE, "heatmap", "classify", "suggest", "change", "explain"})


class Gate:
    """Middleware that lets requests in.

    Parameters
    ----------
    app
        What is behind it.
    settings
        The limits.
    access
        The keys.
    """

    def __init__(self, app: ASGIApp, settings: Settings, access: Access) -> None:
        self._app, self._settings = app, settings
        self._access, self._budgets = access, Budgets()
        threads = {
            "quick": settings.threads,
            "heavy": settings.heavy_threads,
            "sql": STATEMENTS,
            "watch": settings.threads,
        }
        self._in_flight = 0
        crowd, aside = Crowd(), Crowd()
        self._lines = {k: Line(k, count, aside if k == "watch" else crowd) for k, count in threads.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._access.misdirected(headers):
            detail = (
                "without keys only this machine is answered; ask it as 127.0.0.1 or localhost, or serve with --keys."
            )
            await respond(421, detail)(scope, receive, send)
            return
        scope["key"] = key = self._access.key_of(headers)
        path = scope["path"]
        if key is None and not (path in OPEN or path.startswith(OPEN_FOLDER)):
            detail = "a key is needed; send it as `Authorization: Bearer KEY` or `X-API-Key: KEY`."
            await respond(401, detail, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        wait = self._budgets.wait(key, path, time.monotonic()) if key else 0
        if wait:
            detail = f"this key has asked for as much as it may; come again in {wait} s."
            await respond(429, detail, {"Retry-After": str(wait)})(scope, receive, send)
            return
        kind = _kind(path)
        line, counted = self._lines[kind], kind != "watch"
        if (counted and self._in_flight >= self._settings.max_in_flight) or not line.admits():
            detail = "too many requests are being worked on; come again in a second."
            await respond(503, detail, {"Retry-After": RETRY_SECONDS})(scope, receive, send)
            return
        # nothing else takes a file, and what else is sent is read into memory whole
        upload = asked(path) == "search" and headers.get("content-type", "").startswith("multipart/form-data")
        most = self._settings.max_upload_bytes if upload else self._settings.max_body_bytes
        if _declared(headers) > most:
            await respond(413, _too_large(most))(scope, receive, send)
            return
        place = line.enter()
        self._in_flight += counted
        try:
            patience = Patience(receive, send, self._settings.request_seconds, place)
            await patience.answer(self._app, scope, partial(_counted, most=most))
        finally:
            place.leave()
            self._in_flight -= counted


def _kind(path: str) -> str:
    if path in WATCH:
        return "watch"
    what = asked(path)
    return "heavy" if what in HEAVY else "sql" if what == "sql" else "quick"


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() else 0


def _counted(receive: Receive, most: int) -> Receive:
    """Return a way to receive a body that ends where it is larger than it may be."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise Problem(413, _too_large(most))
        return message

    return counted


def _too_large(most: int) -> str:
    return f"the request's body is larger than the {most} bytes allowed; send less."
