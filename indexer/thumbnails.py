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

    def stretch(self, stored: NDArray[Any], valid: NDArray[np.bool_], bands: Bands) -> NDArray[np.uint8]:
        """Return pixels as eyes see them: shape (h, w, colours), black where there is no data.

        Parameters
        ----------
        stored
            Shape (bands, h, w), as they stand in the file.
        valid
            Shape (h, w).
        bands
            What the numbers mean.
        """
        light = np.empty((*valid.shape, len(self.bands)), np.uint8)
        level = np.empty((1, *valid.shape), np.float32)
        for channel, (band, one) in enumerate(self._each(bands)):
            one.physical(stored[band : band + 1], level)
            level *= self._gain[channel]
            level += self._lift[channel]
            light[..., channel] = np.clip(level[0], 0, 255, out=level[0])
        if not valid.all():
            light[~valid] = 0
        return light

    def _each(self, bands: Bands) -> list[tuple[int, Bands]]:
        return [(band, bands.select([bands.names[band]], "the scene")) for band in self.bands]


def webp(light: NDArray[np.uint8]) -> bytes:
    """Return a picture of shape (h, w, colours) as a WebP of at most 64 x 64 pixels."""
    image = Image.fromarray(np.ascontiguousarray(light if light.shape[2] == 3 else light[..., 0]))
    if max(image.size) > SIDE:
        image = image.reduce(-(-max(image.size) // SIDE))
    out = io.BytesIO()
    image.save(out, "WEBP", quality=70, method=0)
    return out.getvalue()
