"""What can be asked of a chip where the truth is known, and which chips may be learned from.

The four tasks and the split are those of the few-shot work that CLIP pretraining comes from (arXiv 2310.00119 and its
group's M3LEO): vegetation, built-up surface, cropland, permanent water; bands of land in parallel, 60 : 20 : 20.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import SpecError
from indexer.landscape.noise import uniform
from indexer.pretrain.modalities import LAND_COVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASKS = {
    "vegetation": ("trees", "shrubs", "grass", "wetland", "mangroves", "moss"),
    "built": ("built",),
    "cropland": ("crops",),
    "water": ("water",),
}
"""The classes of land cover that each task counts. Vegetation is what nobody sowed: crops are a task of their own."""
THRESHOLDS = {"vegetation": 0.5, "built": 0.05, "cropland": 0.3, "water": 0.05}
"""Fractions from which something is said to be there, so that neither answer is rare."""
SPLITS = ("train", "val", "test")
ANGLE = 15.0
"""Degrees that the bands are turned from east; one of the angles of M3LEO."""
WIDTH = 6_800.0
"""Metres of ground across a band: sixty of them over a region, as M3LEO has over an area."""
PARTS = (0, 0, 0, 1, 2)
"""Of five bands in a row: three to learn from, one to choose with, one to test on, in an order of their own."""
RADIUS = 6_371_000.0
"""Of the Earth in metres."""


def fractions(land_cover: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Return what share of each chip a task's classes cover, shape (n,).

    Parameters
    ----------
    land_cover
        Integers, shape (n, h, w): positions in :data:`indexer.pretrain.modalities.LAND_COVER`, -1 where unknown.

    Raises
    ------
    SpecError
        If of some chip nothing is known.
    """
    known = (land_cover >= 0).sum(axis=(1, 2))
    if not known.all():
        raise SpecError(f"nothing is known of the land cover of chip {int(np.argmin(known))}; leave it out.")
    return {
        task: (np.isin(land_cover, [LAND_COVER.index(c) for c in classes]).sum(axis=(1, 2)) / known).astype(np.float32)
        for task, classes in TASKS.items()
    }


def presence(shares: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.bool_]]:
    """Return whether a chip has enough of what each task asks for, shape (n,)."""
    return {task: share >= THRESHOLDS[task] for task, share in shares.items()}


def split(lon: Any, lat: Any, angle: float = ANGLE, width: float = WIDTH) -> NDArray[np.int8]:
    """Return the part that places belong to, as positions in :data:`SPLITS`.

    Parameters
    ----------
    lon, lat
        Degrees.
    angle
        Degrees that the bands are turned from east, anticlockwise.
    width
        Of a band in metres.
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    middle = np.floor(lon / 6) * 6 + 3
    east = np.radians(lon - middle) * np.cos(np.radians(lat)) * RADIUS
    north = np.radians(lat) * RADIUS
    turn = np.radians(angle)
    band = np.floor((north * np.cos(turn) - east * np.sin(turn)) / width).astype(np.int64)
    group, place = band.ravel() // len(PARTS), band.ravel() % len(PARTS)
    draws = np.stack([uniform(group, k, 81) for k in range(len(PARTS))])
    rank = np.argsort(np.argsort(draws, axis=0), axis=0)
    mine = np.take_along_axis(rank, place[None], axis=0)[0]
    return np.asarray(np.array(PARTS, np.int8)[mine].reshape(band.shape))
