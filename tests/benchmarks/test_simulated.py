from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from benchmarks import simulated
from indexer import demo_scene


def test_pixels_that_are_smoothed_are_alike_for_longer() -> None:
    white = np.random.default_rng(0).normal(size=(6, 1, 64, 64)).astype(np.float32)
    smooth = gaussian_filter(white, (0, 0, 2, 2))
    rough, soft = (simulated.look(p, ("B08",), 10.0).likeness[:, 0] for p in (white, smooth))
    assert np.abs(rough).max() < 0.05
    assert soft[0] > 0.7
    assert soft[0] > soft[1] > soft[2]
    assert np.isnan(simulated.look(white, ("B08",), 30.0).likeness[0, 0])


def test_a_real_scene_is_read_as_reflectance() -> None:
    path = demo_scene.path()
    with rasterio.open(path) as source:
        assert source.dtypes[0] == "uint16"
    name, seen = simulated.real(f"{path}:10000")
    assert name == "demo_scene"
    assert "B08" in seen.bands
    row = simulated.look_row(name, seen)
    assert row["B08 mean"] == pytest.approx(seen.mean[seen.bands.index("B08")])


def test_ridge_finds_what_is_linear_and_not_what_is_chance() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 5)).astype(np.float32)
    part = np.repeat([0, 0, 0, 1, 2], 120).astype(np.int8)
    assert simulated.ridge(features, features @ np.arange(5, dtype=np.float32), part) > 0.99
    assert simulated.ridge(features, rng.normal(size=600).astype(np.float32), part) < 0.1


def test_the_sample_of_a_region_has_chips_of_all_its_tiles() -> None:
    drawn = simulated.sample("beta", 1, [7])
    assert drawn.part.shape == (16,)
    assert {k: v.shape for k, v in drawn.means.items()} == {"optical": (16, 24), "sar": (16, 8), "coherence": (16, 8)}
    assert all(len(v) == 16 for v in drawn.truth.values())


def test_the_picture_is_small_enough_for_a_page() -> None:
    assert (Path(__file__).parents[2] / "docs" / "landscape.png").stat().st_size <= 400_000
