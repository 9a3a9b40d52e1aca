"""Random functions of position: a place has its value whoever asks, in whatever order.

Everything here hashes integer positions, so that windows that overlap agree where they do.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNIT = np.float32(2**-24)
SPREAD = 0.479365
"""Sum of squares of the weights of a cubic B-spline, 151/315, averaged over positions."""
NEIGHBOURS = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1))


def hashed(*keys: Any) -> NDArray[np.uint32]:
    """Return well mixed 32 bits of integer arrays that broadcast (the finaliser of MurmurHash3, Appleby)."""
    mixed = np.zeros((1,) * max(np.ndim(k) for k in keys) or (1,), np.uint32)
    for key in keys:
        mixed = (mixed ^ np.asarray(key).astype(np.int64).astype(np.uint32)) * np.uint32(0x9E3779B1)
        mixed = mixed ^ (mixed >> np.uint32(16))
        mixed = mixed * np.uint32(0x85EBCA6B)
        mixed = mixed ^ (mixed >> np.uint32(13))
        mixed = mixed * np.uint32(0xC2B2AE35)
        mixed = mixed ^ (mixed >> np.uint32(16))
    return mixed


def uniform(*keys: Any) -> NDArray[np.float32]:
    """Return numbers of [0, 1) that integer arrays decide."""
    return (hashed(*keys) >> np.uint32(8)).astype(np.float32) * UNIT


def normal(*keys: Any) -> NDArray[np.float32]:
    """Return nearly normal numbers that integer arrays decide: the sum of the four bytes of a hash."""
    bits = hashed(*keys)
    total = np.zeros(bits.shape, np.float32)
    for shift in (0, 8, 16, 24):
        total += ((bits >> np.uint32(shift)) & np.uint32(255)).astype(np.float32)
    return (total - np.float32(510.0)) / np.float32(147.8)


def salt(*parts: object) -> int:
    """Return 32 bits for a name."""
    return zlib.crc32("/".join(map(str, parts)).encode())


def above(share: float) -> float:
    """Return what a standard normal number exceeds in a share of cases."""
    return NormalDist().inv_cdf(min(max(1 - share, 1e-6), 1 - 1e-6))


def step(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    """Return 0 below `low`, 1 above `high`, and a smooth way between them."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blur(values: NDArray[Any], spread: float) -> NDArray[np.float32]:
    """Return a smoothed field: a Gaussian of so many pixels, cut off at three of its widths."""
    from scipy import ndimage  # noqa: PLC0415 - slow to import

    return np.asarray(ndimage.gaussian_filter(values, spread, output=np.float32, truncate=3))


@dataclass(frozen=True)
class Cells:
    """Voronoi cells of jittered sites: of every pixel, its site.

    Parameters
    ----------
    ident
        uint32, a hash of the site.
    down, right
        Pixels from the site.
    distance, edge
        Pixels to the site, and about as many to the cell's border.
    """

    ident: NDArray[np.uint32]
    down: NDArray[np.float32]
    right: NDArray[np.float32]
    distance: NDArray[np.float32]
    edge: NDArray[np.float32]


@dataclass(frozen=True)
class Noise:
    """Random fields over a square window of pixels; each has a name, and another name is another field.

    Parameters
    ----------
    seed
        Names the world.
    row, col
        First pixel, counted from the world's origin.
    side
        Of the window in pixels.
    """

    seed: str
    row: int
    col: int
    side: int

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the pixels, shape (side, 1)."""
        return np.arange(self.row, self.row + self.side)[:, None]

    @cached_property
    def cols(self) -> NDArray[np.int64]:
        """Columns of the pixels, shape (1, side)."""
        return np.arange(self.col, self.col + self.side)[None, :]

    def white(self, name: str) -> NDArray[np.float32]:
        """Return a standard normal number of every pixel by itself."""
        return normal(self.rows, self.cols, salt(self.seed, name))

    def smooth(self, name: str, scale: float) -> NDArray[np.float32]:
        """Return a field of unit variance whose lattice is `scale` pixels wide: a random cubic B-spline."""
        down, top = _weights(self.rows[:, 0], scale)
        right, left = _weights(self.cols[0], scale)
        lattice = self._lattice(name, top, left, down.shape[1], right.shape[1])
        return np.asarray(down @ lattice @ right.T, np.float32)

    def fractal(self, name: str, scale: float, octaves: int, gain: float = 0.5) -> NDArray[np.float32]:
        """Return a field of unit variance with detail: each octave half as wide as the last, `gain` times as strong."""
        total = np.zeros((self.side, self.side), np.float32)
        for k in range(octaves):
            total += np.float32(gain**k) * self.smooth(f"{name}.{k}", scale / 2**k)
        return np.asarray(total / np.sqrt(sum(gain ** (2 * k) for k in range(octaves))), np.float32)

    def at(self, name: str, scale: float, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
        """Return :meth:`smooth` at positions between pixels, float, both of one shape."""
        from scipy import ndimage  # noqa: PLC0415 - slow to import

        rows, cols = rows.astype(np.float64) / scale, cols.astype(np.float64) / scale
        top, left = int(np.floor(rows.min())) - 1, int(np.floor(cols.min())) - 1
        height, width = int(np.floor(rows.max())) + 3 - top, int(np.floor(cols.max())) + 3 - left
        # Unfiltered, third order is the same cubic B-spline.
        return np.asarray(
            ndimage.map_coordinates(
                self._lattice(name, top, left, height, width),
                (rows - top, cols - left),
                order=3,
                prefilter=False,
                mode="nearest",
                output=np.float32,
            )
        )

    def cells(
        self, name: str, spacing: float, jitter: float, rows: NDArray[Any] | None = None, cols: Any = None
    ) -> Cells:
        """Return the cells of sites on a lattice, each moved by up to `jitter` / 2 of its spacing.

        Parameters
        ----------
        name, spacing, jitter
            Of the lattice; spacing in pixels.
        rows, cols
            Positions of the pixels, if not their own; shape (side, side).
        """
        if rows is None:
            rows, cols = np.broadcast_arrays(self.rows, self.cols)
        rows, cols = rows.astype(np.float64) / spacing, cols.astype(np.float64) / spacing
        i, j = np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64)
        top, left = int(i.min()) - 1, int(j.min()) - 1
        site_i = np.arange(top, int(i.max()) + 2)[:, None]
        site_j = np.arange(left, int(j.max()) + 2)[None, :]
        key = salt(self.seed, name)
        ident = hashed(site_i, site_j, key)
        down = (site_i + 0.5 + jitter * (uniform(ident, 1) - 0.5)).ravel()
        right = (site_j + 0.5 + jitter * (uniform(ident, 2) - 0.5)).ravel()
        home = (i - top) * site_j.size + (j - left)
        best = np.full(rows.shape, np.inf)
        second, nearest = best, home
        for di, dj in NEIGHBOURS:
            site = home + di * site_j.size + dj
            away = (rows - down[site]) ** 2 + (cols - right[site]) ** 2
            second = np.minimum(second, np.maximum(best, away))
            nearest = np.where(away < best, site, nearest)
            best = np.minimum(best, away)
        best, second = np.sqrt(best), np.sqrt(second)

        def pixels(values: NDArray[np.float64]) -> NDArray[np.float32]:
            return (values * spacing).astype(np.float32)

        return Cells(
            ident.ravel()[nearest],
            pixels(rows - down[nearest]),
            pixels(cols - right[nearest]),
            pixels(best),
            pixels((second - best) / 2),
        )

    def _lattice(self, name: str, top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
        i, j = np.arange(top, top + height)[:, None], np.arange(left, left + width)[None, :]
        return (uniform(i, j, salt(self.seed, name)) - np.float32(0.5)) * np.float32(np.sqrt(12) / SPREAD)


def _weights(positions: NDArray[np.int64], scale: float) -> tuple[NDArray[np.float32], int]:
    """Return the B-spline weights of lattice points, shape (n, points), and the first point."""
    at = positions / scale
    first = int(np.floor(at[0])) - 1
    away = np.abs(at[:, None] - np.arange(first, int(np.floor(at[-1])) + 3))
    near, far = 2 / 3 - away**2 + away**3 / 2, np.clip(2 - away, 0, None) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32), first
