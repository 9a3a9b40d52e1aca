"""Classical learners on frozen vectors, by their plain textbook settings: kNN, linear, random forest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEARNERS = ("knn", "linear", "forest")
NEIGHBOURS = 5
TREES = 50
INVERSE_PENALTY = 0.1
"""Of the logistic regression, on standardised features."""
PENALTIES = np.logspace(-2, 5, 8)
"""Of the ridge regression, chosen by leaving one label out."""


def classify(
    learner: str, vectors: NDArray[np.float32], labels: NDArray[np.int64], asked: NDArray[np.float32], seed: int = 0
) -> NDArray[np.int64]:
    """Learn classes from labelled vectors and answer for others; one class only is the answer to everything.

    Parameters
    ----------
    learner
        ``knn`` (cosine, five neighbours, weighted by one over the distance), ``linear`` (logistic regression) or
        ``forest``.
    vectors, labels
        Shapes (n, d) and (n,).
    asked
        Shape (m, d).
    seed
        Of the forest.
    """
    known = np.unique(labels)
    if len(known) == 1:
        return np.full(len(asked), known[0])
    return _classifier(learner, len(labels), seed).fit(vectors, labels).predict(asked)  # type: ignore[no-any-return]


def regress(
    learner: str, vectors: NDArray[np.float32], targets: NDArray[np.float64], asked: NDArray[np.float32], seed: int = 0
) -> NDArray[np.float64]:
    """Learn shares from labelled vectors and answer for others, cut to 0 to 1; as :func:`classify`, with ridge."""
    model = _regressor(learner, len(targets), seed).fit(vectors, targets)
    return np.clip(model.predict(asked), 0, 1)  # type: ignore[no-any-return]


def _classifier(learner: str, count: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if learner == "knn":
        return KNeighborsClassifier(min(NEIGHBOURS, count), weights="distance", metric="cosine", algorithm="brute")
    if learner == "linear":
        return make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=2000))
    return RandomForestClassifier(TREES, random_state=seed)


def _regressor(learner: str, count: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if learner == "knn":
        return KNeighborsRegressor(min(NEIGHBOURS, count), weights="distance", metric="cosine", algorithm="brute")
    if learner == "linear":
        return make_pipeline(StandardScaler(), RidgeCV(PENALTIES))
    return RandomForestRegressor(TREES, max_features="sqrt", random_state=seed)
