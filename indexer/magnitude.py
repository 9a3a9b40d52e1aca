"""Whether the numbers of a scene are in the units that an encoder was made for.

Reflectance from 0 to 1 where digital numbers up to 10,000 are expected, or power where decibels are, becomes vectors
that all look alike, and nothing afterwards tells why. Only images and radar are judged: land, water, snow and night
differ by much less than units do, while heights and slopes have no usual size.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import RasterError
from indexer.bands import is_reflectance

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.bands import Bands

TIMES = 200.0
"""Numbers that differ by more in every band are in other units."""
ENOUGH = 1_000
"""Pixels of a band that are not zero, of which it is judged."""
BRIGHT = 99
"""Percentile that stands for the largest numbers; a median stands for the usual ones."""
BYTE = 255
RADAR = re.compile(r"(sigma0_|gamma0_)?[vh][vh](_\w+)?", re.IGNORECASE)
NUMBERED = 3
"""Bands that have numbers for names are an image if there are so many."""


def check(pixels: NDArray[np.float32], valid: NDArray[np.bool_], modality: Modality, path: Path) -> bool:
    """Refuse numbers that are in every band far too small, far too large, or of the wrong sign; tell if any was judged.

    Parameters
    ----------
    pixels
        Some of the scene, physical units, shape (bands, h, w).
    valid
        Where there is data, shape (h, w).

    Raises
    ------
    RasterError
        If they are.
    """
    judged = [(band, numbers) for band in images(modality) if len(numbers := _nonzero(pixels[band][valid])) >= ENOUGH]
    if judged and all(_is_other(numbers, modality.mean[band], modality.std[band]) for band, numbers in judged):
        band, numbers = judged[0]
        _refuse(path, modality, f"are about {np.median(numbers):.3g}", band)
    return bool(judged)


def check_bytes(dtype: np.dtype[np.generic], bands: Bands, modality: Modality, path: Path) -> None:
    """Refuse a file of bytes if no band of its image can hold what is average.

    Raises
    ------
    RasterError
        If so.
    """
    judged = images(modality)
    most = [BYTE * bands.scale[band] + bands.offset[band] for band in judged]
    if dtype == np.uint8 and judged and all(m < modality.mean[b] for m, b in zip(most, judged, strict=True)):
        _refuse(path, modality, f"are bytes and reach {most[0]:.3g}", judged[0])


def images(modality: Modality) -> list[int]:
    """Return the bands that are an image or radar, of modalities that know their mean and spread."""
    numbers = sum(name.isdecimal() for name in modality.bands)
    return [
        at
        for at, name in enumerate(modality.bands)
        if (modality.mean[at], modality.std[at]) != (0.0, 1.0)
        and (numbers >= NUMBERED if name.isdecimal() else is_reflectance(name) or RADAR.fullmatch(name))
    ]


def _nonzero(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values[np.flatnonzero(values)]


def _is_other(values: NDArray[np.float32], mean: float, std: float) -> bool:
    """Tell whether numbers are in other units than those of a mean and a standard deviation."""
    sizes, usual = np.abs(values), float(np.hypot(mean, std))
    too_small = np.percentile(sizes, BRIGHT) * TIMES < usual
    too_large = np.median(sizes) > usual * TIMES
    other_sign = (values < 0).all() if mean > 0 else mean + 2 * std < 0 and (values > 0).all()
    return bool(too_small or too_large or other_sign)


def _refuse(path: Path, modality: Modality, numbers: str, band: int) -> None:
    mean, std = modality.mean[band], modality.std[band]
    raise RasterError(
        f"the numbers of {path} are in other units: those of band {modality.bands[band]} {numbers}, and the encoder "
        f"takes {mean:.4g} on average, give or take {std:.3g}. Give the file a scale and an offset (gdal_edit.py "
        f"-scale -offset), convert it, or use a store of its own."
    )
