"""Mean and standard deviation of each channel of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import RasterError
from embedstore.spec import Modality
from indexer.pretrain.modalities import PIXELS

if TYPE_CHECKING:
    from indexer.pretrain.sources.batch import Source

CHIPS = 1000
"""As the authors of the multimodal embeddings (arXiv 2310.00119) take for theirs."""
AT_ONCE = 50


def statistics(source: Source, size: int, seed: int, chips: int = CHIPS) -> dict[str, Modality]:
    """Return the modalities of a source, from chips drawn at random.

    A channel without any data gets mean 0 and standard deviation 1, a constant one its value and 1.

    Parameters
    ----------
    source
        What to look at.
    size
        Side of the chips in pixels.
    seed
        Of the draw.
    chips
        How many to draw.

    Raises
    ------
    RasterError
        If no modality has a pixel of data.
    """
    rng = np.random.default_rng((seed, 0x57A7))
    count = {name: np.zeros(len(bands)) for name, bands in PIXELS.items()}
    total = {name: np.zeros(len(bands)) for name, bands in PIXELS.items()}
    squares = {name: np.zeros(len(bands)) for name, bands in PIXELS.items()}
    shift: dict[str, np.ndarray] = {}
    for start in range(0, chips, AT_ONCE):
        (batch,) = source.draw(min(AT_ONCE, chips - start), size, 1, rng)
        for name, pixels in batch.pixels.items():
            seen = np.isfinite(pixels)
            held = seen.sum((0, 2, 3))
            values = np.where(seen, pixels, 0)
            # Sums about a rough mean, or those of squares would lose the digits that matter.
            about = shift.setdefault(name, values.sum((0, 2, 3), np.float64) / np.maximum(held, 1))
            values = np.where(seen, values - about[:, None, None], 0)
            count[name] += held
            total[name] += values.sum((0, 2, 3), np.float64)
            squares[name] += np.square(values, dtype=np.float64).sum((0, 2, 3))
    found = {}
    for name, bands in PIXELS.items():
        if count[name].any():
            n = np.maximum(count[name], 1)
            off = total[name] / n
            std = np.sqrt(np.maximum(squares[name] / n - off**2, 0))
            found[name] = Modality(name, bands, _six_digits(shift[name] + off), _six_digits(np.where(std > 0, std, 1)))
    if not found:
        raise RasterError(f"none of {chips} chips drawn from {source.describe()} holds a pixel of data.")
    return found


def _six_digits(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(f"{v:.6g}") for v in values)
