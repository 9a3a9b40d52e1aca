"""A scene whose third chip is half of one kind and half of another, and a store whose vectors are its bands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from indexer.encode import encode
from tests.indexer import dense_model
from tests.indexer.scenes import write

if TYPE_CHECKING:
    from pathlib import Path

    from query import Engine

SIDE = dense_model.SIDE


def scene(path: Path, *, nodata: bool = False) -> Path:
    """Write three chips side by side: all water, all wood, and one whose right half alone is wood."""
    wood = np.zeros((SIDE, 3 * SIDE), bool)
    wood[:, SIDE : 2 * SIDE] = wood[:, 5 * SIDE // 2 :] = True
    random = np.random.default_rng(0)
    pixels = np.where(
        wood, np.array([200, 200, 200, 900])[:, None, None], np.array([600, 600, 600, 300])[:, None, None]
    )
    pixels = (pixels + random.integers(0, 20, pixels.shape)).astype("uint16")
    if nodata:
        pixels[:, :4, 2 * SIDE :] = 0
    return write(path, pixels, nodata=0 if nodata else None)


def store(folder: Path, *, nodata: bool = False) -> tuple[Path, Path]:
    """Make a store of that scene in a folder, and return both."""
    model = dense_model.of_bands(folder / "m.safetensors")
    cut_from = scene(folder / "own.tif", nodata=nodata)
    encode([cut_from], folder / "store", encoder=f"dense@{model}")
    return folder / "store", cut_from


def chips(engine: Engine) -> list[str]:
    """The ids from west to east."""
    everything = engine.search(vector=np.eye(8)[3], k=10)
    return [everything.ids[i] for i in np.argsort(everything.lon)]
