"""Chips: square windows on a regular grid over a scene, their ids and their footprints.

The grid begins at the scene's first pixel and holds full windows only. It is cut into blocks of at most 64 x 64 chips,
the unit of work; nothing is worked out before its block is asked for, so a plan costs nothing however large the scene.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from embedstore import footprint
from embedstore.errors import BandError, GeometryError, RasterError, SpecError
from indexer import cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from indexer.rasters import Raster

BLOCK = 64
"""Chips along a side of a block: 4,096 in all, and near each other on the ground whatever the scene's width."""
STEP = 16
"""Chips along a side of what is left out at once where only some cells' chips are wanted."""


@dataclass(frozen=True)
class ChipPlan:
    """The chips of one scene.

    Parameters
    ----------
    raster
        The scene; of one of several modalities, the first.
    modality
        What the encoder calls this kind of input.
    size
        Side of a chip in pixels.
    stride
        Pixels from one chip to the next.
    aoi
        Area whose chips are wanted (shapely, degrees, cut at the antimeridian; see :mod:`embedstore.area`): those
        whose centre lies inside. All if None.
    beside
        Other modalities of the same chips, each with its raster on the same grid.
    source
        What the scene was called by, a raster file or a STAC Item; the raster's file if None.
    cells
        H3 cells (of any resolutions) whose chips are wanted: those whose centre belongs to one of them (see
        :mod:`indexer.cells`). They are one block, whatever its shape. All if empty.
    """

    raster: Raster
    modality: str
    size: int
    stride: int
    aoi: Any = None
    beside: tuple[tuple[str, Raster], ...] = ()
    source: Path | None = None
    cells: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or self.stride < 1:
            raise SpecError(f"chip size {self.size} and stride {self.stride} must both be at least one pixel.")
        fits = min(self.raster.width, self.raster.height)
        if fits < self.size:
            raise RasterError(
                f"{self.path} is {self.raster.width} x {self.raster.height} pixels, smaller than a chip of "
                f"{self.size} x {self.size}. Use --chip-size {fits} or less, in a store of its own."
            )

    @property
    def path(self) -> Path:
        """What the scene was called by."""
        return self.source or self.raster.path

    @property
    def layers(self) -> dict[str, Raster]:
        """Rasters by modality."""
        return {self.modality: self.raster, **dict(self.beside)}

    def only(self, modalities: Sequence[str]) -> ChipPlan:
        """Return the same chips with those modalities alone that are named.

        Raises
        ------
        BandError
            If none of them is there.
        """
        there = [(m, self.layers[m]) for m in modalities if m in self.layers]
        if not there:
            raise BandError(f"{self.path} has {', '.join(self.layers)}; what is asked for is {', '.join(modalities)}.")
        (modality, raster), *beside = there
        return replace(self, raster=raster, modality=modality, beside=tuple(beside))

    @property
    def interval(self) -> tuple[datetime | None, datetime | None]:
        """When the first and the last modality were taken, as far as that is known."""
        known = [r.datetime for r in self.layers.values() if r.datetime]
        return min(known, default=None), max(known, default=None)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return (self.raster.height - self.size) // self.stride + 1, (self.raster.width - self.size) // self.stride + 1

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks that hold chips, row by row."""
        rows, cols = self.shape
        if self.cells:
            areas = iter([self._near()])
        else:
            starts = ((top, left) for top in range(0, rows, BLOCK) for left in range(0, cols, BLOCK))
            areas = (np.mgrid[y : min(y + BLOCK, rows), x : min(x + BLOCK, cols)].reshape(2, -1) for y, x in starts)
        for row, col in areas:
            block = self._block(row * self.stride, col * self.stride)
            if len(block):
                yield block

    def count(self) -> int:
        """Return how many chips there are.

        Raises
        ------
        GeometryError
            If there are none: the area lies outside the scene, or between the centres of its chips.
        """
        rows, cols = self.shape
        chips = sum(map(len, self.blocks())) if self.cells or self.aoi is not None else rows * cols
        if not chips and self.aoi is None:
            raise GeometryError(f"no chip of {self.path} has its centre in one of the {len(self.cells)} cells wanted.")
        if not chips:
            raise GeometryError(
                f"no chip of {self.path} has its centre in the area of interest "
                f"({', '.join(f'{v:.4f}' for v in self.aoi.bounds)}). Does it lie over the scene, longitude first, and "
                f"is it larger than a chip of {self.size * self.raster.gsd:.0f} m?"
            )
        return chips

    def _near(self) -> NDArray[np.int64]:
        """Return row and column in the grid of the chips that may belong to the cells, row by row; shape (2, n)."""
        rows, cols = self.shape
        top, left = np.arange(0, rows, STEP), np.arange(0, cols, STEP)
        low, high = np.minimum(top + STEP, rows) - 1, np.minimum(left + STEP, cols) - 1
        sides = [((top + low) / 2, (left + high) / 2), (top, left), (top, high), (low, left), (low, high)]
        row, col = (np.stack([np.meshgrid(*s, indexing="ij")[i].ravel() for s in sides], axis=1) for i in (0, 1))
        lon, lat = self.raster.lonlat(col * self.stride + self.size / 2, row * self.stride + self.size / 2)
        kept = cells.near(lon, lat, self.cells).reshape(len(top), len(left))
        return np.stack(np.nonzero(kept.repeat(STEP, axis=0)[:rows].repeat(STEP, axis=1)[:, :cols]))

    def _block(self, row: NDArray[np.int64], col: NDArray[np.int64]) -> Block:
        """Return the chips that are wanted of those whose first pixels are given."""
        if self.aoi is None and not self.cells:
            return Block(self, row, col)
        lon, lat = self.raster.lonlat(col + self.size / 2, row + self.size / 2)
        inside = np.isfinite(lon) & np.isfinite(lat)
        lon = (lon + 180) % 360 - 180
        if self.aoi is not None:
            inside[inside] = shapely.contains_xy(self.aoi, lon[inside], lat[inside])
        if self.cells:
            inside[inside] = cells.owned(lon[inside], lat[inside], self.cells)
        return Block(self, row[inside], col[inside])


@dataclass(frozen=True)
class Block:
    """Some chips of a plan.

    Parameters
    ----------
    plan
        Whose chips they are.
    row, col
        First pixel of each window, int64 of shape (n,).
    """

    plan: ChipPlan
    row: NDArray[np.int64]
    col: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    def where(self, chosen: NDArray[Any]) -> Block:
        """Return the chips at some positions, or where a mask is true."""
        return Block(self.plan, self.row[chosen], self.col[chosen])

    @cached_property
    def ids(self) -> list[str]:
        """The id of each chip, 32 hex digits: the first half of the SHA-256 of its canonical JSON.

        The JSON names the inputs (modality, item, window), the time and the chip size; never a path.
        """
        plan = self.plan
        when = plan.interval[0]
        # The canonical JSON (see embedstore.spec.canonical_json) with its two numbers left open, to be quick.
        inputs = ",".join(
            f'{{"col":%d,"height":{plan.size},"item":{json.dumps(raster.item)},"modality":{json.dumps(modality)},'
            f'"row":%d,"width":{plan.size}}}'
            for modality, raster in plan.layers.items()
        )
        text = (
            f'{{"chip_size":{plan.size},"datetime":{json.dumps(when.isoformat() if when else None)},'
            f'"inputs":[{inputs}]}}'
        )
        each = len(plan.layers)
        windows = (window * each for window in zip(self.col.tolist(), self.row.tolist(), strict=True))
        return [hashlib.sha256((text % window).encode()).hexdigest()[:32] for window in windows]

    def footprints(self) -> NDArray[Any]:
        """Return the outline of each chip on the ground (shapely, degrees), None where a corner is off the Earth."""
        size = self.plan.size
        col = self.col[:, None] + np.array([0, 0, size, size])
        row = self.row[:, None] + np.array([0, size, size, 0])
        lon, lat = self.plan.raster.lonlat(col, row)
        there = (np.isfinite(lon) & np.isfinite(lat)).all(axis=1)
        shapes = np.full(len(self), None, object)
        if there.any():
            shapes[there] = footprint.footprints(lon[there], lat[there])
        return shapes
