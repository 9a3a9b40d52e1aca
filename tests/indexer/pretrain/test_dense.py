from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from embedstore.errors import SpecError
from embedstore.spec import Modality
from indexer.networks.unet import UNet
from indexer.pretrain import recipe
from indexer.pretrain.modalities import OPTICAL
from indexer.pretrain.recipe import Schedule
from indexer.pretrain.recipes import dense
from indexer.pretrain.sources.batch import Batch

APART = torch.zeros(2, 2, dtype=torch.bool)
STATISTICS = {"optical": Modality("optical", OPTICAL, (0.2,) * 12, (0.1,) * 12)}
TINY = dense.Config(
    size=16,
    side=12,
    widths=(8, 12),
    depths=(1, 1),
    kernel=3,
    expansion=2,
    dimension=8,
    pixels=24,
    group=16,
    radius=2.0,
    strength=0.1,
    schedule=Schedule(batch=4, steps=10, warmup=1, lr=1e-3),
)


def batch(pixels: np.ndarray) -> Batch:
    n = len(pixels)
    return Batch({"optical": pixels.astype(np.float32)}, {}, {}, {}, np.arange(n) * 0.1, np.zeros(n), 10.0)


def dates(n: int = 4, seed: int = 0) -> tuple[Batch, Batch]:
    """Two dates of smooth ground that differ in their light."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 1, (n, 12, 4, 4))
    ground = coarse.repeat(4, axis=2).repeat(4, axis=3) * 0.1 + 0.2
    first, second = (ground * random.normal(1, 0.05, (n, 1, 1, 1)) + random.normal(0, 0.01, ground.shape) for _ in "ab")
    return batch(first), batch(second)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dense.Dense:
    monkeypatch.setitem(dense.CONFIGS, "small", TINY)
    return dense.Dense("small")


def network(of: dense.Dense) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return of.network(STATISTICS)


def test_neighbours_are_those_of_brute_force() -> None:
    random = np.random.default_rng(0)
    numbers = random.integers(0, 100, (3, 40))
    near = dense.neighbours(torch.from_numpy(numbers), 10, 2.0).numpy()
    for chip in range(3):
        for i in range(40):
            for j in range(40):
                a, b = (divmod(int(numbers[chip, k]), 10) for k in (i, j))
                assert near[chip, i, j] == (i != j and math.dist(a, b) <= 2)
    assert any(numbers[0, i] == numbers[0, j] and near[0, i, j] for i in range(40) for j in range(i))


def test_the_loss_is_that_of_a_calculation_by_hand() -> None:
    # Two chips of two pixels; in the first chip the pixels are neighbours, in the second they are not.
    left = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.6, 0.8]]])
    right = torch.tensor([[[0.8, 0.6], [0.0, 1.0]], [[0.6, 0.8], [1.0, 0.0]]])
    near = torch.zeros(2, 2, 2, dtype=torch.bool)
    near[0, 0, 1] = near[0, 1, 0] = True
    a, b = left.view(4, 2).tolist(), right.view(4, 2).tolist()
    allowed = [[j for j in range(4) if {i, j} != {0, 1}] for i in range(4)]

    def loss(one: list[list[float]], other: list[list[float]], i: int) -> float:
        scores = {j: math.exp((one[i][0] * other[j][0] + one[i][1] * other[j][1]) / 0.5) for j in allowed[i]}
        return -math.log(scores[i] / sum(scores.values()))

    wanted = (sum(loss(a, b, i) for i in range(4)) + sum(loss(b, a, i) for i in range(4))) / 8
    found, matched = dense.info_nce(left, right, near, APART, 0.5)
    assert float(found) == pytest.approx(wanted, abs=1e-6)
    assert float(matched) == 0.25  # only the second pixel of the first chip is nearest to its partner


def test_excluded_pixels_have_no_part_in_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = torch.nn.functional.normalize(torch.randn(2, 3, 5, 8, generator=generator), dim=-1)
    near = torch.rand(3, 5, 5, generator=generator) < 0.3
    near = (near | near.transpose(1, 2)) & ~torch.eye(5, dtype=torch.bool)
    together = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    allowed = ~torch.block_diag(*near)
    allowed[:5, 5:10] = allowed[5:10, :5] = False
    scores = (left.view(15, 8) @ right.view(15, 8).T / 0.1).double().exp() * allowed
    own = scores.diagonal()
    wanted = -((own / scores.sum(1)).log().mean() + (own / scores.sum(0)).log().mean()) / 2
    assert dense.info_nce(left, right, near, together, 0.1)[0].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_chips_that_may_overlap_are_told_by_their_centres() -> None:
    lon, lat = np.array([13.0, 13.009, 13.03, 179.999, -179.999]), np.array([60.0, 60.0, 60.0, 0.0, 0.0])
    found = dense.overlapping(lon, lat, 800.0)  # 0.009 degrees are 500 m at 60 degrees north, 0.021 are 1,168 m
    assert np.argwhere(found).tolist() == [[0, 1], [1, 0], [3, 4], [4, 3]]
    assert dense.overlapping(lon, lat, 840.0)[1, 2]


def test_chips_of_one_place_are_no_negatives_of_each_other(tiny: dense.Dense, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = dates()
    first.lon[:] = [0.0, 5.0, 0.0001, 7.0]
    first.pixels["optical"][1] = np.nan
    seen = []
    nce = dense.info_nce

    def spy(*arguments: torch.Tensor) -> object:
        seen.append(arguments[3].tolist())
        return nce(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(dense, "info_nce", spy)
    tiny.loss(network(tiny), (first, second), torch.Generator().manual_seed(0))
    assert seen == [[[False, True, False], [True, False, False], [False, False, False]]]


def test_pixels_without_data_are_never_sampled(tiny: dense.Dense, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = dates()
    first.pixels["optical"][0, :, :8] = np.nan
    second.pixels["optical"][1, 3, :, 8:] = np.nan
    second.pixels["optical"][2] = np.nan
    first.pixels["optical"][3, 5] = np.nan  # a band that this chip does not have
    drawn = []
    share = dense.views.share_pixels

    def spy(*arguments: object) -> object:
        drawn.append(share(*arguments))  # type: ignore[arg-type]
        return drawn[-1]

    monkeypatch.setattr(dense.views, "share_pixels", spy)
    generator = torch.Generator().manual_seed(0)
    net = network(tiny)
    for _ in range(5):
        loss = tiny.loss(net, (first, second), generator)["loss"]
        assert loss.isfinite()
        chips, numbers = drawn[-1]
        rows, cols = numbers // 16, numbers % 16
        assert chips.tolist() == [0, 1, 3]
        assert (rows[0] >= 8).all()
        assert (cols[1] < 8).all()
        assert len(numbers[2].unique()) > 12


def test_a_batch_without_any_pixel_teaches_nothing(tiny: dense.Dense) -> None:
    first, second = dates()
    first.pixels["optical"][:] = np.nan
    net = network(tiny)
    loss = tiny.loss(net, (first, second), torch.Generator().manual_seed(0))["loss"]
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(p.grad is None or not p.grad.any() for p in net.parameters())


def test_chance_comes_from_the_generator(tiny: dense.Dense) -> None:
    net = network(tiny)
    one, same, other = (
        float(tiny.loss(net, dates(), torch.Generator().manual_seed(seed))["loss"].detach()) for seed in (0, 0, 1)
    )
    assert one == same != other


def test_a_few_steps_lower_the_loss(tiny: dense.Dense) -> None:
    net = network(tiny)
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3)

    def mean_loss() -> float:
        with torch.no_grad():
            losses = [
                tiny.loss(net, dates(8, 100 + i), torch.Generator().manual_seed(i))["loss"].item() for i in range(4)
            ]
        return sum(losses) / len(losses)

    before = mean_loss()
    for step in range(40):
        optimiser.zero_grad()
        tiny.loss(net, dates(8, step), torch.Generator().manual_seed(step))["loss"].backward()
        optimiser.step()
    assert mean_loss() < before - 0.3


def test_groups_of_chips_weigh_by_their_size(tiny: dense.Dense, monkeypatch: pytest.MonkeyPatch) -> None:
    net = network(tiny)
    seen = []
    nce = dense.info_nce

    def spy(left: torch.Tensor, *rest: object) -> object:
        seen.append((len(left), *nce(left, *rest)))  # type: ignore[arg-type]
        return seen[-1][1:]

    tiny.config = replace(TINY, group=3)
    monkeypatch.setattr(dense, "info_nce", spy)
    parts = tiny.loss(net, dates(), torch.Generator().manual_seed(0))
    assert [n for n, *_ in seen] == [3, 1]
    assert parts["loss"].item() == pytest.approx((3 * seen[0][1].item() + seen[1][1].item()) / 4)
    assert parts["matched"].item() == pytest.approx(100 * (3 * seen[0][2].item() + seen[1][2].item()) / 4)


def test_what_becomes_an_encoder_names_its_network(tiny: dense.Dense) -> None:
    net = network(tiny)
    model = tiny.model(net)
    assert model.options == {
        "dimension": 8,
        "channels": 12,
        "widths": [8, 12],
        "depths": [1, 1],
        "kernel": 3,
        "expansion": 2,
    }
    assert (model.chip_size, model.dimension) == (12, 8)
    assert model.tensors.keys() == net.state_dict().keys()


def test_sizes_of_the_configurations() -> None:
    assert recipe.find("dense") is dense.Dense
    small, paper = (dense.Dense(name).network(STATISTICS) for name in ("small", "paper"))
    assert sum(p.numel() for p in small.parameters()) <= 3_000_000
    assert sum(p.numel() for p in paper.parameters()) > 20_000_000
    for config in dense.CONFIGS.values():
        assert 256 <= config.pixels <= 1_024
        assert config.side < config.size


def test_what_makes_no_sense_is_refused(tiny: dense.Dense) -> None:
    with pytest.raises(SpecError, match="no configuration 'huge'"):
        dense.Dense("huge")
    with pytest.raises(SpecError, match="does not take patch"):
        recipe.make("dense", "small", {"patch": 8})
    with pytest.raises(SpecError, match="optical"):
        tiny.network({})
    net = network(tiny)
    few = batch(np.zeros((2, 10, 16, 16)))
    with pytest.raises(SpecError, match="12 bands; the chips have 10"):
        tiny.loss(net, (few, few), torch.Generator())
    with pytest.raises(SpecError, match="each level"):
        UNet(12, (8, 12), (1,))
