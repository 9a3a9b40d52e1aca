"""How good labels and method are, on places that were not learned from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore import deadline
from embedstore.errors import LabelError
from query.fewshot.blocks import SEED, blocks, random_splits, spatial_splits
from query.fewshot.model import NEIGHBOURS, estimator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from query.fewshot.labelled import Labelled

    Splits = Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]

LEAST_TESTED = 2
"""Places that must be tested: of one alone nobody knows how far others differ from it."""
DRAWS = 500
LEVEL = 0.95
THRESHOLDS = np.linspace(0, 1, 51)
SURE = 0.8
"""Confidence in another class from which a label is worth a second look."""


@dataclass(frozen=True)
class Figure:
    """A figure and its interval, in which it lies in 95 of 100 draws of places."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Score:
    """What a cross-validation measured.

    Parameters
    ----------
    accuracy, macro_f1
        Over the chips tested, and over the classes tested.
    tested
        Chips tested.
    classes
        Of each class that was tested: precision, recall, f1 and chips.
    confusion
        Chips of each class (row) that were given each class (column), in the order of the names.
    untested
        Chips of each class that were not tested, because their class was left nowhere else to learn it from.
    """

    accuracy: Figure
    macro_f1: Figure
    tested: int
    classes: dict[str, dict[str, float]]
    confusion: tuple[tuple[int, ...], ...]
    untested: dict[str, int]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a method on labels.

    Parameters
    ----------
    method, k
        See :func:`query.fewshot.model.estimator`.
    labels
        Chips labelled.
    spatial
        Whole blocks held out, nothing learned that touches what is tested: what to expect of a new place.
    random
        Chips held out at random: flattered by neighbours on both sides.
    blocks, block_edge
        How many, and their mean edge in metres.
    curve
        What each threshold of confidence gives, by spatial cross-validation: ``threshold``, ``coverage`` (share of
        chips answered), ``precision`` (share of answers that are right, None where there is none), ``recall`` (share
        of chips answered rightly), and the last two for each class under ``classes``.
    doubtful
        Labels that labels elsewhere contradict with confidence: id, label, prediction, confidence; surest first.
    """

    method: str
    k: int
    labels: int
    spatial: Score
    random: Score
    blocks: int
    block_edge: float
    curve: dict[str, Any]
    doubtful: tuple[dict[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        return asdict(self)


def evaluate(labelled: Labelled, method: str = "knn", *, k: int = NEIGHBOURS) -> Evaluation:
    """Measure a method on labels by spatial cross-validation, and by random splits beside it.

    Raises
    ------
    LabelError
        If all labels lie in one place, or classes do not lie in so many that two could be told apart elsewhere.
    QueryError
        If method or k makes no sense.
    """
    made = blocks(labelled)
    spatial = _predict(labelled, spatial_splits(labelled, made), method, k)
    known = ~np.isnan(spatial[:, 0])
    if len(np.unique(made.of[known])) < LEAST_TESTED:
        raise LabelError(
            "too few places can be tested: elsewhere there must be labels of two classes, the place's own among them. "
            "Label each class in several places."
        )
    at_random = _predict(labelled, random_splits(labelled), method, k)
    return Evaluation(
        method,
        k,
        len(labelled),
        _score(labelled, spatial, made.of),
        _score(labelled, at_random, np.arange(len(labelled))),
        made.count,
        made.edge,
        _curve(spatial[known], labelled.classes[known], labelled.names),
        _doubtful(labelled, spatial),
    )


def _predict(labelled: Labelled, splits: Splits, method: str, k: int) -> NDArray[np.float64]:
    """Return the confidence in each class of every chip when it was tested, NaN where its class was not learned."""
    shares = np.full((len(labelled), len(labelled.names)), np.nan)
    for train, test in splits:
        deadline.check()
        learned = np.unique(labelled.classes[train])
        test = test[np.isin(labelled.classes[test], learned)]  # noqa: PLW2901 - what can be tested of it
        if len(learned) > 1 and len(test):  # who has seen one class only cannot but name it
            model = estimator(method, k=k).fit(labelled.vectors[train], labelled.classes[train])
            shares[test] = 0
            shares[np.ix_(test, model.classes_)] = model.predict_proba(labelled.vectors[test])
    return shares


def _score(labelled: Labelled, shares: NDArray[np.float64], groups: NDArray[np.int64]) -> Score:
    tested = ~np.isnan(shares[:, 0])
    count = len(labelled.names)
    true, given = labelled.classes[tested], np.nan_to_num(shares).argmax(axis=1)[tested]
    confusion = _confusion(true, given, count)
    accuracy, macro, parts = _figures(confusion)
    low, high = _intervals(true, given, groups[tested], count)
    left = np.bincount(labelled.classes[~tested], minlength=count)
    return Score(
        Figure(accuracy, low[0], high[0]),
        Figure(macro, low[1], high[1]),
        int(tested.sum()),
        {
            name: {"precision": p, "recall": r, "f1": f, "chips": int(confusion[i].sum())}
            for i, (name, (p, r, f)) in enumerate(zip(labelled.names, parts.tolist(), strict=True))
            if confusion[i].any()
        },
        tuple(map(tuple, confusion.astype(int).tolist())),
        {labelled.names[i]: int(left[i]) for i in np.flatnonzero(left).tolist()},
    )


def _confusion(
    true: NDArray[np.int64], given: NDArray[np.int64], count: int, weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    flat = np.bincount(true * count + given, weights, minlength=count * count)
    return flat.reshape(count, count).astype(np.float64)


def _figures(confusion: NDArray[np.float64]) -> tuple[float, float, NDArray[np.float64]]:
    """Return accuracy, macro F1 of the classes tested, and precision, recall and F1 of each class."""
    right, of, given = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = right / np.maximum(given, 1e-12), right / np.maximum(of, 1e-12)
    f1 = 2 * right / np.maximum(of + given, 1e-12)
    return float(right.sum() / of.sum()), float(f1[of > 0].mean()), np.stack([precision, recall, f1], axis=1)


def _intervals(
    true: NDArray[np.int64], given: NDArray[np.int64], groups: NDArray[np.int64], count: int
) -> tuple[list[float], list[float]]:
    """Return the ends of the intervals of accuracy and macro F1, by bootstrap of whole groups."""
    _, of = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(SEED)
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(random.integers(0, of.max() + 1, of.max() + 1), minlength=of.max() + 1)
        drawn.append(_figures(_confusion(true, given, count, times[of].astype(np.float64)))[:2])
    low, high = np.quantile(np.array(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low.tolist(), high.tolist()


def _curve(shares: NDArray[np.float64], true: NDArray[np.int64], names: tuple[str, ...]) -> dict[str, Any]:
    given, confidence = shares.argmax(axis=1), shares.max(axis=1)
    answered = confidence[:, None] >= THRESHOLDS - 1e-9
    right = answered & (given == true)[:, None]
    curve: dict[str, Any] = {"threshold": THRESHOLDS.round(2).tolist(), "coverage": answered.mean(axis=0).tolist()}
    curve |= _rates(right, answered, len(true))
    curve["classes"] = {
        name: _rates(right[given == i], answered[given == i], int((true == i).sum()))
        for i, name in enumerate(names)
        if (true == i).any()
    }
    return curve


def _rates(right: NDArray[np.bool_], answered: NDArray[np.bool_], of: int) -> dict[str, list[float | None]]:
    """Return precision and recall at each threshold; of is how many could be found."""
    hits, answers = right.sum(axis=0).tolist(), answered.sum(axis=0).tolist()
    return {
        "precision": [hit / all_ if all_ else None for hit, all_ in zip(hits, answers, strict=True)],
        "recall": [hit / of for hit in hits],
    }


def _doubtful(labelled: Labelled, shares: NDArray[np.float64]) -> tuple[dict[str, Any], ...]:
    known = np.nan_to_num(shares)
    given, confidence = known.argmax(axis=1), known.max(axis=1)
    odd = np.flatnonzero((given != labelled.classes) & (confidence >= SURE))
    odd = odd[np.argsort(-confidence[odd], kind="stable")]
    return tuple(
        {
            "id": labelled.ids[i],
            "label": labelled.names[labelled.classes[i]],
            "prediction": labelled.names[given[i]],
            "confidence": float(confidence[i]),
        }
        for i in odd.tolist()
    )
