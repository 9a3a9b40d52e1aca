"""A linear probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from query.fewshot.estimators.base import FewShot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


class Probe(FewShot):
    """Multinomial logistic regression on vectors in the metric, with a ridge penalty.

    Parameters
    ----------
    C
        Inverse of the penalty: less withstands wrong labels better, more fits right ones closer.
    abstain_below
        See :class:`query.fewshot.estimators.base.FewShot`.
    """

    def __init__(self, C: float = 1.0, *, abstain_below: float = 0.0) -> None:  # noqa: N803 - scikit-learn's name
        super().__init__(abstain_below=abstain_below)
        self.C = C

    def _learn(self, vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        self._model = None  # with one class there is nothing to tell apart
        if len(self.classes_) > 1:
            self._model = LogisticRegression(C=self.C, max_iter=1000).fit(vectors, codes, sample_weight=weights)

    def _confidence(self, vectors: Floats) -> Floats:
        if self._model is None:
            return np.ones((len(vectors), 1), vectors.dtype)
        confidence: Floats = self._model.predict_proba(vectors)
        return confidence
