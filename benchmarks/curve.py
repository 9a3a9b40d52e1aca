"""Score against number of labels: draws, learners, places, and how many labels are enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.learners import classify, regress
from benchmarks.measures import R2, Accuracy, Figure, MacroF1, Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.measures import Measure
    from benchmarks.tasks.task import Split, Task

COUNTS = (5, 10, 20, 50, 100, 200, 500, 1000)
A_CLASS = (2, 5, 10, 20, 50)
"""Labels, and labels of each class where as many of each are drawn."""
ENOUGH = (0.5, 0.9, 0.95)
FRACTION, PRESENCE = "fraction", "presence"
"""What is learned: the share of a chip that a class covers (R2), or which class it is (macro F1; accuracy, as is usual,
for pictures of many classes)."""


@dataclass(frozen=True)
class Point:
    """The score of learning from so many labels; None is all of them."""

    labels: int | None
    figure: Figure


def curve(
    task: Task, what: str, vectors: NDArray[np.float32], learner: str, counts: Sequence[int], draws: int
) -> list[Point]:
    """Return the scores of learning from few to all labels, by the task's splits.

    A draw takes labels at random from what each split may learn from, learns, and answers for what the split tests;
    together the splits test each chip once. With all labels there is nothing to draw.

    Parameters
    ----------
    what
        :data:`FRACTION` or :data:`PRESENCE`.
    vectors
        Of the task's chips, shape (n, d).
    learner
        See :mod:`benchmarks.learners`.
    counts
        Numbers of labels, or of each class if the task is balanced; those beyond what there is are left out.
    draws
        How many.
    """
    least = min(len(train) for train, _ in task.splits)
    few = [c for c in counts if (c * len(task.classes) if task.balanced else c) < least]
    points = [Point(c, score(task, what, vectors, learner, task.splits, c, draws)) for c in few]
    return [*points, Point(None, score(task, what, vectors, learner, task.splits, None, 1))]


def score(
    task: Task,
    what: str,
    vectors: NDArray[np.float32],
    learner: str,
    splits: Sequence[Split],
    count: int | None,
    draws: int,
) -> Figure:
    """Return the score of learning from so many labels, all if None."""
    tally = Tally(_measure(task, what), task.places, draws)
    for draw in range(draws):
        for number, (train, test) in enumerate(splits):
            at = train if count is None else drawn(task, train, count, (draw, number))
            if what == FRACTION and task.fractions is not None:
                given = regress(learner, vectors[at], task.fractions[at], vectors[test], draw)
                tally.add(draw, test, task.fractions[test], given)
            else:
                given = classify(learner, vectors[at], task.labels[at], vectors[test], draw).astype(np.float64)
                tally.add(draw, test, task.labels[test].astype(np.float64), given)
    return tally.figure()


def targets(task: Task) -> list[str]:
    """Return what can be learned of a task."""
    return [PRESENCE, FRACTION] if task.fractions is not None else [PRESENCE]


def named(task: Task, what: str) -> str:
    """Return what the score is called."""
    return "R2" if what == FRACTION else "accuracy" if task.balanced else "macro F1"


def _measure(task: Task, what: str) -> Measure:
    if what == FRACTION:
        return R2()
    return Accuracy() if task.balanced else MacroF1(len(task.classes))


def drawn(task: Task, train: NDArray[np.int64], count: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """Return `count` positions drawn from those to learn from; of each class, if the task is balanced."""
    rng = np.random.default_rng(seed)
    if not task.balanced:
        return rng.choice(train, count, replace=False)
    codes = task.labels[train]
    return np.concatenate([rng.choice(train[codes == c], count, replace=False) for c in range(len(task.classes))])


def enough(points: Sequence[Point], share: float, whole: int) -> float:
    """Return how many labels reach a share of the score with all of them, between points on a logarithmic scale.

    Parameters
    ----------
    points
        Of a curve, fewest first; the last is of all labels.
    share
        Of the score with all labels.
    whole
        How many all labels are.
    """
    wanted = share * points[-1].figure.value
    before: tuple[float, float] | None = None
    for point in points:
        labels, value = float(point.labels or whole), point.figure.value
        if value >= wanted:
            if before is None or value == before[1]:
                return labels
            part = (wanted - before[1]) / (value - before[1])
            return float(np.exp(np.log(before[0]) + part * (np.log(labels) - np.log(before[0]))))
        before = labels, value
    return float(whole)
