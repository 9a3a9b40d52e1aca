"""Splits that keep places apart: folds of whole places, and a gap around what is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from query.fewshot.blocks import folds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from benchmarks.tasks.task import Split


def blocks(x: NDArray[np.float64], y: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Return the number of the square block of each position, shape (n,); positions and side in the same units."""
    cells = np.stack([np.floor(x / side), np.floor(y / side)])
    return np.unique(cells, axis=1, return_inverse=True)[1].ravel().astype(np.int64)


def rotate(
    places: NDArray[np.int64],
    labels: NDArray[np.int64],
    at: NDArray[np.float64] | None = None,
    gap: float = 0.0,
) -> tuple[Split, ...]:
    """Return five splits (fewer if there are fewer places) that test every place once, with the classes evenly spread.

    Parameters
    ----------
    places, labels
        Of each chip, shape (n,).
    at
        Positions, shape (n, 2), in the units of `gap`.
    gap
        Nothing is learned from a chip whose position is nearer than this to one that is tested, on either axis.
    """
    of = folds(places, labels)
    return tuple(_apart(np.flatnonzero(of != f), np.flatnonzero(of == f), at, gap) for f in range(int(of.max()) + 1))


def rotate_at_random(labels: NDArray[np.int64], count: int) -> tuple[Split, ...]:
    """Return as many splits that test every chip once, without a thought for place."""
    of = np.random.default_rng(0).permutation(len(labels)) % count
    return tuple((np.flatnonzero(of != f), np.flatnonzero(of == f)) for f in range(count))


def _apart(train: NDArray[np.int64], test: NDArray[np.int64], at: NDArray[np.float64] | None, gap: float) -> Split:
    if at is None:
        return train, test
    from scipy.spatial import cKDTree

    nearest, _ = cKDTree(at[test]).query(at[train], p=np.inf)
    return train[nearest >= gap - 1e-9], test
