"""Thumbnails: colours, size, and what is left black."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from embedstore.spec import Modality
from indexer.bands import Bands
from indexer.thumbnails import Painter

RGBN = ("R", "G", "B", "N")


def picture(stored: np.ndarray, valid: np.ndarray, names: tuple[str, ...] = RGBN, scale: float = 1.0) -> np.ndarray:
    n = len(names)
    modality = Modality("optical", names, (100.0,) * n, (25.0,) * n)
    bands = Bands(names, tuple(range(1, n + 1)), (scale,) * n, (0.0,) * n, (0.0,) * n)
    painter = Painter(modality, bands, len(valid))
    chip = painter.thumbnail(painter.stretch(stored, valid), 0, 0)
    return np.asarray(Image.open(io.BytesIO(chip)).convert("RGB"), int)


def flat(size: int, *levels: int) -> np.ndarray:
    return np.broadcast_to(np.array(levels, np.uint16)[:, None, None], (len(levels), size, size)).copy()


@pytest.mark.parametrize(("size", "side"), [(16, 16), (64, 64), (65, 32), (224, 56), (300, 60)])
def test_size(size: int, side: int) -> None:
    assert picture(flat(size, 100, 100, 100, 0), np.ones((size, size), bool)).shape[:2] == (side, side)


@pytest.mark.parametrize("size", [64, 224])
def test_colours_are_stretched_about_the_mean(size: int) -> None:
    shown = picture(flat(size, 150, 100, 50, 9999), np.ones((size, size), bool))
    assert np.abs(shown.mean(axis=(0, 1)) - [255, 127, 0]).max() < 12


def test_blue_first_bands_are_put_in_order() -> None:
    shown = picture(flat(64, 50, 100, 150, 9999), np.ones((64, 64), bool), ("B", "G", "R", "N"))
    assert np.abs(shown.mean(axis=(0, 1)) - [255, 127, 0]).max() < 12


def test_one_band_is_grey() -> None:
    shown = picture(flat(64, 125), np.ones((64, 64), bool), ("VV",))
    assert np.ptp(shown.mean(axis=(0, 1))) < 3
    assert abs(shown.mean() - 191) < 6


def test_large_chips_are_averaged_not_picked() -> None:
    stored = flat(224, 100, 100, 100, 0)
    stored[:, :, ::2] = 50
    stored[:, :, 1::2] = 150
    assert abs(picture(stored, np.ones((224, 224), bool)).mean() - 127) < 12


@pytest.mark.parametrize("size", [64, 224])
def test_black_without_data(size: int) -> None:
    valid = np.ones((size, size), bool)
    valid[:, : size // 2] = False
    shown = picture(flat(size, 150, 150, 150, 0), valid)
    side = shown.shape[1] // 2
    assert shown[:, : side - 4].max() < 30
    assert shown[:, side + 4 :].min() > 225


def test_scale_of_the_scene_counts() -> None:
    a = picture(flat(64, 1500, 1000, 500, 0), np.ones((64, 64), bool), scale=0.1)
    b = picture(flat(64, 150, 100, 50, 0), np.ones((64, 64), bool))
    assert np.array_equal(a, b)


@pytest.mark.parametrize("size", [64, 224])
def test_chips_of_a_tile_each_show_their_own_place(size: int) -> None:
    tile = np.zeros((4, 2 * size, 2 * size), np.uint16)
    tile[:3] = 50
    tile[:3, size:, size:] = 150
    modality = Modality("optical", RGBN, (100.0,) * 4, (25.0,) * 4)
    painter = Painter(modality, Bands(RGBN, (1, 2, 3, 4), (1.0,) * 4, (0.0,) * 4, (0.0,) * 4), size)
    light = painter.stretch(tile, np.ones(tile.shape[1:], bool))
    shown = [
        np.asarray(Image.open(io.BytesIO(painter.thumbnail(light, row, col))).convert("RGB")).mean()
        for row in (0, size)
        for col in (0, size)
    ]
    assert max(shown[:3]) < 10
    assert shown[3] > 245
