from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from embedstore.catalog import Calibration, Costs, Effort, FilteredEffort
from query import plan
from query.example import combine, distance, spread
from query.plan import Goal, Work

EFFORTS = (Effort(1, 10, 0.5), Effort(4, 20, 0.9), Effort(16, 40, 0.96))
FEW = (FilteredEffort(1000, 0.6, 50, 0.95),)
FILTERED = (FilteredEffort(5000, 0.1, 50, 0.6), FilteredEffort(5000, 0.4, 100, 0.95))
COSTS = Costs(10.0, 30.0, 100.0, 20_000.0, 1.0, 2_000.0, 5.0, 100.0)
CALIBRATION = Calibration(EFFORTS, FEW + FILTERED, COSTS)


@pytest.mark.parametrize(
    ("recall", "plain", "filtered"),
    [
        (0.5, EFFORTS[0], FILTERED[0]),
        (0.9, EFFORTS[1], FILTERED[1]),
        (0.95, EFFORTS[2], FILTERED[1]),
        (0.96, EFFORTS[2], None),
        (0.97, None, None),
        (1, None, None),
        ("exact", None, None),
    ],
)
def test_the_cheapest_effort_that_reaches_the_recall(
    recall: float | str, plain: Effort | None, filtered: FilteredEffort | None
) -> None:
    goal = Goal.parse(recall)
    assert goal.effort(CALIBRATION, 10) == goal.effort(CALIBRATION, 1) == plain
    assert goal.filtered_effort(CALIBRATION, 10, 5000) == goal.filtered_effort(CALIBRATION, 10, 90_000) == filtered


def test_more_hits_take_more_probes_and_more_candidates() -> None:
    assert Goal.parse(0.9).effort(CALIBRATION, 90) == Effort(12, 180, 0.9)
    assert Goal.parse(0.9).filtered_effort(CALIBRATION, 90, 5000) == replace(FILTERED[1], share=1.0, candidates=900)


def test_between_hits_that_were_measured_the_effort_lies_between() -> None:
    measured = replace(CALIBRATION, efforts=(*EFFORTS, Effort(16, 1000, 0.8, 1000), Effort(64, 2000, 0.92, 1000)))
    goal = Goal.parse(0.9)
    assert goal.effort(measured, 10) == EFFORTS[1]
    assert goal.effort(measured, 100) == Effort(16, 200, 0.92, 1000), "half of the way, as hits grow"
    assert goal.effort(measured, 1000) == Effort(64, 2000, 0.92, 1000)
    assert goal.effort(measured, 4000) == Effort(128, 8000, 0.92, 1000)
    assert Goal.parse(0.95).effort(measured, 10) == EFFORTS[2]
    assert Goal.parse(0.95).effort(measured, 11) is None, "nothing reaches it for many hits"


def test_the_effort_is_that_of_as_few_candidates() -> None:
    goal = Goal.parse(0.6)
    assert goal.filtered_effort(CALIBRATION, 10, 999) is None
    assert goal.filtered_effort(CALIBRATION, 10, 4999) == FEW[0]
    assert Goal.parse(0.95).filtered_effort(CALIBRATION, 10, 4999) == replace(FEW[0], candidates=100), "as of 5000"
    assert Goal.parse(0.95).filtered_effort(replace(CALIBRATION, filtered=FEW), 10, 4999) == FEW[0]
    assert Goal.parse(0.95).filtered_effort(replace(CALIBRATION, filtered=FEW + FILTERED[:1]), 10, 4999) is None
    assert goal.filtered_effort(CALIBRATION, 10, 5000) == FILTERED[0]


def test_a_scan_is_chosen_where_it_is_cheaper() -> None:
    probe = Work(lists=30, codes=1_000, depth=50, told=10_000)  # 90 us and 1 ns a candidate
    assert plan.exact_is_cheaper(COSTS, 10_000, 1, probe)
    assert not plan.exact_is_cheaper(COSTS, 10_001, 1, probe)
    assert not plan.exact_is_cheaper(COSTS, 10_000, 1, replace(probe, told=0)), "without a filter none is told"
    probe = replace(probe, told=3_000)
    assert plan.exact_is_cheaper(COSTS, 3_000, 10, probe), "30 ns a row, and 70 more for each run"
    assert not plan.exact_is_cheaper(COSTS, 3_000, 100, probe)
    assert not plan.exact_is_cheaper(COSTS, 3_000, 10, Work())


def test_examples_are_averaged_and_negatives_taken_off_by_half() -> None:
    eye = np.eye(3, dtype=np.float32)
    assert combine(eye[:1], eye[:0]).tolist() == [[1, 0, 0]]
    assert np.allclose(combine(eye[:2], eye[:0]), [[0.5**0.5, 0.5**0.5, 0]])
    assert np.allclose(combine(eye[:1], eye[1:]), np.array([[1, -0.25, -0.25]]) / 1.125**0.5)


def test_hits_keep_their_distance_and_their_order() -> None:
    lon, lat = np.array([0.0, 0.001, 1.0, 1.001, 179.9995, -179.9995]), np.zeros(6)
    assert spread(lon, lat, 1000, 10).tolist() == [0, 2, 4]
    assert spread(lon, lat, 1000, 2).tolist() == [0, 2]
    assert spread(lon, lat, 1, 10).tolist() == [0, 1, 2, 3, 4, 5]
    assert distance(np.array([0.0]), np.array([0.0]), 180.0, 0.0)[0] == pytest.approx(np.pi * 6_371_008.8)
