"""A fault at every step of every operation: killed, torn, refused, cut short."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.faults.injected import Bench, Forks, forks
from tests.faults.operations import OPERATIONS

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["forks"]
SEED = int(os.environ.get("EMBEDSTORE_FAULT_SEED", "0"))
SOME, MANY = 5, 400
"""Trials of each operation in the short version, and in the long one."""


@pytest.mark.parametrize("some", [SOME, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_lost_at_any_step(forks: Forks, name: str, some: int, tmp_path: Path) -> None:
    bench = Bench(forks, name, tmp_path)
    all_ = list(bench.trials())
    trials = random.Random(SEED).sample(all_, min(some, len(all_)))
    ends = Counter(f"{fault.name}: {bench.try_out(fault)}" for fault in trials)
    told = ", ".join(f"{end} {count}" for end, count in sorted(ends.items()))
    print(f"{name}: {len(trials)} of {len(all_)} trials, seed {SEED}: {told}")  # noqa: T201 - shown with -s, for the record
    assert len(trials) >= SOME
