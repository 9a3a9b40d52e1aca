"""The HTTP service: collections, search, SQL, labels, tiles and jobs, as FastAPI serves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from query.api.settings import Settings

if TYPE_CHECKING:
    from query.api.app import create_app

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    """Import FastAPI when an application is made, not before."""
    if name == "create_app":
        from query.api.app import create_app  # noqa: PLC0415

        return create_app
    raise AttributeError(f"module 'query.api' has no attribute {name!r}")
