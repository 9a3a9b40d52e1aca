from __future__ import annotations

import numpy as np
import pytest

from embedstore.catalog import Effort, Index
from query import plan
from query.example import combine, distance, spread
from query.plan import Goal

EFFORTS = (Effort(1, 10, 0.5), Effort(4, 20, 0.9), Effort(16, 40, 0.96))
INDEX = Index("a" * 32, "f", (), None, EFFORTS)


@pytest.mark.parametrize(
    ("recall", "plain", "filtered"),
    [
        (0.5, EFFORTS[0], Effort(8, 40, 0.9)),
        (0.9, EFFORTS[1], Effort(32, 80, 0.96)),
        (0.95, EFFORTS[2], Effort(32, 80, 0.96)),
        (0.97, None, None),
        (1, None, None),
        ("exact", None, None),
    ],
)
def test_the_cheapest_effort_that_reaches_the_recall(
    recall: float | str, plain: Effort | None, filtered: Effort | None
) -> None:
    goal = Goal.parse(recall)
    assert goal.effort(INDEX) == plain
    assert goal.filtered_effort(INDEX) == filtered
    assert goal.effort(None) is goal.filtered_effort(None) is None


def test_the_share_to_scan_decides_how_many_candidates_are_scanned_exactly() -> None:
    assert Goal.parse("exact").share == 1
    assert Goal.parse(0.5).share == plan.LEAST_SHARE
    assert plan.exact_rows(plan.HIGH_SHARE) == plan.EXACT_ROWS
    assert plan.exact_rows(plan.HIGH_SHARE + 1e-9) == plan.EXACT_ROWS_HIGH


def test_lists_without_candidates_are_passed_over() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    counts = np.array([0, 3, 0, 4, 5])
    assert plan.lists_with_candidates(scores, counts, 1, 3).tolist() == [1]
    assert plan.lists_with_candidates(scores, counts, 1, 4).tolist() == [1, 3]
    assert plan.lists_with_candidates(scores, counts, 2, 1).tolist() == [1, 3]
    assert plan.lists_with_candidates(scores, counts, 1, 100).tolist() == [1, 3, 4]
    assert plan.bitmap(np.array([0, 9]), 12).tolist() == [1, 2]


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
