"""Whether the numbers of a scene are of the size that an encoder was made for.

Reflectance from 0 to 1 where digital numbers up to 10,000 are expected, or power where decibels are, becomes vectors
that all look alike, and nothing afterwards tells why. Land, water, snow and night differ by much less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import RasterError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.bands import Bands

TIMES = 200.0
"""Numbers that differ by more in every band are in other units."""
BYTE = 255


def check(pixels: NDArray[np.float32], valid: NDArray[np.bool_], modality: Modality, path: Path) -> None:
    """Refuse numbers that are in every band far too small or far too large for a modality.

    Parameters
    ----------
    pixels
        Some of the scene, physical units, shape (bands, h, w).
    valid
        Where there is data, shape (h, w).

    Raises
    ------
    RasterError
        If they are; bands of zeros alone are not judged.
    """
    usual = np.hypot(modality.mean, modality.std)
    typical = np.array([_typical(band[valid]) for band in pixels])
    seen = np.flatnonzero(np.isfinite(typical))
    times = typical[seen] / usual[seen]
    if len(seen) and ((times < 1 / TIMES).all() or (times > TIMES).all()):
        _refuse(path, modality, f"are about {typical[seen[0]]:.3g}", int(seen[0]))


def check_bytes(dtype: np.dtype[np.generic], bands: Bands, modality: Modality, path: Path) -> None:
    """Refuse a file of bytes if none of its bands can hold what is average.

    Raises
    ------
    RasterError
        If so.
    """
    most = BYTE * np.array(bands.scale) + bands.offset
    if dtype == np.uint8 and (most < modality.mean).all():
        _refuse(path, modality, f"are bytes and reach {most[0]:.3g}", 0)


def _typical(values: NDArray[np.float32]) -> float:
    """Return the median size of what is not zero, NaN if there is none."""
    sizes = np.abs(values[values != 0])
    return float(np.median(sizes)) if len(sizes) else np.nan


def _refuse(path: Path, modality: Modality, numbers: str, band: int) -> None:
    mean, std = modality.mean[band], modality.std[band]
    raise RasterError(
        f"the numbers of {path} are in other units: those of band {modality.bands[band]} {numbers}, and the encoder "
        f"takes {mean:.4g} on average, give or take {std:.3g}. Give the file a scale and an offset (gdal_edit.py "
        f"-scale -offset), convert it, or use a store of its own."
    )
