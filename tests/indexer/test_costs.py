from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from indexer.costs import _fit

UNITS = st.lists(st.sampled_from([0.0, 1.0, 50.0, 4e3]), min_size=3, max_size=3)
WORK = np.array([[1, a, b] for a in (10, 200, 3_000) for b in (1, 30, 700)], float)


@given(UNITS)
def test_what_a_unit_of_work_takes_is_found_from_sums(units: list[float]) -> None:
    took = WORK @ np.array(units) + 1e-9
    assert np.allclose(_fit(WORK, took), units, rtol=1e-4, atol=1e-4)


@given(st.integers(0, 1_000))
def test_no_unit_of_work_takes_less_than_nothing(seed: int) -> None:
    costs = _fit(WORK, np.random.default_rng(seed).uniform(0.1, 1_000, len(WORK)))
    assert (costs >= 0).all()
    assert costs.any()
