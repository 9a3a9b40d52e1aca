"""The weights that ship: small, described, and able to do what their card says they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from indexer.encoders import model_file, registry
from indexer.encoders.pretrained import SHIPPED, locate
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


def optical(name: str, place: tuple[int, int], month: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the 16 chips of a simulated tile with the bands that a model knows, and their land cover."""
    tile = Landscape("delta").tile(*place, (month,))
    bands = model_file.read(locate(name)).modalities[0].bands
    whole = tile.scenes[0].pixels["optical"][[OPTICAL.index(b) for b in bands]]
    corners = [(slice(r, r + SIDE), slice(c, c + SIDE)) for r in range(0, 256, SIDE) for c in range(0, 256, SIDE)]
    chips = np.stack([whole[:, rows, cols] for rows, cols in corners]).astype(np.float32)
    return chips, np.stack([tile.classes["land_cover"][at] for at in corners])


def encoded(name: str, folder: Path, *chips: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the vectors of chips in a store that begins with the first of them."""
    valid = np.ones((len(chips[0]), SIDE, SIDE), bool)
    sample = Sample(model_file.read(locate(name)).modalities[0].bands, chips[0], valid, 10.0)
    encoder = registry.load(folder, registry.make(name, sample, folder), "cpu")
    return [encoder.encode({"optical": one}, valid) for one in chips]


def test_dense_finds_a_place_two_months_later_in_a_region_never_seen(tmp_path: Path) -> None:
    june, august = (optical("dense:small", (11, 7), month)[0] for month in (6, 8))
    before, after = encoded("dense:small", tmp_path, june, august)
    scores = before @ after.T
    rank = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    assert rank.mean() < 2, f"chance is 8.5, and it was {rank.mean()}"


def test_mpmae_finds_like_land_in_a_region_never_seen(tmp_path: Path) -> None:
    tiles = [optical("mpmae:small", place, 6) for place in ((11, 7), (3, 20), (15, 4), (20, 20))]
    chips, cover = (np.concatenate(parts) for parts in zip(*tiles, strict=True))
    shares = np.stack([(cover == kind).mean(axis=(1, 2)) for kind in np.unique(cover)], axis=1)
    alike = np.minimum(shares[:, None], shares).sum(axis=2)
    (vectors,) = encoded("mpmae:small", tmp_path, chips)
    nearest = (vectors @ vectors.T - 2 * np.eye(len(vectors))).argmax(axis=1)
    others = ~np.eye(len(vectors), dtype=bool)
    assert alike[np.arange(len(vectors)), nearest].mean() > 1.3 * alike[others].mean()
