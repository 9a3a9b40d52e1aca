"""The modalities of a scene, open for reading, and what they look like in one window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import RasterError
from indexer import magnitude
from indexer.thumbnails import Painter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.chips import ChipPlan
    from indexer.rasters import Raster, Reader


SPARSE = 4
"""Pixels from one that is looked at for its size to the next."""


class Layer:
    """One modality of a scene; one for each thread.

    Parameters
    ----------
    raster
        Where its pixels are.
    modality
        Which of its bands the encoder takes.
    bit
        Of the modality, in the table's column ``modalities``.
    size
        Side of a chip.

    Raises
    ------
    RasterError, BandError
        If the file cannot be opened, lacks a band, or holds bytes where the encoder takes larger numbers.
    """

    def __init__(self, raster: Raster, modality: Modality, bit: int, size: int) -> None:
        self.modality = modality
        self.bit = bit
        self.reader: Reader = raster.reader(modality.bands)
        self._judged = not magnitude.images(modality)  # there is nothing to judge in heights
        try:
            magnitude.check_bytes(self.reader.dtype, self.reader.bands, modality, raster.path)
        except RasterError:
            self.reader.close()
            raise
        self.painter = Painter(modality, self.reader.bands, size)

    def look(self, row: int, col: int, height: int, width: int) -> Look:
        """Read a window; it is good until the next look.

        Raises
        ------
        RasterError
            If it cannot be read, or the first that holds enough data is in other units than the encoder takes.
        """
        stored, valid = self.reader.stored(row, col, height, width)
        seen = valid[::SPARSE, ::SPARSE]
        if not self._judged and seen.any():
            some = stored[:, ::SPARSE, ::SPARSE]
            pixels = np.empty(some.shape, np.float32)
            self.reader.bands.physical(some, pixels)
            self._judged = magnitude.check(pixels, seen, self.modality, self.reader.path)
        return Look(self, stored, valid, bool(valid.all()))


@dataclass(frozen=True, eq=False)
class Look:
    """A window of one modality.

    Parameters
    ----------
    layer
        Whose window.
    stored
        Shape (bands, h, w), as they stand in the file.
    valid
        Where there is data, shape (h, w).
    whole
        Whether that is everywhere.
    """

    layer: Layer
    stored: NDArray[Any]
    valid: NDArray[np.bool_]
    whole: bool

    def fraction(self, chip: tuple[slice, slice]) -> float:
        """Return the share of a chip's pixels that hold data."""
        return 1.0 if self.whole else float(self.valid[chip].mean())

    def thumbnail(self, row: int, col: int) -> bytes:
        """Return a picture of the chip that begins at a pixel of the window."""
        return self.layer.painter.thumbnail(self._light, row, col)

    @cached_property
    def _light(self) -> NDArray[np.uint8]:
        return self.layer.painter.stretch(self.stored, self.valid)


def open_layers(plan: ChipPlan, modalities: Sequence[Modality]) -> list[Layer]:
    """Open those modalities of an encoder that a scene has, in the encoder's order.

    Raises
    ------
    RasterError, BandError
        If a file cannot be opened, or lacks a band.
    """
    layers: list[Layer] = []
    try:
        for number, modality in enumerate(modalities):
            if modality.name in plan.layers:
                layers.append(Layer(plan.layers[modality.name], modality, 1 << number, plan.size))
    except BaseException:
        close(layers)
        raise
    return layers


def close(layers: Sequence[Layer]) -> None:
    """Close the files."""
    for layer in layers:
        layer.reader.close()
