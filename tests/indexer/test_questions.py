"""The questions that an index is calibrated with: where filtered ones look."""

from __future__ import annotations

import numpy as np
import pytest

from indexer.questions import Query, _elsewhere

VECTOR = np.zeros((1, 2), np.float32)


def query(first: int, last: int) -> Query:
    return Query(VECTOR, VECTOR, 0, first, last)


@pytest.mark.parametrize(("first", "last"), [(0, 3), (40, 47), (97, 100), (-5, 2), (30, 31)])
@pytest.mark.parametrize("length", [1, 20, 50])
def test_a_stretch_lies_in_one_piece_beside_the_query_s_place(first: int, last: int, length: int) -> None:
    live = np.delete(np.arange(100), [10, 11, 45])
    seen = set()
    for seed in range(200):
        rows = _elsewhere(live, query(first, last), length, np.random.default_rng(seed))
        at = np.searchsorted(live, rows)
        assert live[at].tolist() == rows.tolist()
        assert (np.diff(at) == 1).all()
        assert not ((rows >= first) & (rows < last)).any()
        beside = max(int((live < first).sum()), int((live >= last).sum()))
        assert len(rows) == min(length, beside)
        seen.add(int(rows[0]))
    if length < beside:
        assert len(seen) > 1


def test_stretches_are_rather_far_than_near() -> None:
    live = np.arange(1000)
    starts = [_elsewhere(live, query(0, 10), 100, np.random.default_rng(seed))[0] for seed in range(300)]
    assert min(starts) >= 10
    assert np.mean(starts) > 600, "of places drawn evenly, 455"
    both = [_elsewhere(live, query(700, 710), 100, np.random.default_rng(seed))[0] for seed in range(300)]
    assert np.mean([s < 300 for s in both]) > 0.7
    assert any(s > 710 for s in both)
