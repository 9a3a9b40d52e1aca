"""One Ray for all tests that need it: it takes seconds to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from indexer import engines
from indexer.engines import ray as engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.engines.base import Executor

MEMORY = 100 << 20
"""Bytes of Ray's object store."""


@pytest.fixture(scope="session")
def on_ray() -> Iterator[Executor]:
    """Return the engine on a Ray of two cores on this machine."""
    engine.connect(num_cpus=2, num_gpus=0, object_store_memory=MEMORY, include_dashboard=False)
    with engines.choose("ray") as started:
        yield started
    engine.quiet_ray().shutdown()
