"""The same places seen more than once: who finds itself again among the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.tasks.task import Chips
from benchmarks.tasks.windows import read
from indexer.pretrain.modalities import OPTICAL, SAR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

WORLD, PAIRS, DATES = "multimodal/s2_utm", "multimodal/s1_s2", "series/s2_2018"
CROP = 64
BRIGHT, CLOUDY = 2500, 0.1
"""A date is left out if more than this share of its pixels is brighter than this in blue, in digital numbers."""


@dataclass(frozen=True, eq=False)
class Views:
    """Several views of the same places.

    Parameters
    ----------
    name, title
        By which it is asked for, and what it is in a line.
    views
        Chips of the same places in the same order, one each view.
    """

    name: str
    title: str
    views: tuple[Chips, ...]


def halves(data: Path) -> Views:
    """Return the left and the right halves of Sentinel-2 chips around the world."""
    pixels = _world(data)
    size = pixels.shape[-1] // 2
    rows = slice(size // 2, size // 2 + size)
    left, right = (pixels[:, :, rows, c : c + size] for c in (0, size))
    title = f"left half of a Sentinel-2 chip finds the right half among {len(pixels)} chips around the world"
    return Views("halves", title, (Chips.whole("left", OPTICAL, left), Chips.whole("right", OPTICAL, right)))


def crops(data: Path) -> tuple[Chips, NDArray[np.int64]]:
    """Return crops of 64 pixels of the same chips, and which chip each is of."""
    cut = [_crops(p) for p in _world(data)]
    return Chips.whole("crops", OPTICAL, np.concatenate(cut)), np.repeat(np.arange(len(cut)), [len(c) for c in cut])


def dates(data: Path) -> Views:
    """Return crops of one place on its clear dates."""
    found = []
    for path in sorted((data / DATES).glob("*.tif")):
        pixels, _ = read(path, OPTICAL)
        if (pixels[1] > BRIGHT).mean() <= CLOUDY:
            found.append(Chips.whole(path.stem, OPTICAL, _crops(pixels)))
    title = f"a crop on one date finds itself on another, {len(found)} dates of 2018, Sentinel-2, {len(found[0])} crops"
    return Views("dates", title, tuple(found))


def pairs(data: Path) -> Views:
    """Return Sentinel-1 (as of ascending orbits) and Sentinel-2 of the same places."""
    radar = sorted((data / PAIRS).glob("*_s1.tif"))
    optical = [read(p.with_name(p.name.replace("_s1", "_s2")), OPTICAL)[0] for p in radar]
    # given in hundredths of dB
    sar = np.stack([read(p, ("VV", "VH"))[0] for p in radar]).astype(np.float32) / 100
    title = f"a Sentinel-1 chip finds its Sentinel-2 partner among {len(radar)}, and the other way round"
    return Views("pairs", title, (Chips.whole("s1", SAR[:2], sar), Chips.whole("s2", OPTICAL, np.stack(optical))))


KNOWN: dict[str, Callable[[Path], Views]] = {"halves": halves, "dates": dates, "pairs": pairs}
"""Sets of views by name."""


def _world(data: Path) -> NDArray[Any]:
    return np.stack([read(p, OPTICAL)[0] for p in sorted((data / WORLD).glob("*.tif"))])


def _crops(pixels: NDArray[Any]) -> NDArray[Any]:
    """Cut an image into squares that do not overlap, shape (n, bands, 64, 64)."""
    starts = [range(0, side - CROP + 1, CROP) for side in pixels.shape[1:]]
    return np.stack([pixels[:, r : r + CROP, c : c + CROP] for r in starts[0] for c in starts[1]])
