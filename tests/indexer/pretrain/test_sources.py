"""Statistics of sources, and several of them as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from embedstore.errors import RasterError, SpecError
from indexer.pretrain.sources import circle, named
from indexer.pretrain.sources.batch import Batch
from indexer.pretrain.sources.mixture import Mixture
from indexer.pretrain.sources.statistics import statistics
from tests.indexer.pretrain.tiny import Speckle

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Layers:
    """Chips whose layers a function makes."""

    def __init__(self, make: Any, gsd: float = 10.0) -> None:
        self._make, self._gsd = make, gsd

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        at = rng.uniform(size=count)
        return tuple(Batch(*self._make(count, size, rng), at, at, self._gsd) for _ in range(dates))

    def describe(self) -> str:
        return "made"


def optical(count: int, size: int, rng: np.random.Generator) -> tuple[Any, ...]:
    """Channel c has mean 1000 + c and standard deviation c; a third of each is missing, and the last one whole."""
    pixels = rng.normal(size=(count, 12, size, size)) * np.arange(12)[:, None, None]
    pixels = (pixels + 1000 + np.arange(12)[:, None, None]).astype(np.float32)
    pixels[:, :, : size // 3] = np.nan
    pixels[:, 11] = np.nan
    return {"optical": pixels, "sar": np.full((count, 4, size, size), np.nan, np.float32)}, {}, {}, {}


def test_statistics_are_those_of_what_is_there() -> None:
    found = statistics(Layers(optical), 12, 0, 400)
    assert found.keys() == {"optical"}
    modality = found["optical"]
    assert modality.mean[:11] == pytest.approx(1000 + np.arange(11), abs=0.2)
    assert modality.std[1:11] == pytest.approx(np.arange(1, 11), rel=0.02)
    assert modality.std[0] == pytest.approx(1.0), "a constant channel"
    assert (modality.mean[11], modality.std[11]) == (0, 1), "a channel without data"


def test_statistics_keep_their_digits_far_from_zero() -> None:
    def far(count: int, size: int, rng: np.random.Generator) -> tuple[Any, ...]:
        heights = rng.normal(8000, 0.01, (count, 2, size, size))
        return {"terrain": heights.astype(np.float64)}, {}, {}, {}

    assert statistics(Layers(far), 8, 0, 200)["terrain"].std == pytest.approx((0.01, 0.01), rel=0.05)


def test_statistics_follow_from_the_seed() -> None:
    assert statistics(Speckle(), 8, 1, 60) == statistics(Speckle(), 8, 1, 60)
    assert statistics(Speckle(), 8, 1, 60) != statistics(Speckle(), 8, 2, 60)


def test_a_source_without_any_data() -> None:
    def nothing(count: int, size: int, _: Any) -> tuple[Any, ...]:
        return {"optical": np.full((count, 12, size, size), np.inf, np.float32)}, {}, {}, {}

    with pytest.raises(RasterError, match="none of 50 chips"):
        statistics(Layers(nothing), 8, 0, 50)


def both() -> Mixture:
    def one(count: int, size: int, _: Any) -> tuple[Any, ...]:
        return {"optical": np.ones((count, 12, size, size), np.float32)}, {}, {}, {"biome": np.ones(count, np.int64)}

    def other(count: int, size: int, _: Any) -> tuple[Any, ...]:
        classes = {"land_cover": np.full((count, size, size), 2)}
        return {"sar": np.full((count, 4, size, size), 2, np.float32)}, classes, {"month": np.full((count, 2), 2.0)}, {}

    return Mixture([(Layers(one), 3), (Layers(other), 1)])


def marks(batch: Batch) -> NDArray[np.bool_]:
    """Which chips come from the first source."""
    return np.isfinite(batch.pixels["optical"]).all((1, 2, 3))


def test_chips_come_from_every_source_by_its_share() -> None:
    batches = [both().draw(40, 4, 1, np.random.default_rng(s))[0] for s in range(30)]
    first = np.concatenate([marks(b) for b in batches])
    assert first.mean() == pytest.approx(0.75, abs=0.05)
    assert all(len(b) == 40 for b in batches)
    assert len({tuple(marks(b)) for b in batches}) > 1, "in random order"
    assert not all(np.sort(marks(b))[::-1].tolist() == marks(b).tolist() for b in batches)


def test_what_a_source_lacks_is_missing() -> None:
    first, second = both().draw(40, 4, 2, np.random.default_rng(0))
    for batch in (first, second):
        ours = marks(batch)
        assert np.isnan(batch.pixels["sar"][ours]).all()
        assert (batch.pixels["sar"][~ours] == 2).all()
        assert np.array_equal(batch.labels["biome"], np.where(ours, 1, -1))
        assert np.array_equal(batch.classes["land_cover"][:, 0, 0], np.where(ours, -1, 2))
        assert np.array_equal(np.isnan(batch.values["month"]).all(1), ours)
        assert batch.pixels["sar"].dtype == np.float32
    assert np.array_equal(marks(first), marks(second)), "a chip is the same ground at every date"
    assert np.array_equal(first.lon, second.lon)


def test_a_mixture_tells_its_shares() -> None:
    assert both().describe() == "75% made; 25% made"


@pytest.mark.parametrize("shares", [[], [(Speckle(), 0.0)], [(Speckle(), 1.0), (Speckle(), -1.0)]])
def test_shares_that_make_no_sense(shares: list[Any]) -> None:
    with pytest.raises(SpecError, match="share above 0"):
        Mixture(shares)


def test_pixels_of_different_size_are_not_mixed() -> None:
    mixture = Mixture([(Layers(optical), 1), (Layers(optical, 20.0), 1)])
    with pytest.raises(SpecError, match="10 m and of 20 m"):
        mixture.draw(64, 4, 1, np.random.default_rng(0))


def test_december_lies_beside_january() -> None:
    december, january, july = circle.months([12, 1, 7])
    assert np.linalg.norm(december - january) < np.linalg.norm(january - july)
    assert np.isnan(circle.months([np.nan])).all()
    assert circle.angles([0.0, 90.0]) == pytest.approx(np.array([[0, 1], [1, 0]]), abs=1e-6)


@pytest.mark.parametrize(("name", "tiles"), [("simulated:alpha,beta", 128), ("simulated:alpha, beta:300", 300)])
def test_a_simulated_source_by_name(name: str, tiles: int) -> None:
    assert named.source([name]).describe().endswith(f"landscape alpha, beta (simulator 1, seed 0, {tiles} tiles)")
