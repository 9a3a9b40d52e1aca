from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import distributed

from embedstore.errors import InputError, SpecError
from embedstore.spec import Modality
from indexer.networks import vit
from indexer.pretrain import recipe
from indexer.pretrain.modalities import COHERENCE, OPTICAL, SAR
from indexer.pretrain.recipes import clip
from indexer.pretrain.sources.batch import Batch
from tests.indexer import clip_model

if TYPE_CHECKING:
    from collections.abc import Iterator

STATISTICS = {
    "optical": Modality("optical", OPTICAL, tuple(range(12)), (2.0,) * 12),
    "sar": Modality("sar", SAR, (0.0,) * 4, (1.0,) * 4),
    "coherence": Modality("coherence", COHERENCE, (0.0,) * 4, (1.0,) * 4),
}


def chips(n: int, seed: int = 0, size: int = 16) -> Batch:
    """Grounds of their own brightness and stripes, which every sensor sees in its own way."""
    random = np.random.default_rng(seed)
    level, slope = random.normal(0, 1, (2, n, 1, 1, 1))
    ground = level + slope * np.sin(np.arange(size) / 2)

    def seen(bands: int, gain: float) -> np.ndarray:
        pixels = gain * ground + random.normal(0, 0.2, (n, bands, size, size))
        return pixels.astype(np.float32)

    optical = seen(12, 2) + np.arange(12, dtype=np.float32)[:, None, None]
    pixels = {"optical": optical, "sar": seen(4, -1), "coherence": seen(4, 0.7)}
    return Batch(pixels, {}, {}, {}, np.zeros(n), np.zeros(n), 10.0)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> clip.Clip:
    monkeypatch.setitem(clip.SIZES, "small", clip_model.SIZE)
    return clip.Clip("small")


def network(of: clip.Clip, *names: str) -> clip.Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return of.network({k: v for k, v in STATISTICS.items() if not names or k in names})


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_info_nce_is_that_worked_out_by_hand() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    b = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    # products at scale 2: [[1.2, 0.0], [1.6, 2.0]]
    rows = [-1.2 + math.log(math.exp(1.2) + math.exp(0.0)), -2.0 + math.log(math.exp(1.6) + math.exp(2.0))]
    columns = [-1.2 + math.log(math.exp(1.2) + math.exp(1.6)), -2.0 + math.log(math.exp(0.0) + math.exp(2.0))]
    expected = (sum(rows) / 2 + sum(columns) / 2) / 2
    found = clip.info_nce(a, b, torch.tensor(2.0))
    assert float(found) == pytest.approx(expected, abs=1e-6)
    assert float(clip.info_nce(b, a, torch.tensor(2.0))) == pytest.approx(expected, abs=1e-6)


def test_a_pair_is_of_the_chips_that_have_both() -> None:
    drawn = {name: torch.randn(5, 3, generator=chance(i)) for i, name in enumerate("abc")}
    vectors = {name: torch.nn.functional.normalize(v, dim=1) for name, v in drawn.items()}
    yes = torch.ones(5, dtype=torch.bool)
    b = torch.tensor([True, True, False, True, False])
    c = torch.tensor([False, False, True, True, False])
    found = clip.pairs(vectors, {"a": yes, "b": b, "c": c}, torch.tensor(3.0))
    assert found.keys() == {"a-b", "a-c"}  # b and c are together in one chip only, which has nothing to differ from
    assert found["a-b"] == clip.info_nce(vectors["a"][[0, 1, 3]], vectors["b"][[0, 1, 3]], torch.tensor(3.0))
    assert found["a-c"] == clip.info_nce(vectors["a"][[2, 3]], vectors["c"][[2, 3]], torch.tensor(3.0))


def test_the_loss_is_the_mean_of_the_pairs_and_the_same_for_the_same_chance(tiny: clip.Clip) -> None:
    net = network(tiny)
    found, again, other = (tiny.loss(net, (chips(8),), chance(seed)) for seed in (0, 0, 1))
    names = {"optical-sar", "optical-coherence", "sar-coherence"}
    assert found.keys() == {"loss", "scale"} | names
    assert float(found["loss"].detach()) == pytest.approx(np.mean([float(found[n]) for n in names]), abs=1e-6)
    assert float(found["scale"]) == pytest.approx(1 / 0.07, rel=1e-5)
    assert found["loss"] == again["loss"] != other["loss"]


def test_gradients_reach_every_parameter(tiny: clip.Clip) -> None:
    net = network(tiny)
    tiny.loss(net, (chips(8),), chance())["loss"].backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


def test_a_modality_that_some_chips_lack_counts_for_the_others(
    tiny: clip.Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip, "DROP", 0.0)
    batch, net = chips(8), network(tiny)
    batch.pixels["sar"][5:] = np.nan
    seen: list[dict[str, torch.Tensor]] = []
    pairs = clip.pairs

    def spy(vectors: dict[str, torch.Tensor], present: dict[str, torch.Tensor], scale: torch.Tensor) -> object:
        seen.append(present)
        assert not vectors["sar"][5:].any()
        return pairs(vectors, present, scale)

    monkeypatch.setattr(clip, "pairs", spy)
    found = tiny.loss(net, (batch,), chance())
    assert seen[0]["sar"].tolist() == [True] * 5 + [False] * 3
    assert seen[0]["optical"].all()
    assert all(bool(torch.isfinite(v)) for v in found.values())
    batch.pixels["sar"][:] = np.nan
    found = tiny.loss(net, (batch,), chance())
    assert found.keys() == {"loss", "optical-coherence", "scale"}
    net.zero_grad()
    found["loss"].backward()
    assert all(p.grad is None for p in net.towers["sar"].parameters())


def test_a_batch_without_pairs_is_refused(tiny: clip.Clip) -> None:
    batch = chips(4)
    alone = Batch({"optical": batch.pixels["optical"]}, {}, {}, {}, batch.lon, batch.lat, 10.0)
    with pytest.raises(InputError, match="no two of 4 chips have the same two of optical, sar, coherence"):
        tiny.loss(network(tiny), (alone,), chance())


def test_data_without_two_modalities_is_refused(tiny: clip.Clip) -> None:
    with pytest.raises(SpecError, match="the data has sar"):
        network(tiny, "sar")
    assert network(tiny, "sar", "optical").towers.keys() == {"optical", "sar"}
    with pytest.raises(SpecError, match="does not take colour"):
        recipe.make("clip", "small", {"colour": "red"})


def test_a_chip_loses_one_modality_of_three_and_none_of_two() -> None:
    has = torch.ones(4000, 3, dtype=torch.bool)
    has[2000:, 1] = False
    shown = clip.drop_modality(has, chance())
    assert not (shown & ~has).any()
    assert (shown[2000:] == has[2000:]).all()
    lost = (~shown[:2000]).sum(0) / 2000
    assert (~shown[:2000]).sum(1).max() == 1
    assert lost.numpy() == pytest.approx(np.full(3, clip.DROP / 3), abs=0.03)


def test_any_number_of_channels_is_kept_of_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "KEEP_ALL", 0.0)
    has = torch.ones(8000, 4, dtype=torch.bool)
    has[4000:, :2] = False
    kept = clip.keep_channels(has, chance())
    assert not (kept & ~has).any()
    whole, half = kept[:4000].sum(1), kept[4000:].sum(1)
    assert whole.bincount(minlength=5).numpy() / 4000 == pytest.approx(np.array([0, 1, 1, 1, 1]) / 4, abs=0.03)
    assert half.bincount(minlength=3).numpy() / 4000 == pytest.approx(np.array([0, 1, 1]) / 2, abs=0.03)
    assert kept[:4000].float().mean(0).numpy() == pytest.approx(np.full(4, 0.625), abs=0.03)
    assert not clip.keep_channels(torch.zeros(3, 4, dtype=torch.bool), chance()).any()
    monkeypatch.setattr(clip, "KEEP_ALL", 0.5)
    whole = clip.keep_channels(has, chance()).eq(has).all(1)[:4000].float().mean()
    assert float(whole) == pytest.approx(0.5 + 0.5 / 4, abs=0.03)


def test_what_is_missing_is_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "JITTER", 0.0)
    monkeypatch.setattr(clip, "keep_channels", lambda has, _: has & torch.tensor([True, False, True, True]))
    pixels = torch.full((2, 4, 4, 4), 7.0)
    pixels[1, 0, 2:] = torch.nan
    z = clip.view(pixels, Modality("sar", SAR, (1.0,) * 4, (2.0,) * 4), torch.zeros(2), chance())
    assert z[0].mean((1, 2)).tolist() == [3, 0, 3, 3]
    assert z[1, 0, :2].eq(3).all()
    assert not z[1, 0, 2:].any()


def test_modalities_turn_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "JITTER", 0.0)
    monkeypatch.setattr(clip, "keep_channels", lambda has, _: has)
    pixels = torch.arange(9.0).view(1, 1, 3, 3).expand(8, 2, 3, 3)
    turn = torch.arange(8)
    any_ = Modality("any", ("x", "y"), (0.0,) * 2, (1.0,) * 2)
    one, other = (clip.view(pixels, any_, turn, chance(seed)) for seed in range(2))
    assert torch.equal(one, other)
    assert len({tuple(chip[0].flatten().tolist()) for chip in one}) == 8
    assert all(chip[0, 1, 1] == 4 for chip in one)


def test_the_temperature_stays_within_its_limit(tiny: clip.Clip) -> None:
    net = network(tiny)
    with torch.no_grad():
        net.log_scale.fill_(9.0)
    found = tiny.loss(net, (chips(8),), chance())
    assert float(found["scale"]) == pytest.approx(100, rel=1e-5)
    found["loss"].backward()
    assert net.log_scale.grad is not None
    assert float(net.log_scale.grad) != 0


def test_a_few_steps_and_a_chip_is_found_by_another_sensor(tiny: clip.Clip) -> None:
    net = network(tiny)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3)
    for step in range(60):
        optimiser.zero_grad()
        tiny.loss(net, (chips(32, seed=step),), chance(step))["loss"].backward()
        optimiser.step()
    held_out = chips(32, seed=999)
    still, quiet = torch.zeros(32), chance()
    with torch.inference_mode(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "JITTER", 0.0)
        patch.setattr(clip, "keep_channels", lambda has, _: has)
        v = {m.name: net.towers[m.name](clip.view(clip._pixels(held_out, m), m, still, quiet)) for m in net.modalities}
    for a, b in (("optical", "sar"), ("sar", "coherence"), ("coherence", "optical")):
        rank = (v[a] @ v[b].T).argsort(1, descending=True).argsort(1).diagonal()
        assert rank.float().median() <= 3  # by chance 15
    model = tiny.model(net)
    assert model.options["width"] == 16
    assert [m.name for m in model.modalities] == list(clip.TOWERS)
    assert model.modalities[0].bands == ("B04", "B03", "B02")
    assert model.modalities[0].mean == (3, 2, 1)
    assert not any("log_scale" in name for name in model.tensors)


def test_two_devices_learn_as_one_with_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, scale = torch.randn(6, 3, generator=chance()), torch.tensor(5.0)
    rows = {name: torch.randn(8, 6, generator=chance(i)) for i, name in enumerate("ab")}
    present = {"a": torch.ones(8, dtype=torch.bool), "b": torch.tensor([True, False, True, True] + [True] * 4)}

    def learn(some: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        w, s = weight.clone().requires_grad_(), scale.clone().requires_grad_()
        vectors = {name: torch.nn.functional.normalize(x[some] @ w, dim=1) for name, x in rows.items()}
        loss = clip.pairs(vectors, {name: p[some] for name, p in present.items()}, s)["a-b"]
        loss.backward()  # type: ignore[no-untyped-call]
        assert w.grad is not None
        assert s.grad is not None
        return loss.detach(), w.grad, s.grad

    alone = learn(slice(8))
    everything = [torch.nn.functional.normalize(x @ weight, dim=1) for x in rows.values()]
    everything += [p.to(torch.uint8) for p in present.values()]
    halves = []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    for rank in range(2):
        waiting = iter(everything)

        def all_gather(
            parts: list[torch.Tensor], mine: torch.Tensor, rank: int = rank, waiting: Iterator[torch.Tensor] = waiting
        ) -> None:
            for part, sent in zip(parts, next(waiting).chunk(2), strict=True):
                part.copy_(sent)
            assert torch.allclose(mine, parts[rank])

        monkeypatch.setattr(distributed, "get_rank", lambda rank=rank: rank)
        monkeypatch.setattr(distributed, "all_gather", all_gather)
        halves.append(learn(slice(4 * rank, 4 * rank + 4)))
    for one, *both in zip(alone, *halves, strict=True):
        assert torch.allclose(one, torch.stack(both).mean(0), atol=1e-6)
    assert not torch.allclose(halves[0][1], halves[1][1])


@pytest.mark.slow
def test_the_papers_size_makes_a_step() -> None:
    of = clip.Clip("paper")
    net = network(of)
    assert of.size == 448
    assert sum(p.numel() for p in net.parameters()) > 250e6
    found = of.loss(net, (chips(2, size=448),), chance())
    found["loss"].backward()
    assert all(p.grad is not None for p in net.parameters())
    assert vit.SIZES["paper"].patch == 16
