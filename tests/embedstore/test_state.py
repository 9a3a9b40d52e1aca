"""A store through any history of changes, against a dictionary."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from embedstore import housekeeping, segment_rows
from embedstore.store import Store
from query import Engine
from tests.embedstore import make
from tests.embedstore.make import chip_id

NAMES = 24
CHIPS = make.chips(list(range(NAMES)), box=(10.0, 45.0, 11.0, 46.0))
PLACE = segment_rows.columns_of(CHIPS.append_column("h3", [[0] * NAMES]))
VECTORS = segment_rows.matrix(CHIPS["embedding"], make.DIMENSION)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
ITEMS = ("one", "other")
names = st.lists(st.integers(0, NAMES - 1), max_size=8)
which = st.integers(0, 1)


class History(RuleBasedStateMachine):
    """Two handles on one store take turns; `held` says which item each chip came from."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(housekeeping, "MOST_SEGMENTS", 3)
        self.folder = Path(mkdtemp())
        self.held: dict[int, str] = {}

    @initialize()
    def create(self) -> None:
        self.handles = [make.store(self.folder / "s"), Store.open(self.folder / "s")]
        self.versions = {0: frozenset[int]()}

    def teardown(self) -> None:
        self.patch.undo()
        shutil.rmtree(self.folder)

    def newest(self, handle: int) -> Store:
        self.handles[handle].refresh()
        return self.handles[handle]

    def forget(self, gone: list[int]) -> None:
        """Rows that a handle has not seen deleted, it still holds; so both look again."""
        for name in gone:
            del self.held[name]
        for store in self.handles:
            store.refresh()

    @rule(names=names, item=st.sampled_from(ITEMS), handle=which)
    def append(self, names: list[int], item: str, handle: int) -> None:
        fresh = set(names) - self.held.keys()
        chips = make.chips(list(names), item=item, box=(10.0, 45.0, 11.0, 46.0))
        assert self.handles[handle].append(chips) == len(fresh)
        self.held |= dict.fromkeys(fresh, item)

    @rule(data=st.data(), handle=which)
    def delete_ids(self, data: Any, handle: int) -> None:
        gone = data.draw(st.lists(st.sampled_from(sorted(self.held)), max_size=5)) if self.held else []
        assert self.newest(handle).delete(ids=[chip_id(i) for i in gone]) == len(set(gone))
        self.forget(list(set(gone)))

    @rule(west=st.floats(10, 11), south=st.floats(45, 46), side=st.floats(0.05, 0.5), handle=which)
    def delete_within(self, west: float, south: float, side: float, handle: int) -> None:
        lon, lat = PLACE["lon"], PLACE["lat"]
        inside = (lon >= west) & (lon <= west + side) & (lat >= south) & (lat <= south + side)
        gone = [i for i in self.held if inside[i]]
        assert self.newest(handle).delete(within=[west, south, west + side, south + side]) == len(gone)
        self.forget(gone)

    @rule(item=st.sampled_from(ITEMS), handle=which)
    def delete_item(self, item: str, handle: int) -> None:
        gone = [i for i, of in self.held.items() if of == item]
        assert self.newest(handle).delete(item=item) == len(gone)
        self.forget(gone)

    @rule(handle=which)
    def compact(self, handle: int) -> None:
        store = self.newest(handle)
        store.compact()
        cells = [f.cell for f in store.table.files()]
        assert len(set(cells)) == len(cells)

    @rule(handle=which)
    def vacuum(self, handle: int) -> None:
        self.newest(handle).vacuum(grace_hours=0)
        self.versions = {}
        self.forget([])

    @rule(handle=which)
    def reopen(self, handle: int) -> None:
        self.handles[handle] = Store.open(self.folder / "s")

    @rule(data=st.data())
    def look_back(self, data: Any) -> None:
        version = data.draw(st.sampled_from(sorted(self.versions)))
        there = self.versions[version]
        store = Store.open(self.folder / "s", version=version)
        assert store.rows == len(there)
        assert store.held([chip_id(i) for i in range(NAMES)]).tolist() == [i in there for i in range(NAMES)]

    @rule(query=st.integers(0, NAMES - 1), k=st.integers(1, NAMES))
    def search(self, query: int, k: int) -> None:
        hits = Engine(self.folder / "s").search(VECTORS[query], k=k, recall="exact")
        scores = {chip_id(i): float(VECTORS[query] @ VECTORS[i]) for i in self.held}
        assert len(hits) == min(k, len(scores))
        assert np.allclose(hits.scores, sorted(scores.values(), reverse=True)[:k], atol=2e-3)
        assert np.allclose(hits.scores, [scores[i] for i in hits.ids], atol=2e-3)
        assert hits.to_arrow(geometry=True)["id"].to_pylist() == hits.ids

    @invariant()
    def holds_what_it_should(self) -> None:
        store = Store.open(self.folder / "s")
        self.versions[store.version] = frozenset(self.held)
        assert store.rows == len(self.held)
        assert store.held([chip_id(i) for i in range(NAMES)]).tolist() == [i in self.held for i in range(NAMES)]
        assert not store.snapshot().uncovered, "row maps and segments account for every row"
        assert store.verify() == []


def test_any_history_short() -> None:
    run_state_machine_as_test(
        History, settings=settings(max_examples=12, stateful_step_count=15, deadline=None, derandomize=True)
    )


@pytest.mark.slow
def test_any_history_long() -> None:
    run_state_machine_as_test(History, settings=settings(max_examples=300, stateful_step_count=40, deadline=None))
