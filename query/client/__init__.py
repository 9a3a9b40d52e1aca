"""The service from Python: the calls of :class:`query.engine.Engine`, answered by a server."""

from __future__ import annotations

from query.client.client import Client
from query.client.jobs import Job

__all__ = ["Client", "Job"]
