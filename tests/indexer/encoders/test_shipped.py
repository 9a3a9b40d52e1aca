"""The weights that ship: small, described, and able to do what their card says they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from indexer.encoders import model_file, registry
from indexer.encoders.pretrained import SHIPPED
from indexer.landscape import Landscape
from indexer.pretrain.modalities import OPTICAL
from indexer.pretrain.recipes.clip import TOWERS
from indexer.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_BYTES = 8_000_000
SIDE = 64
FILES = sorted(SHIPPED.glob("*.safetensors"))


def test_there_are_some() -> None:
    assert FILES


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_each_is_small_and_described(file: Path) -> None:
    card = model_file.read(file).card
    assert file.stat().st_size <= MOST_BYTES
    for said in (card.summary, card.data, card.licence, card.cost, card.limits):
        assert said
    assert len(card.metrics) > 1, "no figure but the training loss"


def chips_of_one_place() -> dict[str, NDArray[np.float32]]:
    """Return the chips of a simulated tile by each sensor, each of shape (16, bands, 64, 64)."""
    scene = Landscape("delta").tile(11, 7, (6,)).scenes[0]
    cut = {}
    for sensor, bands in TOWERS.items():
        whole = scene.pixels[sensor]
        if sensor == "optical":
            whole = whole[[OPTICAL.index(b) for b in bands]]
        tiles = [whole[:, r : r + SIDE, c : c + SIDE] for r in range(0, 256, SIDE) for c in range(0, 256, SIDE)]
        cut[sensor] = np.stack(tiles).astype(np.float32)
    return cut


def test_clip_finds_a_place_by_another_sensor_in_a_region_never_seen(tmp_path: Path) -> None:
    chips = chips_of_one_place()
    valid = np.ones((16, SIDE, SIDE), bool)
    parts = [Sample(bands, chips[sensor], valid, 10.0) for sensor, bands in TOWERS.items()]
    sample = Sample(parts[0].bands, parts[0].pixels, valid, 10.0, tuple(parts[1:]))
    encoder = registry.load(tmp_path, registry.make("clip:small", sample, tmp_path), "cpu")
    seen = {sensor: encoder.encode({sensor: chips[sensor]}, valid) for sensor in TOWERS}
    scores = seen["sar"] @ seen["optical"].T
    rank = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert rank.mean() < 4, f"chance is 8.5, and it was {rank.mean()}"
