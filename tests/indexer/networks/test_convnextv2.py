from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as fn

from embedstore.errors import SpecError
from indexer.networks.convnextv2 import ConvNeXtV2, GlobalResponseNorm
from indexer.networks.depthwise import Depthwise
from indexer.networks.visible import Visible


def network(patch: int = 8, padding: int = 1, channels: int = 5) -> ConvNeXtV2:
    """With GRN that does something, which at the beginning of training it does not."""
    random = torch.Generator().manual_seed(0)
    made = ConvNeXtV2(channels, "atto", patch, padding).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        reach = math.prod(parameter.shape[1:]) if parameter.dim() > 1 else 4
        about = 1.0 if "norm.weight" in name else 0.0
        parameter.copy_(torch.randn(parameter.shape, generator=random) / math.sqrt(reach) + about)
    return made


def chips(patch: int, n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Chips of 4 x 4 cells of which 6 are visible."""
    random = torch.Generator().manual_seed(1)
    x = torch.randn(n, 5, 4 * patch, 4 * patch, generator=random)
    return x, (torch.rand(n, 16, generator=random).argsort(1) < 6).view(n, 4, 4)


def densely(of: ConvNeXtV2, x: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """The same by a dense network that multiplies by the mask after every step."""

    def hide(x: torch.Tensor) -> torch.Tensor:
        return x * fn.interpolate(cells[:, None].float(), x.shape[2:])

    x = hide(of.stem[2](of.stem[1](hide(of.stem[0](hide(x))))))
    x = hide(of.stem[4](hide(of.stem[3](x))))
    for number, stage in enumerate(of.stages):
        if number:
            x = hide(stage.downsample[1](hide(stage.downsample[0](x))))
        for block in stage.blocks:
            y = block.norm(hide(block.conv_dw(x)).permute(0, 2, 3, 1))
            y = hide(block.mlp.act(block.mlp.fc1(y)).permute(0, 3, 1, 2))
            strength = y.square().sum((2, 3), keepdim=True).sqrt()
            share = strength / (strength.mean(1, keepdim=True) + 1e-4)
            grn = block.mlp.grn
            y = y + grn.weight[:, None, None] * y * share + grn.bias[:, None, None]
            x = hide(x + block.mlp.fc2(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    return x


@pytest.mark.parametrize("patch", [8, 16])
def test_what_is_hidden_does_not_matter(patch: int) -> None:
    of = network(patch)
    x, cells = chips(patch)
    seen = Visible(cells).finer(patch).keep(x)
    other = seen + (x * 100 + 7 - Visible(cells).finer(patch).keep(x * 100 + 7))
    a, b = (of.masked(chip, cells) for chip in (x, other))
    assert not torch.equal(of.features(x), of.features(other))
    assert torch.equal(a, b)
    assert not (a * ~cells[:, None]).any()
    assert (a.abs().sum(1) > 0).equal(cells)


@pytest.mark.parametrize("patch", [8, 16])
def test_rows_of_visible_pixels_give_what_a_masked_dense_network_gives(patch: int) -> None:
    of = network(patch)
    x, cells = chips(patch)
    dense = densely(of, x, cells)
    assert dense.std() > 0.1
    assert (of.masked(x, cells) - dense).abs().max() < 1e-4


@pytest.mark.parametrize("patch", [8, 16])
def test_with_nothing_hidden_it_is_the_network_that_encodes(patch: int) -> None:
    of = network(patch)
    x, cells = chips(patch)
    assert (of.masked(x, torch.ones_like(cells)) - of.features(x)).abs().max() < 1e-4


def test_chips_of_a_batch_do_not_see_each_other() -> None:
    of = network()
    x, cells = chips(8)
    assert (of.masked(x, cells)[:1] - of.masked(x[:1], cells[:1])).abs().max() < 1e-5


def test_visible_pixels_go_back_to_where_they_were() -> None:
    x, cells = chips(8)
    seen = Visible(cells).finer(8)
    rows = seen.take(x)
    assert rows.shape == (3, 6 * 64, 1, 5)
    assert torch.equal(seen.put(rows), seen.keep(x))


@pytest.mark.parametrize(
    ("patch", "padding", "cells"),
    [
        (8, 0, {10: 1, 56: 6, 64: 7, 112: 13, 128: 15, 224: 27}),
        (8, 1, {8: 1, 56: 7, 64: 8, 70: 8, 112: 14}),
        (16, 0, {16: 1, 56: 3, 64: 4, 112: 7, 128: 8, 224: 14}),
        (16, 1, {16: 1, 112: 7, 128: 8}),
    ],
)
def test_cells_of_a_chip(patch: int, padding: int, cells: dict[int, int]) -> None:
    of = network(patch, padding)
    assert of.least == min(cells)
    for side, count in cells.items():
        assert of.features(torch.zeros(1, 5, side, side)).shape == (1, 320, count, count)


def test_its_size_is_that_of_the_paper() -> None:
    sizes = {patch: sum(p.numel() for p in ConvNeXtV2(12, patch=patch).parameters()) for patch in (8, 16)}
    assert sizes == {8: 3_389_320, 16: 3_389_440}


def test_grn_is_its_formula() -> None:
    grn = GlobalResponseNorm(6)
    with torch.no_grad():
        grn.weight.copy_(torch.arange(6.0))
        grn.bias.copy_(torch.arange(6.0) / 10)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float32, generator=torch.Generator().manual_seed(2)) * 1e-3
    strength = x.square().sum((1, 2), keepdim=True).sqrt()
    expected = grn.weight * x * (strength / (strength.mean(3, keepdim=True) + 1e-4)) + grn.bias + x
    assert (grn(x) - expected).abs().max() < 1e-6


def test_grn_has_a_gradient_where_a_channel_is_dead() -> None:
    grn = GlobalResponseNorm(3)
    grn.weight.data.fill_(1.0)
    x = torch.tensor([0.0, 1e-20, 2.0]).expand(2, 1, 5, 3).clone().requires_grad_()
    grn(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert (grn(x)[..., 0] == 0).all()


def test_its_depthwise_convolutions_keep_to_float32_on_processors_and_have_the_weights_they_had() -> None:
    random = torch.Generator().manual_seed(0)
    before = torch.nn.Conv2d(6, 6, 7, padding=3, groups=6)
    after = Depthwise.of(before)
    x = torch.randn(2, 6, 9, 9, generator=random)
    assert torch.equal(after(x), before(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert before(x).dtype == torch.bfloat16
        half = after(x.bfloat16())
    assert half.dtype == torch.float32
    assert torch.equal(half, before(x.bfloat16().float()))
    assert all(isinstance(block.conv_dw, Depthwise) for stage in network().stages for block in stage.blocks)


@pytest.mark.parametrize("wrong", [{"size": "huge"}, {"patch": 4}, {"padding": 2}])
def test_encoders_that_there_are_not(wrong: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="there is no encoder"):
        ConvNeXtV2(3, **wrong)  # type: ignore[arg-type]


def test_masks_that_do_not_fit() -> None:
    x, cells = chips(8)
    uneven = cells.clone()
    uneven[0] = True
    for of, mask in ((network(), cells[:, :2]), (network(padding=0), cells), (network(), uneven)):
        with pytest.raises(SpecError, match="does not fit"):
            of.masked(x, mask)
