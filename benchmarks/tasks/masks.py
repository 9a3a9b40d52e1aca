"""Images with a class for every pixel: Dubai by tile, fires by fire, simulated land cover by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.tasks.pictures import RGB
from benchmarks.tasks.scenes import FIRE_BANDS, FIRES, fire
from indexer.pretrain.modalities import LAND_COVER, OPTICAL
from indexer.rasters import opened
from indexer.segment import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.tasks.task import Split

DUBAI = "segmentation/dubai"
SHRINK = 4
"""Dubai's tiles are averaged over so many pixels: the houses stay to be seen, and a run takes minutes."""
FOLDS = 3


@dataclass(frozen=True, eq=False)
class Masks:
    """Images and the classes of their pixels.

    Parameters
    ----------
    name, title
        By which it is asked for, and what it is in a line.
    bands, classes
        Names of both, in order.
    images
        float32, shape (bands, h, w) each, NaN where there is no data.
    masks
        int64, shape (h, w) each, -1 where the class is not known.
    places
        Number of the place of each image: a place is never on both sides of a split.
    """

    name: str
    title: str
    bands: tuple[str, ...]
    classes: tuple[str, ...]
    images: tuple[NDArray[np.float32], ...]
    masks: tuple[NDArray[np.int64], ...]
    places: NDArray[np.int64]

    def splits(self) -> tuple[Split, ...]:
        """Return three splits of whole places that test each image once, with the images to learn from shuffled."""
        rng = np.random.default_rng(0)
        numbers, of = np.unique(self.places, return_inverse=True)
        fold = (rng.permutation(len(numbers)) % FOLDS)[of]
        return tuple((rng.permutation(np.flatnonzero(fold != f)), np.flatnonzero(fold == f)) for f in range(FOLDS))


def dubai(data: Path) -> Masks:
    """Return aerial images of Dubai (Humans in the Loop, MBRSC), a quarter of their width, whole tiles held out."""
    paths = sorted((data / DUBAI).glob("*_mask.png"))
    images, masks = [], []
    for path in paths:
        with Image.open(path) as mask, Image.open(path.with_name(path.name.replace("_mask.png", ".jpg"))) as picture:
            size = mask.width // SHRINK, mask.height // SHRINK
            shrunk = picture.convert("RGB").resize(size, Image.Resampling.BOX)
            images.append(np.asarray(shrunk, np.float32).transpose(2, 0, 1))
            # 0 is unlabelled
            masks.append(np.asarray(mask.resize(size, Image.Resampling.NEAREST)).astype(np.int64) - 1)
    tiles = np.unique([p.name.partition("_")[0] for p in paths], return_inverse=True)[1]
    classes = ("land", "water", "building", "vegetation", "road")
    return Masks("dubai", "Dubai: five classes, RGB, whole tiles held out", RGB, classes,
                 tuple(images), tuple(masks), tiles.astype(np.int64))  # fmt: skip


def fires(data: Path) -> Masks:
    """Return Sentinel-2 after fires, with the burnt area; whole fires held out."""
    images, masks = [], []
    for path in sorted((data / FIRES).glob("*_mask.tif")):
        pixels, valid = fire(path.with_name(path.name.replace("_mask.tif", ".tif")))
        with opened(path) as source:
            burnt = source.read(1) > 0
        images.append(np.where(valid, pixels, np.nan).astype(np.float32))
        masks.append(np.where(valid, burnt, IGNORE).astype(np.int64))
    return Masks("fires", "fires: burnt area, Sentinel-2, whole fires held out", FIRE_BANDS, ("unburnt", "burnt"),
                 tuple(images), tuple(masks), np.arange(len(images)))  # fmt: skip


REAL: dict[str, Callable[[Path], Masks]] = {"dubai": dubai, "fires": fires}
"""Sets of real images by name."""


def simulated(region: str, count: int, month: int = 7) -> Masks:
    """Return simulated tiles of Sentinel-2 with their land cover, far from each other, classes that are there only."""
    from indexer.landscape import Landscape
    from indexer.landscape.world import TILES

    rng = np.random.default_rng(11)
    world = Landscape(region)
    images, masks = [], []
    for place in rng.choice(TILES**2, count, replace=False).tolist():
        row, col = divmod(place, TILES)
        tile = world.tile(row, col, (month,))
        images.append(tile.scenes[0].pixels["optical"].astype(np.float32))
        masks.append(tile.classes["land_cover"].astype(np.int64))
    there = _there(masks)
    renamed = np.full(len(LAND_COVER) + 1, IGNORE)
    renamed[there] = np.arange(len(there))
    return Masks(f"simulated-{region}", f"land cover of the simulated region {region}, Sentinel-2, tiles held out",
                 OPTICAL, tuple(LAND_COVER[c] for c in there), tuple(images), tuple(renamed[m] for m in masks),
                 np.arange(count))  # fmt: skip


def _there(masks: list[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the classes that cover a hundredth of the pixels."""
    counts = np.bincount(np.concatenate([m[m >= 0] for m in masks]), minlength=len(LAND_COVER))
    return np.flatnonzero(counts >= counts.sum() / 100)
