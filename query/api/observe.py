"""What the keeper sees: one line of JSON for every request, and Prometheus metrics."""

from __future__ import annotations

import json
import logging
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from query.api import problems

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("embedstore.service")
ANSWERING = 0
"""Status while there is none yet."""
GONE = 499
"""Status in the log if whoever asked went away before there was an answer; nobody else sees it."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json() -> None:
    """Send the log of the service, and of the server under it, to stderr as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name, level in (("embedstore", logging.INFO), ("uvicorn", logging.WARNING), ("py.warnings", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    logging.captureWarnings(True)


class Metrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "embedstore_requests_total", "Requests answered.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "embedstore_request_seconds", "Time to answer.", ("route",), buckets=BUCKETS, registry=self.registry
        )
        self.in_flight = Gauge("embedstore_requests_in_flight", "Requests being answered.", registry=self.registry)
        self.chips = Gauge(
            "embedstore_collection_chips", "Chips of a collection.", ("collection",), registry=self.registry
        )
        self.version = Gauge(
            "embedstore_collection_version", "Version answered from.", ("collection",), registry=self.registry
        )
        self.jobs = Gauge("embedstore_jobs", "Jobs by status.", ("status",), registry=self.registry)

    def text(self) -> bytes:
        """Return all figures as Prometheus reads them."""
        return generate_latest(self.registry)


class Observer:
    """Middleware that counts requests and logs each.

    Parameters
    ----------
    app
        What is behind it.
    metrics
        Where to count.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request, status, began = uuid.uuid4().hex[:16], ANSWERING, time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        except Exception as error:  # noqa: BLE001 - the edge of the service: whatever went wrong stays inside
            scope["error"] = error
            if status == ANSWERING:
                status = 500
                await problems.respond(500, problems.detail_of(error))(scope, receive, noting)
        finally:
            self._metrics.in_flight.dec()
            self._note(scope, request, status or GONE, time.perf_counter() - began)

    def _note(self, scope: Scope, request: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # the template: every id of its own would be a metric
        self._metrics.requests.labels(scope["method"], route, status).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        fields = {
            "request": request,
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(seconds * 1000, 2),
            "client": (scope.get("client") or ("",))[0],
            "key": getattr(scope.get("key"), "name", None),
        }
        error = scope.get("error")
        if error is not None:
            fields["error"] = f"{type(error).__name__}: {error}"
        level = logging.ERROR if status >= 500 else logging.INFO
        LOG.log(level, "request", extra={"fields": fields}, exc_info=error if status == 500 else None)
