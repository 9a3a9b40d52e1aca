"""The classes of the nearest labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from query.classify import tally
from query.fewshot.estimators.base import FewShot
from query.fewshot.weights import nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]


class KNN(FewShot):
    """k nearest labels by cosine; each votes with its weight over its distance.

    Parameters
    ----------
    n_neighbors
        Labels that vote; all, if there are fewer.
    abstain_below
        See :class:`query.fewshot.estimators.base.FewShot`.
    """

    def __init__(self, n_neighbors: int = 5, *, abstain_below: float = 0.0) -> None:
        super().__init__(abstain_below=abstain_below)
        self.n_neighbors = n_neighbors

    def vote(self, at: NDArray[np.int64], distances: Floats) -> Floats:
        """Return the share of the votes of each class, shape (n, classes), from neighbours and their distances.

        Parameters
        ----------
        at, distances
            Positions among the labels and cosine distances in the metric, shape (n, k).
        """
        votes = tally(self._codes[at], distances, len(self.classes_), self._weights[at])
        shares: Floats = votes / votes.sum(axis=1, keepdims=True)
        return shares

    def _learn(self, vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        if self.n_neighbors < 1:
            raise ValueError(f"n_neighbors = {self.n_neighbors} makes no sense; at least one label must vote.")
        self._known, self._codes, self._weights = vectors, codes, weights

    def _confidence(self, vectors: Floats) -> Floats:
        return self.vote(*nearest(vectors, self._known.astype(vectors.dtype), min(self.n_neighbors, len(self._codes))))
