"""The service in the test's own process, over the store of the real scene."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient

from query import Engine
from query.api import Settings, create_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

KEY, READER = "k" * 32, "r" * 32
C = "/collections/store"
LOCAL = "http://127.0.0.1"

Serve = "Callable[..., AbstractContextManager[TestClient]]"


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[TestClient]]:
    """Return a context manager that serves stores with settings."""

    @contextmanager
    def started(*stores: Path, **settings: Any) -> Iterator[TestClient]:
        settings.setdefault("jobs_folder", tmp_path_factory.mktemp("jobs"))
        with TestClient(create_app(stores, Settings(**settings)), LOCAL) as client:
            yield client

    return started


@pytest.fixture(scope="session")
def client(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> Iterator[TestClient]:
    """The service, for tests that change nothing."""
    with serve(store) as started:
        yield started


@pytest.fixture(scope="session")
def engine(store: Path) -> Engine:
    return Engine(store)


@pytest.fixture(scope="session")
def ids(client: TestClient) -> list[str]:
    """All ids, in the order of the ground."""
    return [feature["id"] for feature in client.get(f"{C}/items", params={"limit": 1000}).json()["features"]]
