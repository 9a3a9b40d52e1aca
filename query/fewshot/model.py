"""A classifier that has learned from labelled chips, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore import deadline
from embedstore.errors import QueryError
from embedstore.extras import faiss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from query.fewshot.estimators import FewShot
    from query.fewshot.labelled import Labelled

METHODS = ("knn", "probe", "forest", "prototype")
NEIGHBOURS = 5


def estimator(method: str, *, k: int = NEIGHBOURS, abstain_below: float = 0.0) -> FewShot:
    """Return a scikit-learn classifier that has learned nothing yet.

    Parameters
    ----------
    method
        ``knn``, ``probe`` (linear), ``forest`` or ``prototype``.
    k
        Labels that vote, where labels do; all, if there are fewer.
    abstain_below
        Confidence, 0 to 1, under which there is no answer.

    Raises
    ------
    QueryError
        If one of them makes no sense.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise QueryError(f"k = {k!r} neighbours make no sense; ask for one or more.")
    if not 0 <= abstain_below <= 1:
        raise QueryError(f"abstaining below {abstain_below!r} makes no sense; confidence goes from 0 to 1.")
    if method not in METHODS:
        raise QueryError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}.")
    from query.fewshot import estimators as known  # noqa: PLC0415 - scikit-learn is slow to import

    if method == "knn":
        return known.KNN(int(k), abstain_below=abstain_below)
    others: dict[str, type[FewShot]] = {"probe": known.Probe, "forest": known.Forest, "prototype": known.Prototype}
    return others[method](abstain_below=abstain_below)


@dataclass(frozen=True, eq=False, slots=True)
class Answers:
    """What a model says of n chips.

    Parameters
    ----------
    shares
        Confidence in each class, shape (n, classes).
    classes
        Number of the class, -1 where it abstains, int64, shape (n,).
    confidence
        In the likeliest class, float32, shape (n,).
    neighbours
        Positions of the nearest labels, nearest first, int64, shape (n, k).
    distance
        Cosine distance to the nearest, in the metric learned, float32, shape (n,).
    """

    shares: NDArray[np.floating[Any]]
    classes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    distance: NDArray[np.float32]


class Model:
    """A classifier that has learned.

    Parameters
    ----------
    labelled
        To learn from.
    method, k, abstain_below
        See :func:`estimator`. Of every method, k nearest labels are told with each answer; all, if there are fewer.

    Raises
    ------
    QueryError
        If one of them makes no sense.
    """

    def __init__(self, labelled: Labelled, method: str, *, k: int = NEIGHBOURS, abstain_below: float = 0.0) -> None:
        self.labelled, self.method = labelled, method
        self._abstain_below = abstain_below
        self._estimator = estimator(method, k=k, abstain_below=abstain_below)
        self.k = min(int(k), len(labelled))
        self._estimator.fit(labelled.vectors, labelled.classes)
        self.known = self.turn(labelled.vectors)
        # labels are few and chips many: FAISS keeps the k best of each row as the product goes
        self._index = faiss().IndexFlatIP(self.known.shape[1])
        self._index.add(self.known)

    def turn(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return vectors in the metric learned, unit length, float32, shape (n, d)."""
        turned: NDArray[np.float32] = np.ascontiguousarray(self._estimator.whitening_(vectors), np.float32)
        return turned

    def answer(self, vectors: NDArray[np.float32]) -> Answers:
        """Classify unit vectors, float32, shape (n, d)."""
        deadline.check()
        scores, at = self._index.search(self.turn(vectors), self.k)
        distances = np.maximum(1 - scores, 0)
        votes = getattr(self._estimator, "vote", None)  # those of the neighbours that are known already
        shares = votes(at, distances) if votes else self._estimator.predict_proba(vectors)
        won = shares.argmax(axis=1)
        confidence = shares[np.arange(len(won)), won]
        won[confidence < self._abstain_below] = -1
        return Answers(shares, won, confidence.astype(np.float32), at, distances[:, 0])
