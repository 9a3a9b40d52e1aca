"""Settings are tuned fairly, and memory is what a process uses and not what it once read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers import memory
from benchmarks.race import Point, between, fastest

if TYPE_CHECKING:
    from pathlib import Path


def test_the_fastest_that_reaches_the_recall_counts_and_else_the_best() -> None:
    points = [Point({"ef": e}, r, r, t) for e, r, t in ((1, 0.5, 0.1), (2, 0.98, 0.4), (4, 0.97, 0.3), (8, 0.99, 0.9))]
    assert fastest(points, 0.97).knobs == {"ef": 4}
    assert fastest(points, 0.985).knobs == {"ef": 8}
    assert fastest(points, 0.999).knobs == {"ef": 8}


def test_settings_in_between_mix_all_numbers_around_the_best() -> None:
    tried = [{"probes": p, "depth": d} for p, d in ((1, 30), (4, 100), (16, 200), (64, 800))]
    new = between(tried, 2)
    assert {"probes": 8, "depth": 141} in new
    assert {"probes": 4, "depth": 800} in new
    assert not any(setting in tried for setting in new)
    assert len(new) == 7 * 7 - 4


def test_words_and_flags_stay_as_they_are() -> None:
    assert between([{}], 0) == []
    assert between([{"recall": 0.9}, {"recall": 0.99}, {"recall": "exact"}], 2) == []
    assert between([{"recall": 0.9}, {"recall": 0.99}, {"recall": "exact"}], 1) == [{"recall": 0.9439}]
    tried = [{"ef": 10, "graph": False}, {"ef": 40, "graph": False}]
    assert between(tried, 0) == [{"ef": 20, "graph": False}]
    assert between([{"ef": 64, "exact": False}, {"ef": 0, "exact": True}], 1) == [{"ef": 64, "exact": True}]


def test_forgotten_pages_are_not_resident_and_come_back(tmp_path: Path) -> None:
    size = 64 << 20
    np.full(size, 7, np.uint8).tofile(tmp_path / "file")
    mapped = np.memmap(tmp_path / "file", np.uint8, "r")
    assert mapped.sum() == 7 * size
    before = memory.resident([os.getpid()])["file_gb"]
    memory.forget()
    assert memory.resident([os.getpid()])["file_gb"] < before - 0.06
    assert mapped.sum() == 7 * size
