"""What the endpoints share: collections, settings, metrics, jobs; and how an endpoint gets at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from query.api.collections import Collection, Collections
from query.api.features import Links
from query.api.keys import Key
from query.api.observe import Metrics
from query.api.problems import Problem
from query.api.settings import Settings
from query.api.worker import Jobs

P = ParamSpec("P")
T = TypeVar("T")


class Lane:
    """A few threads for one kind of work, so that it never takes those of quicker kinds.

    Parameters
    ----------
    threads
        How many.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._limiter: CapacityLimiter | None = None

    async def run(self, of: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function returns, run in a thread of the lane once there is one."""
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._threads)
        return await to_thread.run_sync(partial(of, *args, **kwargs), limiter=self._limiter)


@dataclass(frozen=True, eq=False)
class Service:
    """What lives as long as the application.

    Parameters
    ----------
    settings
        The limits.
    collections
        The stores.
    metrics
        What is counted.
    jobs
        What is done in the background.
    heavy
        Threads for questions that look at every chip.
    statements
        Threads for SQL.
    """

    settings: Settings
    collections: Collections
    metrics: Metrics
    jobs: Jobs
    heavy: Lane
    statements: Lane


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def _settings(service: Annotated[Service, Depends(_service)]) -> Settings:
    return service.settings


async def _collection(c: str, service: Annotated[Service, Depends(_service)]) -> Collection:
    return service.collections[c]


async def _links(c: str, request: Request) -> Links:
    return Links(request.scope.get("root_path", ""), c)


async def _accept(request: Request) -> str | None:
    return request.headers.get("accept")


async def _asker(request: Request) -> Key:
    found: Key = request.scope["key"]
    return found


async def _writer(request: Request) -> Key:
    found: Key = request.scope["key"]
    if not found.may("write"):
        raise Problem(403, "this key is for reading; ask with one of the role write, which may start and delete jobs.")
    return found


async def _admin(request: Request) -> None:
    if not request.scope["key"].may("admin"):
        raise Problem(403, "this is for those who keep the service; ask with a key of the role admin.")


Served = Annotated[Service, Depends(_service)]
Limits = Annotated[Settings, Depends(_settings)]
Of = Annotated[Collection, Depends(_collection)]
To = Annotated[Links, Depends(_links)]
Accept = Annotated[str | None, Depends(_accept)]
Asker = Annotated[Key, Depends(_asker)]
Writer = Annotated[Key, Depends(_writer)]
Admin = Annotated[None, Depends(_admin)]
