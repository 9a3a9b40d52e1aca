"""Positions and months as points of a circle, so that December lies beside January."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def angles(degrees: Any) -> NDArray[np.float32]:
    """Return sine and cosine, shape (n, 2), of longitudes or latitudes in degrees."""
    radians = np.radians(np.asarray(degrees, np.float64))
    return np.stack([np.sin(radians), np.cos(radians)], axis=-1).astype(np.float32)


def months(numbers: Any) -> NDArray[np.float32]:
    """Return sine and cosine, shape (n, 2), of months from 1 to 12; NaN where the month is NaN."""
    return angles(np.asarray(numbers, np.float64) * 30)
