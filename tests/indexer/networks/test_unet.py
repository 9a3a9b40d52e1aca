from __future__ import annotations

import pytest
import torch

from indexer.networks.unet import PixelEmbedding, UNet


@pytest.fixture
def network() -> PixelEmbedding:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PixelEmbedding(8, 3, (6, 10, 12), depths=(1, 0, 1)).eval()


@pytest.mark.parametrize("sides", [(16, 16), (13, 22), (1, 1)])
def test_every_pixel_gets_a_unit_vector_whatever_the_sides(network: PixelEmbedding, sides: tuple[int, int]) -> None:
    with torch.inference_mode():
        out = network(torch.randn(2, 3, *sides))
    assert out.shape == (2, *sides, 8)
    assert torch.allclose(out.norm(dim=-1), torch.ones(2, *sides), atol=1e-5)


def test_vectors_of_some_pixels_are_those_of_all(network: PixelEmbedding) -> None:
    x = torch.randn(2, 3, 8, 12)
    at = torch.tensor([[0, 13, 95], [5, 5, 40]])
    with torch.inference_mode():
        whole, some = network(x), network(x, at)
    for chip in range(2):
        for i, number in enumerate(at[chip].tolist()):
            assert torch.allclose(some[chip, i], whole[chip, number // 12, number % 12], atol=1e-6)


def test_chips_do_not_depend_on_their_company(network: PixelEmbedding) -> None:
    x = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(network(x)[1:2], network(x[1:2]), atol=1e-5)  # sums in another order


def test_the_coarsest_level_reaches_the_pixels() -> None:
    network = UNet(1, (4, 4, 4, 4), (0, 0, 0, 1))
    x = torch.zeros(1, 1, 32, 32, requires_grad=True)
    network(x)[0, :, 16, 16].sum().backward()
    assert x.grad is not None
    reach = x.grad[0, 0].abs().sum(0).nonzero()
    assert int(reach.max() - reach.min()) >= 16
