from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from embedstore.errors import SpecError
from embedstore.spec import Modality
from indexer.encoders import mmearth
from indexer.encoders.mpmae import build
from indexer.networks.visible import Visible
from indexer.pretrain import recipe
from indexer.pretrain.modalities import CLASSES, LABELS, PIXELS, VALUES
from indexer.pretrain.recipes import mpmae, mpmae_targets
from indexer.pretrain.recipes.mpmae import MultiPretext, draw_cells
from indexer.pretrain.sources.batch import Batch

STATISTICS = {n: Modality(n, b, tuple(0.1 * i for i in range(len(b))), (2.0,) * len(b)) for n, b in PIXELS.items()}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mpmae.CONFIGS, "small", replace(mpmae.CONFIGS["small"], width=32))


def batch(n: int = 2, size: int = 56, seed: int = 0, without: tuple[str, ...] = ()) -> Batch:
    """Smooth layers that go with one another, maps of classes, and numbers."""
    random = np.random.default_rng(seed)
    ground = random.normal(size=(n, 1, 7, 7)).repeat(size // 7, 2).repeat(size // 7, 3)

    def layers(channels: int) -> np.ndarray:
        weights = random.normal(size=(1, channels, 1, 1))
        return (ground * weights + random.normal(0, 0.1, (n, channels, size, size))).astype(np.float32)

    made = Batch(
        {name: layers(len(bands)) for name, bands in PIXELS.items()},
        {name: np.digitize(ground[:, 0], np.linspace(-2, 2, len(known) - 1)) for name, known in CLASSES.items()},
        {name: random.normal(size=(n, k)).astype(np.float32) for name, k in VALUES.items()},
        {name: random.integers(0, k, n) for name, k in LABELS.items()},
        np.zeros(n),
        np.zeros(n),
        10.0,
    )
    kept = {
        part: {name: held for name, held in getattr(made, part).items() if name not in without}
        for part in ("pixels", "classes", "values", "labels")
    }
    return replace(made, **kept)


def begun(**options: Any) -> tuple[MultiPretext, Any]:
    made = recipe.make("mpmae", "small", options)
    assert isinstance(made, MultiPretext)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return made, made.network(STATISTICS)


def losses(made: MultiPretext, network: Any, of: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    return made.loss(network, (of,), torch.Generator().manual_seed(seed))


def hidden_pixels(n: int, seed: int = 0) -> np.ndarray:
    """Where the pixels are hidden that a loss of this seed hides."""
    cells = draw_cells(n, torch.Generator().manual_seed(seed))
    return np.asarray(Visible(~cells).finer(8).keep(torch.ones(n, 1, 56, 56))[:, 0], bool)


def changed(of: Batch, part: str, name: str, value: np.ndarray) -> Batch:
    return replace(of, **{part: {**getattr(of, part), name: value}})


def test_two_cells_of_five_are_seen() -> None:
    cells = draw_cells(200, torch.Generator().manual_seed(0))
    assert cells.sum((1, 2)).tolist() == [19] * 200
    assert cells.float().mean(0).min() > 0.2
    assert not torch.equal(cells[0], cells[1])


@pytest.mark.parametrize(("options", "size"), [({}, 56), ({"patch": "16"}, 112), ({"pretext": "optical"}, 56)])
def test_losses_of_all_targets(options: dict[str, str], size: int) -> None:
    made, network = begun(**options)
    assert made.size == size
    out = losses(made, network, batch(size=size))
    assert set(out) == {"loss", *mpmae_targets.PRETEXTS[options.get("pretext", "all")]}
    assert sum(v for k, v in out.items() if k != "loss") == pytest.approx(float(out["loss"].detach()), rel=1e-5)
    out["loss"].backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_paper_is_known() -> None:
    made = recipe.make("mpmae", "paper", {"size": "tiny"})
    network: Any = made.network(STATISTICS)
    assert sum(p.numel() for p in network.block.parameters()) == 2_130_432
    assert len(network.log_variances) == 12
    assert network.encoder.dimension == 768
    assert made.schedule.lr == pytest.approx(1.5e-4 * made.schedule.batch / 256)


@pytest.mark.parametrize("name", ["optical", "sar", "terrain", "canopy", "land_cover", "dynamic_world"])
def test_only_hidden_patches_are_scored(name: str) -> None:
    made, network = begun()
    of = batch()
    hidden = hidden_pixels(2)
    part = "classes" if name in CLASSES else "pixels"
    before = getattr(of, part)[name]
    where = hidden if part == "classes" else hidden[:, None]
    other = (before + 1) % 3 if part == "classes" else before * 3 + 1
    told = losses(made, network, of)[name]
    assert losses(made, network, changed(of, part, name, np.where(where, other, before)))[name] != told
    if name != "optical":  # which is the input too
        assert losses(made, network, changed(of, part, name, np.where(where, before, other)))[name] == told


def test_hidden_pixels_are_not_seen() -> None:
    made, network = begun()
    of = batch()
    optical = of.pixels["optical"]
    other = changed(of, "pixels", "optical", np.where(hidden_pixels(2)[:, None], optical + 5, optical))
    a, b = (losses(made, network, o) for o in (of, other))
    assert all(a[name] == b[name] for name in a if name not in {"loss", "optical"})


def test_unknown_targets_give_no_gradient() -> None:
    made, network = begun()
    of = batch()
    gone = of.pixels["sar"].copy()
    gone[:, 1] = np.nan
    gone[0] = np.nan
    losses(made, network, changed(of, "pixels", "sar", gone))["loss"].backward()
    gradient = network.pixel_heads["sar"].bias.grad.view(4, 64)
    assert not gradient[1].any()
    assert gradient[0].all()


def test_absent_targets_are_dropped() -> None:
    made, network = begun()
    absent = ("sar", "land_cover", "climate", "ecoregion")
    with torch.no_grad():
        for s in network.log_variances.values():
            s.fill_(0.7)
    whole, less = (losses(made, network, batch(without=w)) for w in ((), absent))
    assert all(less[name] == 0 for name in absent)
    dropped = sum(whole[name] * np.exp(-0.7) + 0.7 for name in absent)
    assert float(whole["loss"].detach() - less["loss"].detach()) == pytest.approx(float(dropped), rel=1e-4)
    less["loss"].backward()
    assert not any(network.log_variances[name].grad.any() for name in absent)
    assert all(network.log_variances[name].grad.any() for name in ("optical", "canopy", "lat", "biome"))


def test_missing_pixels_are_seen_as_the_mean() -> None:
    made, network = begun()
    of = batch()
    optical = of.pixels["optical"].copy()
    optical[:, :, 10:40] = np.nan
    mean = np.array(STATISTICS["optical"].mean, np.float32)[None, :, None, None]
    a, b = (
        losses(made, network, changed(of, "pixels", "optical", pixels))["canopy"]
        for pixels in (optical, np.where(np.isnan(optical), mean, optical))
    )
    assert float(a) == pytest.approx(float(b), rel=1e-6)


def test_continuous_targets_are_z_scores() -> None:
    of = batch()
    wanted = mpmae_targets.targets(of, "all", 56, STATISTICS, torch.device("cpu"))
    mean = np.array(STATISTICS["sar"].mean, np.float32)[:, None, None]
    assert np.asarray(wanted["sar"]) == pytest.approx((of.pixels["sar"] - mean) / 2, abs=1e-6)
    climate = {"climate": np.array([mpmae_targets.CLIMATE_MEAN] * 2, np.float32)}
    wanted = mpmae_targets.targets(replace(of, values=climate), "all", 56, STATISTICS, torch.device("cpu"))
    assert not wanted["climate"].any()
    assert wanted["lat"].isnan().all()


def test_patches_run_row_by_row() -> None:
    x = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
    cut = mpmae_targets.patches(x, 2)
    assert cut.shape == (2, 6, 3, 4)
    assert torch.equal(cut[1, 4, 2], x[1, 2, 2:4, 2:4].flatten())


def test_a_few_steps_lower_the_loss() -> None:
    made, network = begun()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    of = batch(4)
    first = losses(made, network, of)
    for _ in range(12):
        optimiser.zero_grad()
        losses(made, network, of)["loss"].backward()
        optimiser.step()
    last = losses(made, network, of)
    assert float(last["loss"].detach()) < 0.8 * float(first["loss"].detach())
    assert last["terrain"] < first["terrain"]


def test_the_model_is_the_encoder_with_the_authors_bands() -> None:
    made, network = begun()
    model = made.model(network)
    (optical,) = model.modalities
    assert optical.bands == mmearth.BANDS
    mean = dict(zip(optical.bands, optical.mean, strict=True))
    assert mean == dict(zip(PIXELS["optical"], STATISTICS["optical"].mean, strict=True))
    assert (model.chip_size, model.options) == (56, {"size": "atto", "patch": 8, "padding": 1})
    assert set(model.tensors) == set(network.encoder.state_dict())
    x = torch.randn(1, 12, 56, 56, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(build(model)(x), network.encoder(x))


def test_the_network_sees_bands_as_the_model_says() -> None:
    made, network = begun()
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    of = batch()
    losses(made, network, of)
    (optical,) = made.model(network).modalities
    stored = of.pixels["optical"][:, [PIXELS["optical"].index(b) for b in optical.bands]]
    z = (stored - np.array(optical.mean, np.float32)[:, None, None]) / 2
    assert np.asarray(seen[0]) == pytest.approx(z, abs=1e-6)


def test_chance_comes_from_the_generator() -> None:
    made, network = begun()
    of = batch()
    a, b, c = (losses(made, network, of, seed)["loss"] for seed in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_it_runs_in_half_precision() -> None:
    made, network = begun()
    with torch.autocast("cpu", torch.bfloat16):
        half = losses(made, network, batch())["loss"]
    half.backward()
    assert float(half.detach()) == pytest.approx(float(losses(made, network, batch())["loss"].detach()), rel=0.02)


@pytest.mark.parametrize("wrong", [{"pretext": "sar"}, {"size": "huge"}, {"patch": 4}, {"mask": 0.75}])
def test_options_that_there_are_not(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(wrong))):
        recipe.make("mpmae", "small", wrong)


def test_data_that_cannot_teach_it() -> None:
    made = MultiPretext("small")
    with pytest.raises(SpecError, match="the data has sar"):
        made.network({"sar": STATISTICS["sar"]})
    made, network = begun()
    of = batch()
    with pytest.raises(SpecError, match="have 4 channels, and 12 are known"):
        losses(made, network, changed(of, "pixels", "optical", of.pixels["optical"][:, :4]))
