"""What the endpoints share: collections, settings, metrics, jobs; and how an endpoint gets at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from query.api.collections import Collection, Collections
from query.api.features import Links
from query.api.observe import Metrics
from query.api.problems import Problem
from query.api.settings import Settings
from query.api.worker import Jobs


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
    """

    settings: Settings
    collections: Collections
    metrics: Metrics
    jobs: Jobs


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


async def _role(request: Request) -> str:
    return str(request.scope.get("role"))


async def _writer(request: Request) -> None:
    if request.scope.get("role") != "full":
        raise Problem(403, "this key is for reading; ask with one that may start and delete jobs.")


Served = Annotated[Service, Depends(_service)]
Limits = Annotated[Settings, Depends(_settings)]
Of = Annotated[Collection, Depends(_collection)]
To = Annotated[Links, Depends(_links)]
Accept = Annotated[str | None, Depends(_accept)]
Role = Annotated[str, Depends(_role)]
Writer = Annotated[None, Depends(_writer)]
