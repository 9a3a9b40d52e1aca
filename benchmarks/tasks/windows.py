"""Chips cut from a raster with a mask of classes, and how much of each chip a class covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.bands import normalise
from indexer.rasters import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HALF = 0.5
"""Of the pixels of a chip at least so many must hold data."""


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one raster.

    Parameters
    ----------
    pixels
        Shape (n, bands, size, size).
    valid
        Where bands and mask hold data, shape (n, size, size).
    fraction
        Share of the valid pixels that are of the class, shape (n,).
    at
        Row and column of the first pixel, float64, shape (n, 2).
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    fraction: NDArray[np.float64]
    at: NDArray[np.float64]


def read(path: Path, bands: Sequence[str]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return some bands of a raster, shape (bands, h, w), and where all of them hold data."""
    with opened(path) as source:
        names = [normalise(d or str(i)) for i, d in enumerate(source.descriptions, 1)]
        at = [names.index(b) + 1 for b in bands]
        pixels = source.read(at)
        valid = np.isfinite(pixels).all(axis=0)
        if source.nodata is not None and np.isfinite(source.nodata):
            valid &= (pixels != source.nodata).all(axis=0)
    return pixels, valid


def cut(pixels: NDArray[Any], valid: NDArray[np.bool_], of_class: NDArray[np.bool_], size: int, stride: int) -> Windows:
    """Cut windows on a regular grid; those without data in half of their pixels are left out."""
    height, width = valid.shape
    rows, cols = range(0, height - size + 1, stride), range(0, width - size + 1, stride)
    at = [(r, c) for r in rows for c in cols if valid[r : r + size, c : c + size].mean() >= HALF]
    boxes = [np.s_[r : r + size, c : c + size] for r, c in at]
    return Windows(
        np.stack([pixels[:, *b] for b in boxes]),
        np.stack([valid[b] for b in boxes]),
        np.array([of_class[b][valid[b]].mean() for b in boxes]),
        np.array(at, np.float64),
    )
