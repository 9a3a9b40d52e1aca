"""How farmland is cut up: blocks, each turned its own way, of rows of parcels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.landscape.noise import Cells, hashed, normal, salt, uniform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from indexer.landscape.noise import Noise
    from indexer.landscape.regions import Region

QUARTER = 80.0
"""Pixels: half a mile, which a circle of irrigation fills."""


@dataclass(frozen=True)
class Parcels:
    """The parcel of every pixel.

    Parameters
    ----------
    block
        Blocks, as cells.
    angle
        Which way a block is turned, radians.
    along, across
        Position in the block's own frame, in pixels.
    edge
        Pixels to the parcel's nearest border.
    circle
        Whether the pixel is in a circle of irrigation, and whether in the corner that one leaves over: 1, -1, or 0.
    keys
        uint32, the hash of each parcel.
    index
        Of the pixels into `keys`.
    """

    block: Cells
    angle: NDArray[np.float32]
    along: NDArray[Any]
    across: NDArray[Any]
    edge: NDArray[np.float32]
    circle: NDArray[np.int8]
    keys: NDArray[np.uint32]
    index: NDArray[np.int64]

    def share(self, name: str) -> NDArray[np.float32]:
        """Return a number of [0, 1) of each parcel, by the name of what it decides."""
        return uniform(self.keys, salt(name))

    def tint(self, name: str) -> NDArray[np.float32]:
        """Return of every pixel a standard normal number that its parcel shares."""
        return np.asarray(normal(self.keys, salt(name))[self.index])


def divide(noise: Noise, region: Region) -> Parcels:
    """Return the parcels of a window."""
    bend = 2.5 * min(region.jitter, 0.8)
    rows = noise.rows + bend * noise.smooth("lane down", 24)
    cols = noise.cols + bend * noise.smooth("lane right", 24)
    block = noise.cells("blocks", region.blocks, region.jitter, rows, cols)
    angle = (region.turn * (uniform(block.ident, 3) - np.float32(0.5))).astype(np.float32)
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = cos * block.right + sin * block.down, cos * block.down - sin * block.right
    # Each block has its own size of parcels, each row its own offset, so that no grid runs through the land.
    width = region.parcel[0] * np.exp(0.3 * normal(block.ident, 4))
    length = region.parcel[1] * np.exp(0.25 * normal(block.ident, 5))
    row = np.floor(across / length + uniform(block.ident, 6))
    to_row = _to_border(across / length + uniform(block.ident, 6)) * length
    wide = width * (0.7 + 0.8 * uniform(block.ident, row, 7))
    place = along / wide + uniform(block.ident, row, 8)
    column = np.floor(place)
    to_column = _to_border(place) * wide
    # Every third pair of neighbours is one parcel.
    pair = np.floor(column / 2)
    joined = uniform(block.ident, row, pair, 9) < 0.33
    inner = joined & (_to_border(place / 2) * 2 * wide > to_column + np.float32(0.01))
    to_column = np.where(inner, _to_border(place / 2) * 2 * wide, to_column)
    ident = hashed(block.ident, row, np.where(joined, pair, column), joined)
    edge = np.minimum(np.minimum(to_row, to_column), block.edge).astype(np.float32)
    circle = np.zeros(ident.shape, np.int8)
    if region.pivots:
        quarter = hashed(block.ident, np.floor(along / QUARTER), np.floor(across / QUARTER))
        out = np.hypot(along % QUARTER - QUARTER / 2, across % QUARTER - QUARTER / 2)
        has = uniform(quarter, 10) < region.pivots
        circle = np.where(has, np.where(out < 0.48 * QUARTER, 1, -1), 0).astype(np.int8)
        ident = np.where(has, hashed(quarter, circle), ident)
        edge = np.where(has, np.abs(out - np.float32(0.48 * QUARTER)), edge)
    keys, index = np.unique(ident, return_inverse=True)
    return Parcels(block, angle, along, across, edge, circle, keys, index.reshape(ident.shape))


def _to_border(place: NDArray[np.float32]) -> NDArray[np.float32]:
    part = place - np.floor(place)
    return np.minimum(part, 1 - part)
