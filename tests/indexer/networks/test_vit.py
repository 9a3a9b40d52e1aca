from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from embedstore.errors import SpecError
from indexer.networks.vit import SIZES, Size, Tower, towers

TINY = Size(image=16, patch=4, width=16, depth=2, heads=2, dimension=12)
CHANNELS = {"optical": 3, "sar": 4, "coherence": 4}


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_the_sizes_are_those_that_are_said() -> None:
    with torch.device("meta"):
        paper, small = towers(CHANNELS, SIZES["paper"]), towers(CHANNELS, SIZES["small"])
    assert 240e6 < count(paper) < 270e6
    assert count(paper["optical"].vit.patch_embed) == 3 * 16 * 16 * 768 + 768
    assert paper["sar"].vit.pos_embed.shape == (1, 28 * 28, 768)
    assert all(1.1e6 < count(tower) < 1.25e6 for tower in small.values())
    assert 2 * count(small) <= 8e6


def test_vectors_are_unit_whatever_the_chip_is() -> None:
    torch.manual_seed(0)
    tower = Tower(3, TINY).eval()
    with torch.inference_mode():
        vectors = [tower(torch.randn(2, 3, *side)) for side in ((16, 16), (24, 24), (8, 12), (18, 18))]
    for v in vectors:
        assert v.shape == (2, 12)
        assert v.norm(dim=1).numpy() == pytest.approx(np.ones(2), abs=1e-5)


@pytest.mark.parametrize("grid", [1, 2])
def test_where_a_thing_lies_matters_at_any_size(grid: int) -> None:
    torch.manual_seed(0)
    tower = Tower(1, replace(TINY, grid=grid)).eval()
    for parameter in tower.parameters():  # at its start a tower sees little of it
        torch.nn.init.normal_(parameter, std=0.3)
    for side in (16, 32):
        z = torch.zeros(2, 1, side, side)
        z[0, :, :4, :4] = z[1, :, -4:, -4:] = 3
        with torch.inference_mode():
            one, other = tower(z)
        assert (one - other).abs().max() > 1e-3


def test_a_grid_keeps_the_parts_of_a_chip_apart() -> None:
    torch.manual_seed(0)
    tower = Tower(1, replace(TINY, grid=2, depth=1)).eval()
    tower.vit.blocks = torch.nn.Sequential()  # no token sees another
    z = torch.randn(1, 1, 16, 16)
    weight = tower.projection.weight
    weight.data[:] = 0
    weight.data[0, :16] = 1  # of the upper left quarter alone
    weight.data[1, 0] = 1
    changed = z.clone()
    changed[:, :, 8:] += 1
    with torch.inference_mode():
        assert torch.equal(tower(z), tower(changed))
        changed[:, :, :8, :8] += 1
        assert not torch.equal(tower(z), tower(changed))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SpecError, match="patches of 5 pixels"):
        Size(image=16, patch=5, width=16, depth=2, heads=2, dimension=12)
    with pytest.raises(SpecError, match="3 heads"):
        Size(image=16, patch=4, width=16, depth=2, heads=3, dimension=12)
    with pytest.raises(SpecError, match="grid of 3"):
        replace(TINY, grid=3)
    with pytest.raises(SpecError, match="at least 1"):
        Size(image=16, patch=4, width=16, depth=0, heads=2, dimension=12)
