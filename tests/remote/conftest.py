from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.loopback import BUCKET, Loopback, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def running() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def s3(running: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    """The server, the environment that leads to it, and an empty cache."""
    for name in ("HTTP_PROXY", "http_proxy", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EMBEDSTORE_CACHE_DIR", str(tmp_path / "cache"))
    running.reset()
    return running


@pytest.fixture
def uri(s3: Loopback, request: pytest.FixtureRequest) -> str:
    """A place for a store, empty."""
    assert s3
    return f"s3://{BUCKET}/{request.node.name}"
