"""A metric learned from the labels: directions in which a class varies within itself count less.

Encoders give features that rise and fall together, and cosines then see little but what they have in common. So
vectors are turned and scaled until the labels vary alike in all directions within their classes, as in linear
discriminant analysis; few labels make a poor covariance, which is shrunk towards a round one (Ledoit & Wolf 2004, "A
well-conditioned estimator for large-dimensional covariance matrices").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Whitening:
    """A shift, a rotation with scales, and a projection on the sphere.

    Parameters
    ----------
    centre
        Mean of the means of the classes, shape (d,).
    axes
        Shape (d, d).
    """

    centre: Floats
    axes: Floats

    @classmethod
    def fit(cls, vectors: Floats, codes: NDArray[np.int64]) -> Self:
        """Learn from labelled vectors, shape (n, d), and the numbers of their classes; each class counts alike."""
        from sklearn.covariance import ledoit_wolf_shrinkage  # noqa: PLC0415

        count = np.bincount(codes)
        means = np.zeros((len(count), vectors.shape[1]), vectors.dtype)
        np.add.at(means, codes, vectors)
        means /= count[:, None]
        within = (vectors - means[codes]) / np.sqrt(count * len(count))[codes][:, None]
        values, turns = _spread(within)
        size = within.shape[1]
        mean = float(values.sum()) / size
        if mean <= TINY:  # one label a class: nothing is known of how a class varies
            return cls(means.mean(axis=0), np.eye(size, dtype=vectors.dtype))
        shrinkage = ledoit_wolf_shrinkage(within, assume_centered=True)
        round_ = shrinkage * mean
        values = (1 - shrinkage) * values + round_
        floor = max(float(values[-1]), 0.0) * 1e-6  # a direction that no label varies in
        rest, scales = (np.sqrt(mean / np.maximum(v, floor)) for v in (round_, values))
        # where the labels do not vary, every turn is as good as another; this one keeps all else in place
        axes = (turns * (scales - rest)) @ turns.T
        axes.flat[:: size + 1] += rest
        return cls(means.mean(axis=0), axes.astype(vectors.dtype, copy=False))

    def __call__(self, vectors: Floats) -> Floats:
        """Return vectors of length one, shape (n, d), whose cosines are the metric; what is all centre stays 0."""
        turned = (vectors - self.centre) @ self.axes
        length = np.sqrt(np.einsum("ij,ij->i", turned, turned))
        turned /= np.maximum(length, TINY)[:, None]
        return turned


def _spread(within: Floats) -> tuple[Floats, Floats]:
    """Return the variances of vectors, shape (n, d), along the axes of their covariance, smallest first, and the axes.

    Shapes (r,) and (d, r); fewer vectors than dimensions, as labels are, need only a matrix of n rows, and vary in no
    other direction.
    """
    count, size = within.shape
    if count >= size:
        values, turns = np.linalg.eigh(within.T @ within)
        return np.maximum(values, 0), turns
    values, mixes = np.linalg.eigh(within @ within.T)
    some = values > count * np.finfo(values.dtype).eps * max(values[-1], TINY)
    return values[some], within.T @ mixes[:, some] / np.sqrt(values[some])
