from __future__ import annotations

import pickle

import numpy as np
import pytest

from embedstore.errors import SpecError
from indexer.landscape import SIMULATOR
from indexer.landscape.source import Simulated
from indexer.landscape.tasks import SPLITS, split
from indexer.pretrain.modalities import CLASSES, LABELS, PIXELS, VALUES


@pytest.fixture(scope="module")
def source() -> Simulated:
    return Simulated(["alpha", "delta"], tiles=4)


def rng(seed: int = 3) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_draw_has_all_there_is(source: Simulated) -> None:
    batches = source.draw(12, 48, 2, rng())
    assert len(batches) == 2
    for batch in batches:
        assert len(batch) == 12
        assert batch.gsd == 10
        for name, bands in PIXELS.items():
            assert batch.pixels[name].shape == (12, len(bands), 48, 48)
            assert batch.pixels[name].dtype == np.float32
            assert np.isfinite(batch.pixels[name]).all()
        for name in CLASSES:
            assert batch.classes[name].shape == (12, 48, 48)
            assert batch.classes[name].dtype == np.int64
        assert {n: v.shape for n, v in batch.values.items()} == {n: (12, k) for n, k in VALUES.items()}
        assert {n: v.dtype for n, v in batch.labels.items()} == dict.fromkeys(LABELS, np.dtype(np.int64))


def test_dates_show_the_same_ground_at_other_times(source: Simulated) -> None:
    first, second = source.draw(8, 32, 2, rng())
    assert (first.classes["land_cover"] == second.classes["land_cover"]).all()
    assert (first.pixels["terrain"] == second.pixels["terrain"]).all()
    assert (first.lon == second.lon).all()
    assert (first.values["month"] != second.values["month"]).any(axis=1).all()
    assert (first.pixels["optical"] != second.pixels["optical"]).any(axis=(1, 2, 3)).all()


def test_chips_come_from_several_tiles_of_both_regions(source: Simulated) -> None:
    (batch,) = source.draw(16, 32, 1, rng())
    assert len(set(batch.labels["ecoregion"].tolist())) >= 2
    assert (batch.lat < 0).any()
    assert (batch.lat > 0).any()
    assert len({(round(a, 1), round(b, 1)) for a, b in zip(batch.lon, batch.lat, strict=True)}) >= 4


def test_the_same_chance_gives_the_same_chips_whatever_was_kept(source: Simulated) -> None:
    source.draw(4, 32, 1, rng(8))
    (kept,) = source.draw(1, 32, 1, rng())
    elsewhere = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own
    assert not elsewhere._kept
    (fresh,) = elsewhere.draw(1, 32, 1, rng())
    for name in PIXELS:
        assert (kept.pixels[name] == fresh.pixels[name]).all()
    (other,) = source.draw(1, 32, 1, rng(4))
    assert (other.pixels["optical"] != kept.pixels["optical"]).any()


def test_only_training_bands_are_drawn_from(source: Simulated) -> None:
    (batch,) = source.draw(32, 32, 1, rng(5))
    assert (split(batch.lon, batch.lat) == SPLITS.index("train")).all()


def test_a_source_says_what_it_is(source: Simulated) -> None:
    assert source.describe() == f"simulated landscape alpha, delta (simulator {SIMULATOR}, seed 0, 4 tiles)"


@pytest.mark.parametrize("regions", [[], ["alpha", "alpha"], ["alpha", "beta", "gamma", "delta"], ["omega"]])
def test_regions_that_make_no_sense(regions: list[str]) -> None:
    with pytest.raises(SpecError, match="region"):
        Simulated(regions, tiles=3)


@pytest.mark.parametrize(("count", "size", "dates"), [(0, 32, 1), (1, 257, 1), (1, 0, 1), (1, 32, 4), (1, 32, 0)])
def test_draws_that_make_no_sense(source: Simulated, count: int, size: int, dates: int) -> None:
    with pytest.raises(SpecError, match="cannot be drawn"):
        source.draw(count, size, dates, rng())
