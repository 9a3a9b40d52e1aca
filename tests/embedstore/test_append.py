"""An append that is refused, or that loses a race, leaves nothing behind."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from embedstore import append, housekeeping
from embedstore.errors import ConflictError, DamageError, EmbedstoreError, SpecError, StorageError
from embedstore.store import Store
from embedstore.table import Table
from tests.embedstore import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refuse_after(calls: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function work some times, and then have the disk full."""
    left = [calls]

    def function(*args: Any, **kwargs: Any) -> Any:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return real(*args, **kwargs)

    return function


def refuse(kind: str, patch: pytest.MonkeyPatch) -> None:
    """Have the disk refuse at one point of an append."""
    if kind == "data files":
        patch.setattr(append, "write_part", refuse_after(2, append.write_part))
    elif kind == "rows":
        patch.setattr("pyarrow.ipc.new_file", refuse_after(0, pa.ipc.new_file))
    else:
        patch.setattr("embedstore.segment_draft.sync_folder", refuse_after(0, append.write_part))


@pytest.mark.parametrize("kind", ["data files", "rows", "the segment's name"])
def test_a_refused_append_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    store = make.store(tmp_path / "s")
    store.append(make.chips(list(range(20))))
    before = make.files(store)
    with monkeypatch.context() as patch:
        refuse(kind, patch)
        with pytest.raises(StorageError, match="No space left"):
            store.append(make.chips(list(range(20, 60))))
    assert make.files(store) == before
    assert store.append(make.chips(list(range(20, 60)))) == 40
    assert store.verify() == []


def test_a_lost_race_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make.store(tmp_path / "s")
    before = make.files(store)
    with monkeypatch.context() as patch:
        patch.setattr(append, "ATTEMPTS", 2)
        patch.setattr(Table, "commit", lambda *_args, **_kwargs: False)
        with pytest.raises(ConflictError, match="other writers"):
            store.append(make.chips(list(range(20))))
    assert make.files(store) == before
    assert store.rows == 0


@pytest.mark.parametrize("error", [StorageError("full"), DamageError("damaged")])
def test_rows_are_committed_though_segments_cannot_be_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: EmbedstoreError
) -> None:
    store = make.store(tmp_path / "s")
    monkeypatch.setattr(housekeeping, "MOST_SEGMENTS", 3)

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("embedstore.segment_rows.merge", fail)
        for i in range(5):
            assert store.append(make.chips([i])) == 1
    assert len(store.snapshot().pieces) == 5
    assert not list(store.catalog.segments.glob(".*")), "the draft is gone"
    store.append(make.chips([5]))
    assert len(store.snapshot().pieces) == 4, "the next append merges three of six"
    assert store.held([make.chip_id(i) for i in range(7)]).tolist() == [True] * 6 + [False]


with np.errstate(invalid="ignore"):
    HALF_NOWHERE = shapely.to_wkb(shapely.Polygon([(0, 0), (1, np.nan), (1, 0)]))


def with_column(chips: pa.Table, name: str, values: list[Any]) -> pa.Table:
    field = chips.schema.field(name)
    return chips.set_column(chips.schema.get_field_index(name), field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("geometry", HALF_NOWHERE, "degrees"),
        ("geometry", shapely.to_wkb(shapely.box(181, 0, 182, 1)), "degrees"),
        ("geometry", shapely.to_wkb(shapely.box(500_000, 5_000_000, 500_320, 5_000_320)), "degrees"),
        ("geometry", shapely.to_wkb(shapely.Point(1, 1)), "no polygon"),
        ("geometry", shapely.to_wkb(shapely.Polygon()), "no polygon"),
        ("geometry", b"nonsense", "no polygon"),
        ("geometry", None, "null values"),
        ("id", "A" * 32, "lower-case"),
        ("modalities", None, "null values"),
    ],
)
def test_chips_that_make_no_sense_are_refused(tmp_path: Path, column: str, value: Any, says: str) -> None:
    chips = make.chips([1, 2])
    values = [chips[column][0].as_py(), value]
    chips = with_column(chips.cast(pa.schema([f.with_nullable(True) for f in chips.schema])), column, values)
    store = make.store(tmp_path / "s")
    before = make.files(store)
    with pytest.raises(SpecError, match=says):
        store.append(chips)
    assert make.files(store) == before


def test_what_an_append_may_leave_out(tmp_path: Path) -> None:
    store = make.store(tmp_path / "s")
    chips = make.chips([1, 2, 3]).drop_columns(["thumbnail"])
    assert store.append(with_column(chips, "datetime", [None] * 3)) == 3
    assert Store.open(tmp_path / "s").verify() == []
