"""SQL over the embeddings: DuckDB with the spatial extension, H3 and nearest neighbours.

    session ── trusted ──▶ database: one DuckDB connection on one snapshot
            └─ untrusted ─▶ workers ─▶ worker: the same database, locked, in a process that can be killed

The view ``embeddings`` has the columns of the table; what else a statement may call stands in ``functions`` and ``h3``.
"""

from __future__ import annotations

from query.sql.limits import Limits
from query.sql.session import Session

__all__ = ["Limits", "Session"]
