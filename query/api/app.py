"""The application: endpoints behind the gate, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from threadpoolctl import threadpool_limits

from embedstore.errors import EmbedstoreError
from embedstore.extras import faiss
from query.api import (
    change,
    classify,
    explain,
    health,
    heatmap,
    items,
    jobs,
    openapi,
    pages,
    problems,
    rasters,
    search,
    sql,
    tiles,
)
from query.api.access import Access
from query.api.collections import Collections
from query.api.gate import Gate
from query.api.observe import Metrics, Observer
from query.api.questions import Search
from query.api.service import Lane, Service
from query.api.settings import STATEMENTS, Settings
from query.api.worker import Jobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

LOG = logging.getLogger("embedstore.service")
PARTS = (pages, items, search, explain, heatmap, sql, classify, change, tiles, rasters, jobs, health)


def create_app(stores: Sequence[Path], settings: Settings | None = None) -> FastAPI:
    """Make the service of some stores.

    Parameters
    ----------
    stores
        Their folders.
    settings
        Keys and limits.

    Raises
    ------
    NotAStoreError
        If one is no store.
    InputError
        If two have one name, or the file of keys is none.
    StorageError
        If the keys cannot be read.
    """
    settings = settings or Settings()
    access = Access(settings.key_file)  # now, so that a file that is none is told before anybody asks
    collections = Collections(stores, settings)
    background = Jobs(settings, classify.work(collections), classify.is_served(collections))
    service = Service(settings, collections, Metrics(), background, Lane(settings.heavy_threads), Lane(STATEMENTS))
    app = FastAPI(
        title="embedstore",
        version=version("embedstore"),
        summary="Similarity search, SQL and few-shot labels over embeddings of Earth observation.",
        lifespan=_lifespan,
        docs_url=None,  # FastAPI's own page loads its parts from elsewhere; ours is in pages
        redoc_url=None,
    )
    app.state.service = service
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    problems.install(app)
    for part in PARTS:
        app.include_router(part.router)
    pages.mount(app)
    app.add_middleware(Gate, settings=settings, access=access)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["*"], allow_headers=["*"]
        )
    app.add_middleware(Observer, metrics=service.metrics)
    return app


def _document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, made when it is first asked for."""
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app, (Search,))
    return app.openapi_schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    anyio.to_thread.current_default_thread_limiter().total_tokens = service.settings.threads
    with _libraries():
        service.jobs.start()
        looking = asyncio.create_task(_look_for_news(service))
        try:
            yield
        finally:
            looking.cancel()
            await run_in_threadpool(service.jobs.stop)
            for one in service.collections:
                await run_in_threadpool(one.close)


def _libraries() -> threadpool_limits:
    """Load what first questions would wait for, and keep BLAS to the thread that asks while the service runs.

    Its own threads wait for one another in a loop, so where there are more of them than cores all become slow. Torch
    must be there before any question and any job: SciPy takes what another thread is importing for a whole torch, and
    fails.
    """
    import torch  # noqa: F401, PLC0415
    from sklearn import covariance, linear_model  # noqa: F401, PLC0415

    faiss()
    return threadpool_limits(1, user_api="blas")


async def _look_for_news(service: Service) -> None:
    """Move on whenever a store has a new version, and take up the jobs of servers that have ended."""
    while True:
        await asyncio.sleep(service.settings.refresh_seconds)
        try:
            await run_in_threadpool(service.jobs.look)
        except OSError as error:
            LOG.warning("cannot look for jobs", extra={"fields": {"error": str(error)}})
        for one in service.collections:
            try:
                await run_in_threadpool(one.refresh)
            except (EmbedstoreError, OSError) as error:
                LOG.warning("cannot move on", extra={"fields": {"collection": one.id, "error": str(error)}})
