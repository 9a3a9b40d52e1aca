"""Curves over labels: of a feature that tells everything, of one that tells nothing, and what is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks import curve, learners
from benchmarks.curve import Point, enough
from benchmarks.learners import LEARNERS, classify, regress
from benchmarks.measures import Figure
from benchmarks.tasks import places
from benchmarks.tasks.task import Chips, Task
from indexer.encoders.base import unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 240


@pytest.fixture(scope="module")
def task() -> Task:
    rng = np.random.default_rng(0)
    fraction = rng.uniform(0, 1, COUNT)
    labels = (fraction >= 0.5).astype(np.int64)
    of = np.arange(COUNT) // 12
    chips = Chips.whole("x", ("a",), np.zeros((COUNT, 1, 1, 1)))
    splits, random = places.rotate(of, labels), places.rotate_at_random(labels, 5)
    return Task("x", "x", chips, ("no", "yes"), labels, fraction, of, splits, random)


def telling(task: Task) -> NDArray[np.float32]:
    """Vectors on a quarter of a circle, by the fraction."""
    assert task.fractions is not None
    angle = task.fractions * np.pi / 2
    return np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)


def useless(count: int = COUNT) -> NDArray[np.float32]:
    vectors = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    return unit(vectors, "useless")


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_feature_that_tells_everything_and_one_that_tells_nothing(
    task: Task, learner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learners, "TREES", 10)
    for what, good, chance in ((curve.PRESENCE, 0.95, 0.5), (curve.FRACTION, 0.9, 0.0)):
        told = curve.curve(task, what, telling(task), learner, (10, 50), 3)
        assert [p.labels for p in told] == [10, 50, None]
        assert told[-1].figure.value > good
        assert told[0].figure.value <= told[-1].figure.value + 0.02
        nothing = curve.score(task, what, useless(), learner, task.splits, None, 1).value
        assert nothing < chance + 0.12


def test_labels_are_drawn_from_what_may_be_learned_from(task: Task) -> None:
    train = task.splits[0][0]
    some = curve.drawn(task, train, 20, (0, 0))
    assert set(some) <= set(train)
    assert len(set(some)) == 20
    assert set(some) != set(curve.drawn(task, train, 20, (1, 0)))
    assert (some == curve.drawn(task, train, 20, (0, 0))).all()


def test_balanced_tasks_draw_as_many_of_each_class(task: Task) -> None:
    even = Task("x", "x", task.chips, task.classes, task.labels, None, task.places, task.splits, (), balanced=True)
    assert np.bincount(task.labels[curve.drawn(even, task.splits[0][0], 7, (0,))]).tolist() == [7, 7]
    assert curve.named(even, curve.PRESENCE) == "accuracy"
    assert [p.labels for p in curve.curve(even, curve.PRESENCE, telling(task), "knn", (5, 150), 1)] == [5, None]


def test_more_labels_than_there_are_is_all_of_them(task: Task) -> None:
    assert [p.labels for p in curve.curve(task, curve.PRESENCE, telling(task), "knn", (5, 1000), 1)] == [5, None]


def test_one_class_among_the_labels_is_the_answer_to_everything() -> None:
    vectors = useless(20)
    assert set(classify("linear", vectors[:3], np.array([1, 1, 1]), vectors)) == {1}
    assert regress("linear", vectors[:3], np.array([0.0, 1, 1]), 100 * vectors).max() <= 1


def points(*of: tuple[int | None, float]) -> list[Point]:
    return [Point(n, Figure(v, v, v)) for n, v in of]


def test_enough_is_read_off_between_points_on_a_logarithmic_scale() -> None:
    made = points((10, 0.4), (1000, 0.8), (None, 1.0))
    assert enough(made, 0.6, 5000) == pytest.approx(100)
    assert enough(made, 0.8, 5000) == pytest.approx(1000)
    assert enough(made, 0.3, 5000) == 10
    assert enough(made, 1.0, 5000) == pytest.approx(5000)
