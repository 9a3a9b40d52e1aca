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
    """

    def __init__(self, modality: Modality, bands: Bands) -> None:
        names = next((c for c in COLOURS if set(c) <= set(modality.bands)), modality.bands[:3])
        self._at = [modality.bands.index(n) for n in (names if len(names) == 3 else names[:1])]
        self._bands = bands.select([bands.names[i] for i in self._at], "the scene")
        std = np.array([modality.std[i] for i in self._at], np.float32)
        mean = np.array([modality.mean[i] for i in self._at], np.float32)
        self._gain = (255 / (2 * STRETCH * std))[:, None, None]
        self._lift = 127.5 - mean[:, None, None] * self._gain

    def paint(self, stored: NDArray[Any], valid: NDArray[np.bool_]) -> bytes:
        """Return a chip as eyes see it, black where there is no data: a WebP of at most 64 x 64 pixels.

        Parameters
        ----------
        stored
            Shape (bands, h, w), as they stand in the file.
        valid
            Shape (h, w).
        """
        step = -(-max(valid.shape) // SIDE)
        # The mean of four pixels of each step x step looks like that of all, and costs a fraction.
        corners = [(i, j) for i in {step // 4, step // 2} for j in {step // 4, step // 2}]
        seen = valid[: valid.shape[0] // step * step, : valid.shape[1] // step * step][::step, ::step]
        level = np.zeros((len(self._at), *seen.shape), np.float32)
        one = np.empty_like(level)
        for i, j in corners:
            pixels = stored[:, i::step, j::step][self._at, : seen.shape[0], : seen.shape[1]]
            self._bands.physical(pixels, one)
            level += one
        level *= self._gain / len(corners)
        level += self._lift
        light = np.clip(level, 0, 255, out=level).astype(np.uint8).transpose(1, 2, 0)
        if not seen.all():
            light = light * seen[..., None]
        image = Image.fromarray(np.ascontiguousarray(light if light.shape[2] == 3 else light[..., 0]))
        out = io.BytesIO()
        image.save(out, "WEBP", quality=70, method=0)
        return out.getvalue()
