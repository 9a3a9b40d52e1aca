"""Small pictures of chips, for people who look at hits."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstore.spec import Modality

SIDE = 64
"""Longest side in pixels."""
COLOURS = (("B04", "B03", "B02"), ("R", "G", "B"))
STRETCH = 2.0
"""Standard deviations on either side of the mean that fill the range from black to white."""


class Painter:
    """Makes thumbnails of chips of one modality.

    Parameters
    ----------
    modality
        Its bands choose the colours (red, green, blue; else the first three; else grey), its mean and std the stretch.
    """

    def __init__(self, modality: Modality) -> None:
        names = next((c for c in COLOURS if set(c) <= set(modality.bands)), modality.bands[:3])
        self.bands = [modality.bands.index(n) for n in (names if len(names) == 3 else names[:1])]
        std = np.array([modality.std[b] for b in self.bands], np.float32)
        mean = np.array([modality.mean[b] for b in self.bands], np.float32)
        self._gain = 255 / (2 * STRETCH * std)
        self._lift = 127.5 - mean * self._gain

    def stretch(self, pixels: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return pixels as eyes see them: shape (h, w, colours), black where there is no data.

        Parameters
        ----------
        pixels
            Shape (bands, h, w), physical units.
        valid
            Shape (h, w).
        """
        light = np.empty((*valid.shape, len(self.bands)), np.uint8)
        for channel, band in enumerate(self.bands):
            level = pixels[band] * self._gain[channel]
            level += self._lift[channel]
            light[..., channel] = np.clip(level, 0, 255, out=level)
        if not valid.all():
            light[~valid] = 0
        return light


def webp(light: NDArray[np.uint8]) -> bytes:
    """Return a picture of shape (h, w, colours) as a WebP of at most 64 × 64 pixels."""
    image = Image.fromarray(np.ascontiguousarray(light if light.shape[2] == 3 else light[..., 0]))
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=70, method=0)
    return out.getvalue()
