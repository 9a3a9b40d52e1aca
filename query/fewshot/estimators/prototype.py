"""One example a class, made of all of its labels and against those of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from query.example import AGAINST
from query.fewshot.estimators.base import FewShot

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

SHARPNESS = np.geomspace(1, 100, 21)
"""Factors between cosines and their softmax that are tried."""
TINY = 1e-12


class Prototype(FewShot):
    """The mean of a class's labels minus half the mean of the others', by cosine, as `embedstore search` combines ids.

    The confidence is a softmax whose sharpness makes the labels, each without itself, likeliest.

    Parameters
    ----------
    abstain_below
        See :class:`query.fewshot.estimators.base.FewShot`.
    """

    def __init__(self, *, abstain_below: float = 0.0) -> None:
        super().__init__(abstain_below=abstain_below)

    def _learn(self, vectors: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> None:
        count = len(self.classes_)
        total = np.zeros((count, vectors.shape[1]))
        np.add.at(total, codes, vectors * weights[:, None])
        weight = np.bincount(codes, weights)
        means = total / weight[:, None]
        self._prototypes = _against(means)
        scores = vectors @ self._prototypes.T
        # what a label says of itself would make every prototype look better than it is
        left = weight[codes] - weights
        alone = left <= TINY * weight[codes]
        without = (total[codes] - vectors * weights[:, None]) / np.where(alone, 1, left)[:, None]
        others = (means.sum(axis=0) - means)[codes] / max(count - 1, 1)
        own = _unit(without - AGAINST * others)
        scores[np.arange(len(codes)), codes] = np.einsum("ij,ij->i", vectors, own)
        known = ~alone
        self._sharpness = 10.0
        if known.any() and count > 1:
            self._sharpness = max(SHARPNESS, key=lambda s: _likelihood(s * scores[known], codes[known], weights[known]))

    def _confidence(self, vectors: Floats) -> Floats:
        return np.exp(_log_softmax(self._sharpness * (vectors @ self._prototypes.T)))


def _against(means: NDArray[np.float64]) -> NDArray[np.float64]:
    others = (means.sum(axis=0) - means) / max(len(means) - 1, 1)
    return _unit(means - AGAINST * others)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = vectors / np.maximum(length, TINY)
    return scaled


def _log_softmax(scores: Floats) -> Floats:
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


def _likelihood(scores: Floats, codes: NDArray[np.int64], weights: NDArray[np.float64]) -> float:
    return float((weights * _log_softmax(scores)[np.arange(len(codes)), codes]).sum())
