"""Sentinel scenes with masks, cut into chips: burnt area by fire, flood water by block, forest by quadrant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tasks import places, windows
from benchmarks.tasks.task import Chips, Task
from indexer.pretrain.modalities import OPTICAL, SAR
from indexer.rasters import opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.tasks.windows import Windows

SIZE = 32
FIRES = "segmentation/wildfire"
FIRE_BANDS = ("B02", "B03", "B04", "B08", "B12")
TRUE_COLOUR = 2000 / 255
"""Digital numbers to a step of an 8-bit true-colour picture of Sentinel-2 L2A, as Sen2Cor makes them."""
BURNT = 0.5
FLOODS = "multimodal/sen1floods11"
FLOOD_BLOCK = 128
WATER = 0.1
TOUCHING = SIZE + 1
"""Pixels between the first pixels of chips that do not even touch."""
SLOVENIA = "scenes"
FOREST = 2
FOREST_SHARE = 0.75


def fires(data: Path) -> Task:
    """Return chips of 640 m of Sentinel-2 after fires: burnt or not, whole fires held out.

    Some of the files hold the 8-bit true-colour picture (red, green, blue) where they name B02, B03, B04; these are put
    in order and brought to digital numbers, so that all fires have bands of one meaning.
    """
    found, of = [], []
    for number, mask in enumerate(sorted((data / FIRES).glob("*_mask.tif"))):
        pixels, valid = fire(mask.with_name(mask.name.replace("_mask.tif", ".tif")))
        with opened(mask) as source:
            burnt = source.read(1) > 0
        cut = windows.cut(pixels, valid, burnt, SIZE, SIZE)
        found.append(cut)
        of += [number] * len(cut.at)
    return _presence(
        "fires",
        "fires: burnt area of Sentinel-2 chips of 640 m, whole fires held out",
        FIRE_BANDS,
        ("unburnt", "burnt"),
        found,
        BURNT,
        np.array(of),
    )


def fire(path: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the bands B02, B03, B04, B08, B12 of a scene in digital numbers, and where they hold data."""
    pixels, valid = windows.read(path, FIRE_BANDS)
    if pixels[:3].max() <= 255 < pixels[3].max():
        pixels = pixels.astype(np.float32)
        pixels[:3] = pixels[2::-1] * TRUE_COLOUR
    return pixels.astype(np.float32), valid


def floods_s2(data: Path) -> Task:
    """Return Sentinel-2 chips of the Sen1Floods11 image (Bonafilia et al. 2020): water or not, blocks held out."""
    return _floods(data, "S2", OPTICAL, OPTICAL, "Sentinel-2")


def floods_s1(data: Path) -> Task:
    """Return Sentinel-1 chips of the same; its VV and VH are given as those of ascending orbits."""
    return _floods(data, "S1", ("VV", "VH"), SAR[:2], "Sentinel-1")


def slovenia(data: Path) -> Task:
    """Return chips of five dates of one place: mostly forest or not, quadrants held out. A smoke test."""
    with opened(data / SLOVENIA / "slovenia_eopatch_LULC.tif") as source:
        cover = source.read(1)
    found = []
    for path in sorted((data / SLOVENIA).glob("slovenia_eopatch_*_13b.tif")):
        pixels, valid = windows.read(path, OPTICAL)
        found.append(windows.cut(pixels, valid & (cover > 0), cover == FOREST, SIZE, SIZE // 2))
    at = np.concatenate([f.at for f in found])
    middle = np.array(cover.shape) / 2
    quadrant = ((at + SIZE / 2 >= middle) @ np.array([2, 1])).astype(np.int64)
    return _presence(
        "slovenia",
        "Slovenia: mostly forest, Sentinel-2, five dates, quadrants held out (smoke test)",
        OPTICAL,
        ("less forest", "forest"),
        found,
        FOREST_SHARE,
        quadrant,
        SIZE,
    )


def _floods(data: Path, sensor: str, bands: Sequence[str], names: Sequence[str], title: str) -> Task:
    folder = data / FLOODS
    (label,) = sorted((folder / "Labels").glob("*.tif"))
    (scene,) = sorted((folder / sensor).glob("*.tif"))
    with opened(label) as source:
        water = source.read(1)
    pixels, valid = windows.read(scene, bands)
    found = windows.cut(pixels, valid & (water >= 0), water == 1, SIZE, SIZE)
    return _presence(
        f"floods-{sensor.lower()}",
        f"Sen1Floods11: water in {title} chips of 320 m, blocks held out",
        names,
        ("dry", "water"),
        [found],
        WATER,
        places.blocks(found.at[:, 0], found.at[:, 1], FLOOD_BLOCK),
        TOUCHING,
    )


def _presence(
    name: str,
    title: str,
    bands: Sequence[str],
    classes: tuple[str, str],
    found: Sequence[Windows],
    least: float,
    of: NDArray[np.int64],
    gap: float = 0,
) -> Task:
    """Make a task of windows: the last class is there if it covers at least so much of a chip.

    Windows of one raster, or of several dates on one grid, overlap or touch; then `gap` in pixels keeps them apart.
    """
    fraction = np.concatenate([f.fraction for f in found])
    labels = (fraction >= least).astype(np.int64)
    splits = places.rotate(of, labels, np.concatenate([f.at for f in found]) if gap else None, gap)
    chips = Chips(
        name, tuple(bands), np.concatenate([f.pixels for f in found]), np.concatenate([f.valid for f in found])
    )
    return Task(name, title, chips, classes, labels, fraction, of, splits, places.rotate_at_random(labels, len(splits)))
