"""Tables of stores, compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from deltalake import DeltaTable

from embedstore import segment_rows

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


def rows_of(store: Path) -> pa.Table:
    """Return all rows of a store, sorted by id."""
    return DeltaTable(store).to_pyarrow_table().sort_by("id")


def same(one: pa.Table, other: pa.Table) -> None:
    """Check that two stores hold the same chips: every column, and vectors within rounding."""
    plain = [name for name in one.column_names if name != "embedding"]
    assert one.select(plain).equals(other.select(plain))
    dimension = len(one["embedding"][0])
    a, b = (segment_rows.matrix(t["embedding"], dimension).astype(np.float64) for t in (one, other))
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() >= 0.9999
