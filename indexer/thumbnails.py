"""Small pictures of chips, for people who look at hits."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.bands import Bands

SIDE = 64
"""Longest side in pixels."""
COLOURS = (("B04", "B03", "B02"), ("R", "G", "B"))
STRETCH = 2.0
"""Standard deviations on either side of the mean that fill the range from black to white."""


class Painter:
    """Makes thumbnails of the chips of one scene.

    Parameters
    ----------
    modality
        Its bands choose the colours (red, green, blue; else the first three; else grey), its mean and std the stretch.
    bands
        Of the scene, in the modality's order: what its numbers mean.
    size
        Side of a chip in pixels.
    """

    def __init__(self, modality: Modality, bands: Bands, size: int) -> None:
        names = next((c for c in COLOURS if set(c) <= set(modality.bands)), modality.bands[:3])
        self._at = [modality.bands.index(n) for n in (names if len(names) == 3 else names[:1])]
        self._bands = bands.select([bands.names[i] for i in self._at], "the scene")
        std = np.array([modality.std[i] for i in self._at], np.float32)
        mean = np.array([modality.mean[i] for i in self._at], np.float32)
        self._gain = (255 / (2 * STRETCH * std))[:, None, None]
        self._lift = 127.5 - mean[:, None, None] * self._gain
        self._step = -(-size // SIDE)
        self._side = size // self._step

    def stretch(self, stored: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return a tile as eyes see it, in the size of thumbnails: shape (h, w, colours), black where there is no data.

        Parameters
        ----------
        stored
            Shape (bands, h, w), as they stand in the file.
        valid
            Shape (h, w).
        """
        step = self._step
        height, width = (n // step * step for n in valid.shape)
        # The mean of four pixels of each step x step looks like that of all, and costs a fraction.
        corners = [(i, j) for i in {step // 4, step // 2} for j in {step // 4, step // 2}]
        level = np.zeros((len(self._at), height // step, width // step), np.float32)
        one = np.empty_like(level)
        for i, j in corners:
            self._bands.physical(stored[:, i:height:step, j:width:step][self._at], one)
            level += one
        level *= self._gain / len(corners)
        level += self._lift
        light = np.empty((*level.shape[1:], len(level)), np.uint8)
        np.clip(level.transpose(1, 2, 0), 0, 255, out=light, casting="unsafe")
        seen = valid[:height:step, :width:step]
        if not seen.all():
            light[~seen] = 0
        return light

    def thumbnail(self, light: NDArray[np.uint8], row: int, col: int) -> bytes:
        """Return the chip that starts at a pixel of a stretched tile as a WebP of at most 64 x 64 pixels."""
        top, left = row // self._step, col // self._step
        chip = np.ascontiguousarray(light[top : top + self._side, left : left + self._side])
        out = io.BytesIO()
        Image.fromarray(chip if chip.shape[2] == 3 else chip[..., 0]).save(out, "WEBP", quality=70, method=0)
        return out.getvalue()
