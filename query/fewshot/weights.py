"""How much each label counts: rare classes as much as common ones, doubtful labels half.

The number of labels of a class says how people drew, not how common it is, so every class weighs the same in all. And
people err: a label whose nearest other labels are of another class is likelier to be wrong, or to lie between classes,
and counts down to half (a soft form of Wilson 1972, "Asymptotic properties of nearest neighbor rules using edited
data"). Classes are made equal after that, so that a difficult class does not fade.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from query.classify import tally

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

WITNESSES = 10
"""Other labels that are asked about each."""
BLOCK = 1024
"""Rows whose scores are held at once."""


def weigh(vectors: Floats, codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weight of each label; the mean is one.

    Parameters
    ----------
    vectors
        Unit length, shape (n, d).
    codes
        Numbers of their classes, all of 0 to C - 1 present, shape (n,).
    """
    weights = _balanced(np.ones(len(codes)), codes)
    return _balanced(_trust(vectors, codes, weights), codes)


def nearest(queries: Floats, vectors: Floats, k: int, *, themselves: bool = False) -> tuple[NDArray[np.int64], Floats]:
    """Return the k nearest vectors of each query, nearest first, and their cosine distances; shape (n, k).

    Parameters
    ----------
    queries, vectors
        Unit length, shapes (n, d) and (m, d).
    k
        At most m, or m - 1 if `themselves`.
    themselves
        Whether the queries are the vectors, none of which is to find itself.
    """
    at = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k), queries.dtype)
    for start in range(0, len(queries), BLOCK):
        scores = queries[start : start + BLOCK] @ vectors.T
        rows = np.arange(len(scores))
        if themselves:
            scores[rows, rows + start] = -np.inf
        best = (
            np.argpartition(-scores, k - 1, axis=1)[:, :k]
            if k < scores.shape[1]
            else np.tile(np.arange(k), (len(scores), 1))
        )
        found = np.take_along_axis(scores, best, axis=1)
        order = np.lexsort((best, -found))  # of equally near ones, the first
        at[start : start + BLOCK] = np.take_along_axis(best, order, axis=1)
        distances[start : start + BLOCK] = np.maximum(1 - np.take_along_axis(found, order, axis=1), 0)
    return at, distances


def _balanced(weights: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    total = np.bincount(codes, weights)
    scaled: NDArray[np.float64] = weights * (len(codes) / len(total) / total)[codes]
    return scaled


def _trust(vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each label how its own class stands among its neighbours' votes, against the strongest: 0.5 to 1."""
    k = min(WITNESSES, len(codes) - 1)
    if k < 1:
        return np.ones(len(codes))
    at, distances = nearest(vectors, vectors, k, themselves=True)
    votes = tally(codes[at], distances, int(codes.max()) + 1, weights[at])
    own = votes[np.arange(len(codes)), codes]
    trust: NDArray[np.float64] = 0.5 + 0.5 * own / np.maximum(votes.max(axis=1), np.finfo(votes.dtype).tiny)
    return trust
