"""Scores against scikit-learn and against values worked out by hand; intervals of whole places."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, r2_score

from benchmarks import report
from benchmarks.measures import R2, Accuracy, MacroF1, MeanIoU, Tally


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, given = rng.integers(0, 4, 200).astype(float), rng.integers(0, 4, 200).astype(float)
    for measure, theirs in (
        (Accuracy(), accuracy_score(truth, given)),
        (MacroF1(4), f1_score(truth, given, average="macro")),
        (MeanIoU(4), jaccard_score(truth, given, average="macro")),
        (R2(), r2_score(truth, given)),
    ):
        assert measure.of(measure.terms(truth, given).sum(axis=0)) == pytest.approx(theirs)


def test_a_class_that_is_nowhere_does_not_count() -> None:
    truth, given = np.array([0.0, 0, 1, 1]), np.array([0.0, 1, 1, 1])
    # F1 of 0: 2 * 1 / (2 + 1); of 1: 2 * 2 / (2 + 3); IoU 1/2 and 2/3
    f1, iou = MacroF1(5), MeanIoU(5)
    assert f1.of(f1.terms(truth, given).sum(axis=0)) == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert iou.of(iou.terms(truth, given).sum(axis=0)) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_tally_takes_the_mean_over_draws_of_the_score_over_places() -> None:
    tally = Tally(Accuracy(), np.array([5, 5, 9, 9]), 2)
    truth = np.array([1.0, 1, 0, 0])
    tally.add(0, np.array([0, 1]), truth[:2], np.array([1.0, 1]))
    tally.add(0, np.array([2, 3]), truth[2:], np.array([0.0, 1]))
    tally.add(1, np.arange(4), truth, np.array([0.0, 0, 1, 1]))
    assert tally.figure().value == pytest.approx((3 / 4 + 0) / 2)


def test_intervals_are_of_places_and_not_of_chips() -> None:
    rng = np.random.default_rng(1)
    truth = np.ones(400)
    few, many = np.repeat(np.arange(4), 100), np.arange(400)
    given = (few % 2).astype(float)  # whole places right or wrong
    wide, narrow = Tally(Accuracy(), few, 1), Tally(Accuracy(), many, 1)
    for tally in (wide, narrow):
        tally.add(0, rng.permutation(400) * 0 + np.arange(400), truth, given)
    a, b = wide.figure(), narrow.figure()
    assert a.value == b.value == 0.5
    assert a.high - a.low > 3 * (b.high - b.low)
    assert a.low <= a.value <= a.high


def test_places_that_were_not_tested_do_not_widen_an_interval() -> None:
    tally = Tally(Accuracy(), np.arange(10), 1)
    tally.add(0, np.arange(5), np.ones(5), np.ones(5))
    assert (tally.figure().low, tally.figure().value, tally.figure().high) == (1, 1, 1)


def test_a_command_is_told_without_the_places_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ["--data", "/a/b/data", "--against", "all=mpmae@/a/b/c.safetensors,mpmae@/d/e.safetensors", "--url"]
    monkeypatch.setattr("sys.argv", ["/a/run.py", *told, "http://h/x", "--tasks", "alpha/*/*", "demo/store"])
    said = report.command().split()[-9:]
    assert said == [
        *("--data", "data", "--against", "all=mpmae@c.safetensors,mpmae@e.safetensors"),
        *("--url", "http://h/x", "--tasks", "alpha/*/*", "demo/store"),
    ]
