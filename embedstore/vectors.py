"""Unit vectors with short mantissas: what is stored is exactly what is compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SMALL, LARGE = 1e-140, 1e140
"""Between these the squares of a length are numbers of double precision."""


def to_unit(vectors: ArrayLike, dimension: int | None = None) -> NDArray[np.float32]:
    """Return vectors scaled to length one.

    Parameters
    ----------
    vectors
        Shape (n, d) or (d,).
    dimension
        The d that is asked for; any if None.

    Returns
    -------
    float32, shape (n, d), C-contiguous.

    Raises
    ------
    QueryError
        If the shape is wrong, or a vector holds NaN or infinity, or has no length.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    if wide.ndim < 2:
        wide = wide.reshape(1, -1)
    if wide.ndim != 2 or (dimension is not None and wide.shape[1] != dimension):
        raise QueryError(
            f"vectors of shape {np.shape(vectors)} do not fit; this store compares vectors of dimension {dimension}."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        if len(wide) == 1:  # the same, at a third of the overhead
            length = math.sqrt(wide[0] @ wide[0])
            if SMALL < length < LARGE:
                return (wide / length).astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        if not ((lengths > SMALL) & (lengths < LARGE)).all():
            wide = _scaled(wide)
            lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    return np.ascontiguousarray(wide / lengths[:, None], dtype=np.float32)


def _scaled(wide: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors whose largest component is one, so that squares neither overflow nor vanish.

    Raises
    ------
    QueryError
        If a vector holds NaN or infinity, or has no length.
    """
    largest = np.abs(wide).max(axis=1, initial=0.0)
    good = (largest > 0) & (largest < np.inf)  # false for NaN
    if not good.all():
        first = int(np.argmin(good))
        raise QueryError(f"vector {first} of {len(wide)} holds NaN or infinity, or has no length; it has no direction.")
    exponent = np.frexp(largest)[1]
    scaled: NDArray[np.float64] = np.ldexp(wide, -exponent[:, None])
    return scaled


def round_mantissa(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round float32 to the 10 mantissa bits of a float16, ties to even; the exponent keeps its range.

    The thirteen zero bits compress away in Parquet, and the half-precision copy in the index is the same number.
    """
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
    return bits.view(np.float32)


ADJUSTED = 32
"""Components of a vector that may be moved to keep its length."""


def round_unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round unit vectors as :func:`round_mantissa` does, and keep them of length one.

    Where a few components hold most of a vector, rounding them changes its length by some 10⁻⁴, and of two
    near-duplicates the longer would win every search. The largest components in turn are moved by one unit in the last
    place where that brings the length nearer to one; the direction changes by less than rounding changed it.
    """
    rounded = round_mantissa(vectors)
    rows = np.arange(len(rounded))
    missing = 1 - np.einsum("ij,ij->i", rounded, rounded, dtype=np.float64)
    most = min(ADJUSTED, rounded.shape[1])
    largest = np.argpartition(-np.abs(rounded), most - 1, axis=1)[:, :most]
    order = np.argsort(-np.abs(rounded[rows[:, None], largest]), axis=1, kind="stable")
    for at in np.take_along_axis(largest, order, axis=1).T:
        size = np.abs(rounded[rows, at]).astype(np.float64)
        moved = size + np.sign(missing) * np.ldexp(1.0, np.frexp(size)[1] - 11)
        gained = moved**2 - size**2
        better = np.abs(missing - gained) < np.abs(missing)
        rounded[rows[better], at[better]] = np.copysign(moved, rounded[rows, at])[better]
        missing[better] -= gained[better]
    return rounded
