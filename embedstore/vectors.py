"""Unit vectors with short mantissas: what is stored is exactly what is compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
    x = np.asarray(vectors, dtype=np.float32)
    if x.ndim < 2:
        x = x.reshape(1, -1)
    if x.ndim != 2 or (dimension is not None and x.shape[1] != dimension):
        raise QueryError(
            f"vectors of shape {np.shape(vectors)} do not fit; this store compares vectors of dimension {dimension}."
        )
    wide = x.astype(np.float64)
    if len(wide) == 1:  # the same, at a third of the overhead
        length = math.sqrt(wide[0] @ wide[0])
        if 0 < length < math.inf:
            return (wide / length).astype(np.float32)
    length = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    good = (length > 0) & (length < np.inf)  # false for NaN
    if not good.all():
        raise QueryError(
            f"vector {int(np.argmin(good))} of {len(x)} holds NaN or infinity, or has no length; it has no direction."
        )
    return np.ascontiguousarray(wide / length[:, None], dtype=np.float32)


def round_mantissa(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round float32 to the 10 mantissa bits of a float16, ties to even; the exponent keeps its range.

    The thirteen zero bits compress away in Parquet, and the half-precision copy in the index is the same number.
    """
    bits = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    bits = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
    return bits.view(np.float32)
