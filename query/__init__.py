"""Questions to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from query.engine import Engine
    from query.hits import Hits, Report

__all__ = ["Engine", "Hits", "Report"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for, so that the command line's help is instant."""
    if name == "Engine":
        from query.engine import Engine  # noqa: PLC0415

        return Engine
    if name in {"Hits", "Report"}:
        import query.hits  # noqa: PLC0415

        return getattr(query.hits, name)
    raise AttributeError(f"module 'query' has no attribute {name!r}")
