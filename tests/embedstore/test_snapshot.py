from __future__ import annotations

import uuid
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedstore import rowmap
from embedstore.geoparquet import read_part, write_part
from embedstore.snapshot import DegradedIndexWarning, Snapshot, id_bytes
from embedstore.store import Store
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path

SPOT = (10.0, 45.0, 10.001, 45.001)


def test_a_file_may_be_rewritten_any_number_of_times(tmp_path: Path) -> None:
    """A thousand deletes leave a chain of a thousand row maps; only the last file is in the table."""
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(5)), box=SPOT))
    (file,) = store.table.files()
    older = file.path
    for _ in range(1200):
        batch = uuid.uuid4().hex
        newer = f"h3_cell={file.cell}/part-{batch}-{'0' * 32}.parquet"
        rowmap.write(store.catalog.moves, batch, {newer: rowmap.Origin(np.full(5, older, object), np.arange(5))})
        older = newer
    batch = uuid.uuid4().hex
    part = write_part(store.path, file.cell, batch, read_part(store.path / file.path), store.encoder)
    rowmap.write(store.catalog.moves, batch, {part.path: rowmap.Origin(np.full(5, older, object), np.arange(5))})
    assert store.table.commit([part], [file], {})
    store.refresh()
    snapshot = store.snapshot()
    assert not snapshot.uncovered
    assert sum(len(at) for _, at, _ in snapshot.find(id_bytes([chip_id(i) for i in range(5)]))) == 5


def test_rows_are_fetched_from_row_groups_of_any_size(tmp_path: Path) -> None:
    """Other writers of the table cut their files as they like."""
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(100)), box=SPOT))
    (file,) = store.table.files()
    table = read_part(store.path / file.path)
    pq.write_table(table, store.path / "theirs.parquet", row_group_size=7)
    wanted = np.array([99, 0, 7, 6, 48, 48])
    ids = [table["id"][i].as_py() for i in wanted.tolist()]
    fetched = store.snapshot().fetch(["theirs.parquet"] * len(wanted), wanted, ["id"], ids)
    assert fetched["id"].to_pylist() == ids


def test_a_segment_not_to_be_used_is_replaced_by_the_table(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(10))))
    store.append(make.chips(list(range(10, 30))))
    bad = store.snapshot().pieces[0].segment.name
    snapshot = Snapshot(store.table, store.catalog, frozenset({bad}))
    assert sum(p.count for p in snapshot.pieces) + sum(f.rows for f in snapshot.uncovered) == 30
    with pytest.warns(DegradedIndexWarning, match="rows of"):
        snapshot.rescue()
    assert not snapshot.uncovered
    assert sum(p.count for p in snapshot.pieces) == 30
    assert sum(len(at) for _, at, _ in snapshot.find(id_bytes([chip_id(i) for i in range(31)]))) == 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snapshot.rescue()


def test_ids_that_are_none_are_not_found(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips([1]))
    assert store.held([chip_id(1), chip_id(2), "beef", "", "zz" * 16, chip_id(1).upper()]).tolist() == [
        True, False, False, False, False, True,
    ]  # fmt: skip
    assert store.held([]).tolist() == []
    assert Store.open(tmp_path / "s", version=0).held([chip_id(1)]).tolist() == [False]
