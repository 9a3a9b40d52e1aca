"""Rasters whose pixels are vectors: every pixel becomes a chip, or a square of them by its mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from embedstore import schema
from embedstore.errors import EmbeddingsError
from indexer.chips import ChipPlan
from indexer.importers.source import Model, Options, Unit, chips, moments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from indexer.chips import Block
    from indexer.rasters import Raster

STRIP = 256
"""Rows of pixels that are read at once, or as many as a chip has."""
LENGTH_ERROR = 0.1
"""How far from one the middle length of vectors may be that are said to be of unit length."""


class VectorReader(Protocol):
    """Gives the vectors of pixels, dequantised."""

    def __call__(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return vectors, shape (d, height, width), and where there are any."""
        ...


@dataclass
class PixelSource:
    """A raster of vectors.

    Parameters
    ----------
    path
        The file.
    layout
        What it was recognised as.
    model
        Who made the vectors, of single pixels.
    raster
        Where its pixels lie.
    read
        Its vectors.
    options
        What the caller says.
    unit_length
        Whether the model gives vectors of length one, so that a wrong dequantisation shows.
    """

    path: Path
    layout: str
    model: Model
    raster: Raster
    read: VectorReader
    options: Options
    unit_length: bool
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        side = self.options.chip_size or 1
        if self.options.model:
            self.model = replace(self.model, name=self.options.model)
        if side > 1:
            self.model = replace(self.model, chip_size=side, pooling="mean of pixels")
        when = self.options.span[0] if self.options.span else None
        self._plan = ChipPlan(replace(self.raster, datetime=when), self.model.name, side, side, source=self.path)

    def units(self) -> Iterator[Unit]:
        """Yield blocks of at most 64 x 64 chips."""
        for block in self._plan.blocks():
            key = [self.raster.item, int(block.row[0]), int(block.col[0]), len(block), self._plan.size]
            yield Unit([*key, str(self.options.span)], len(block), partial(self._chips, block))

    def _chips(self, block: Block) -> pa.Table:
        """Return the chips of a block that hold data."""
        size = self._plan.size
        top, left = int(block.row[0]), int(block.col[0])
        height, width = int(block.row[-1]) + size - top, int(block.col[-1]) + size - left
        step = max(1, STRIP // size) * size
        vectors, fractions = [], []
        for row in range(0, height, step):
            pixels, valid = self.read(top + row, left, min(step, height - row), width)
            self._check_lengths(pixels, valid)
            mean, fraction = _averaged(pixels, valid, size)
            vectors.append(mean)
            fractions.append(fraction)
        means, fraction = np.concatenate(vectors), np.concatenate(fractions)
        shapes = block.footprints()
        keep = np.flatnonzero((fraction > 0) & (means != 0).any(axis=1) & np.array([s is not None for s in shapes]))
        if not len(keep):
            return schema.CHIPS.empty_table()
        kept, n = block.where(keep), len(keep)
        origin = {
            "item": [self.raster.item] * n,
            "href": [str(self.path.absolute())] * n,
            "row": kept.row.astype(np.int32),
            "col": kept.col.astype(np.int32),
            "height": np.full(n, size, np.int32),
            "width": np.full(n, size, np.int32),
        }
        times = moments(self.options.span, n)
        return chips(kept.ids, shapes[keep], times, origin, fraction[keep], means[keep])

    def _check_lengths(self, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        if not self.unit_length or not valid.any():
            return
        length = float(np.median(np.linalg.norm(pixels[:, valid], axis=0)))
        if abs(length - 1) > LENGTH_ERROR:
            raise EmbeddingsError(
                f"vectors of {self.layout} have length 1; dequantised, those of {self.path} have {length:.3g}. The "
                "file was quantised another way: dequantise it to float32 yourself, and import it as an array."
            )


def _averaged(
    pixels: NDArray[np.float32], valid: NDArray[np.bool_], size: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of the vectors of each square of pixels, shape (n, d), and the share of it that holds data."""
    dimension, height, width = pixels.shape
    squares = (height // size, size, width // size, size)
    pixels[:, ~valid] = 0
    total = pixels.reshape(dimension, *squares).sum(axis=(2, 4))
    count = valid.reshape(squares).sum(axis=(1, 3)).ravel()
    mean = np.ascontiguousarray(total.reshape(dimension, -1).T) / np.maximum(count, 1)[:, None]
    return mean.astype(np.float32), (count / size**2).astype(np.float32)
