"""A few chips spread over the scenes, from which an encoder learns what the bands look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import RasterError
from embedstore.spec import Modality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from indexer.chips import ChipPlan

CHIPS = 256
PIXELS = 4 << 20
"""No sample holds more chips than these, nor more pixels a band."""


@dataclass(frozen=True)
class Sample:
    """Chips to learn from.

    Parameters
    ----------
    bands
        Their names, in order.
    pixels
        float32, shape (n, bands, size, size), physical units, 0 where there is no data.
    valid
        bool, shape (n, size, size).
    gsd
        Ground sample distance in metres.
    beside
        Other modalities of the same scenes.
    """

    bands: tuple[str, ...]
    pixels: NDArray[np.float32]
    valid: NDArray[np.bool_]
    gsd: float
    beside: tuple[Sample, ...] = ()

    @property
    def chip_size(self) -> int:
        """Side of a chip in pixels."""
        return int(self.valid.shape[1])

    def modality(self, name: str) -> Modality:
        """Return these bands with the mean and standard deviation of their valid pixels, to six digits."""
        mean, std = [], []
        for band in range(len(self.bands)):
            values = self.pixels[:, band][self.valid].astype(np.float64)
            mean.append(float(f"{values.mean():.6g}"))
            std.append(float(f"{values.std():.6g}") or 1.0)  # a constant band says nothing; it becomes 0
        return Modality(name, self.bands, tuple(mean), tuple(std))


def draw(plans: Sequence[ChipPlan], bands: tuple[str, ...]) -> Sample:
    """Read chips spread evenly over the scenes; the same scenes in any order give the same sample.

    Raises
    ------
    RasterError
        If no chip holds data, or a file cannot be read.
    """
    plans = sorted(plans, key=lambda p: p.raster.item)
    size = plans[0].size
    wanted = max(1, min(CHIPS, PIXELS // size**2) // len(plans))
    pixels, valid = [], []
    for plan in plans:
        with plan.raster.reader(bands) as reader:
            found = 0
            for row, col in _spread(plan, 8 * wanted):
                chip, where = reader.read(row, col, size, size)
                if where.any():
                    pixels.append(chip)
                    valid.append(where)
                    found += 1
                if found == wanted:
                    break
    if not pixels:
        raise RasterError(
            f"none of the chips looked at in {', '.join(str(p.raster.path) for p in plans)} holds a pixel of data in "
            f"all of the bands {', '.join(bands)}; check nodata, masks and --bands."
        )
    return Sample(bands, np.stack(pixels), np.stack(valid), plans[0].raster.gsd)


def _spread(plan: ChipPlan, count: int) -> list[tuple[int, int]]:
    """Return at most `count` windows, in an order whose every beginning is spread over the scene.

    The R2 sequence (Roberts 2018, "The unreasonable effectiveness of quasirandom sequences").
    """
    rows, cols = ((side - plan.size) for side in (plan.raster.height, plan.raster.width))
    step = np.arange(count)[:, None] * np.array([0.7548776662466927, 0.5698402909980532]) + 0.5
    at = np.rint(step % 1 * [rows, cols]).astype(int)
    return list(dict.fromkeys(map(tuple, at.tolist())))
