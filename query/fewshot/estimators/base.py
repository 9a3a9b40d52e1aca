"""What the classifiers share: the metric, the weights of labels, and abstention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from query.fewshot.weights import weigh
from query.fewshot.whitening import Whitening

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.floating[Any]]


class FewShot(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc] # scikit-learn has no types
    """A classifier of few labelled vectors.

    Parameters
    ----------
    abstain_below
        Confidence, 0 to 1, under which :meth:`predict` answers None.

    Attributes
    ----------
    classes_
        Sorted.
    whitening_
        The metric, :class:`query.fewshot.whitening.Whitening`.
    """

    _in_metric = True
    """Whether it sees vectors in the metric, or as they came."""

    def __init__(self, *, abstain_below: float = 0.0) -> None:
        self.abstain_below = abstain_below

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # noqa: N803 - scikit-learn's names
        """Learn from vectors, shape (n, d), and their classes, shape (n,).

        Raises
        ------
        ValueError
            If they do not fit each other, or hold NaN or infinity.
        """
        vectors, targets = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(targets)
        self.classes_, codes = np.unique(targets, return_inverse=True)
        self.whitening_ = Whitening.fit(vectors, codes)
        unit = self.whitening_(vectors)
        self._learn(unit if self._in_metric else vectors, codes, weigh(unit, codes))
        return self

    def predict_proba(self, X: ArrayLike) -> Floats:  # noqa: N803
        """Return the confidence in each class, shape (n, classes); each row sums to one."""
        check_is_fitted(self)
        vectors = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return self._confidence(self.whitening_(vectors) if self._in_metric else vectors)

    def predict(self, X: ArrayLike) -> NDArray[Any]:  # noqa: N803
        """Return the class of each vector, shape (n,); None where the confidence is under `abstain_below`."""
        confidence = self.predict_proba(X)
        won: NDArray[Any] = self.classes_[confidence.argmax(axis=1)]
        if self.abstain_below > 0:
            won = won.astype(object)
            won[confidence.max(axis=1) < self.abstain_below] = None
        return won

    @abstractmethod
    def _learn(self, vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        """Learn from vectors, the numbers of their classes, and what each counts."""

    @abstractmethod
    def _confidence(self, vectors: Floats) -> Floats:
        """Return the confidence in each class."""
