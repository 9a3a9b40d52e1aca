"""RGB pictures in Parquet: AID's scenes by class, and buildings that hurricane Harvey damaged, by place."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.tasks import places
from benchmarks.tasks.task import Chips, Task

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RGB = ("B04", "B03", "B02")
AID, HARVEY = "chips/aid_96px.parquet", "chips/harvey_128px.parquet"
BLOCK = 0.1
"""Degrees: blocks of about 10 km."""
GAP = 0.01
"""Degrees, about 1 km: damage comes in whole streets, so what is learned from keeps its distance."""


def aid(data: Path) -> Task:
    """Return AID (Xia et al. 2017): 30 classes of aerial scenes, with the split of the file."""
    table = pq.read_table(data / AID, columns=["label", "split", "jpeg"])
    names, codes = np.unique(table["label"].to_pylist(), return_inverse=True)
    learned = np.array(table["split"].to_pylist()) == "train"
    split = np.flatnonzero(learned), np.flatnonzero(~learned)
    return Task(
        "aid",
        "AID: 30 classes of aerial scenes, RGB, the split of the file",
        Chips.whole("aid", RGB, pixels(table["jpeg"].to_pylist())),
        tuple(names.tolist()),
        codes.astype(np.int64),
        None,
        np.arange(len(codes)),
        (split,),
        (),
        balanced=True,
    )


def harvey(data: Path) -> Task:
    """Return chips of buildings before and after hurricane Harvey (Cao & Choe 2018), in blocks of a tenth degree."""
    table = pq.read_table(data / HARVEY, columns=["lon", "lat", "label", "jpeg"])
    names, codes = np.unique(table["label"].to_pylist(), return_inverse=True)
    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    of = places.blocks(lon, lat, BLOCK)
    splits = places.rotate(of, codes, np.column_stack([lon, lat]), GAP)
    return Task(
        "harvey",
        "Harvey: flooded buildings against unflooded ones, RGB, blocks of 0.1 degrees held out",
        Chips.whole("harvey", RGB, pixels(table["jpeg"].to_pylist())),
        tuple(names.tolist()),
        codes.astype(np.int64),
        None,
        of,
        splits,
        places.rotate_at_random(codes, len(splits)),
    )


def pixels(jpegs: list[bytes]) -> NDArray[Any]:
    """Return pictures of one size as uint8, shape (n, 3, size, size)."""
    return np.stack([np.asarray(Image.open(io.BytesIO(j)).convert("RGB")).transpose(2, 0, 1) for j in jpegs])
