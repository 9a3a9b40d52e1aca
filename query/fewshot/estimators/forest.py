"""A random forest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.ensemble import RandomForestClassifier

from query.fewshot.estimators.base import FewShot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


class Forest(FewShot):
    """Breiman's random forest (2001) on vectors as they came: trees care for no metric, and rotated axes harm them.

    Parameters
    ----------
    n_estimators
        Trees.
    random_state
        Seed.
    abstain_below
        See :class:`query.fewshot.estimators.base.FewShot`.
    """

    _in_metric = False

    def __init__(self, n_estimators: int = 200, *, random_state: int | None = 0, abstain_below: float = 0.0) -> None:
        super().__init__(abstain_below=abstain_below)
        self.n_estimators = n_estimators
        self.random_state = random_state

    def _learn(self, vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        trees = RandomForestClassifier(self.n_estimators, random_state=self.random_state)
        self._model = trees.fit(vectors, codes, sample_weight=weights)

    def _confidence(self, vectors: Floats) -> Floats:
        confidence: Floats = self._model.predict_proba(vectors)
        return confidence
