"""Model files of the family dense: one drawn at random, and one whose pixels' vectors are the bands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from embedstore.spec import Modality
from indexer.encoders import model_file
from indexer.encoders.model_file import Card, Model
from indexer.networks.unet import PixelEmbedding

if TYPE_CHECKING:
    from pathlib import Path

BANDS = ("B02", "B03", "B04", "B08")
OPTIONS = {"dimension": 8, "channels": 4, "widths": [4, 4], "depths": [0, 1], "kernel": 3, "expansion": 2}
SIDE = 32


def write(path: Path, state: dict[str, torch.Tensor]) -> Path:
    """Write a model file and return its path."""
    modality = Modality("optical", BANDS, (0.0,) * 4, (1.0,) * 4)
    card = Card("dense", "small")
    model_file.write(path, Model("dense", OPTIONS, (modality,), SIDE, 10.0, 8, "mean", state, card=card))
    return path


def drawn(path: Path, seed: int = 0) -> Path:
    """Write a model with weights drawn at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return write(path, PixelEmbedding(**OPTIONS).state_dict())  # type: ignore[arg-type]


def of_bands(path: Path) -> Path:
    """Write a model that gives a pixel's z-scores as its vector, scaled to length one, and zeros beside them."""
    network = PixelEmbedding(**OPTIONS)  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.data.zero_()
    same = torch.eye(4)
    network.unet.stem.weight.data[:, :, 1, 1] = same
    network.unet.kept[0].weight.data[:, :, 0, 0] = same  # type: ignore[operator, union-attr]
    first, _, second = network.projection
    first.weight.data[:] = torch.cat([same, -same])
    second.weight.data[:4] = torch.cat([same, -same], dim=1)  # gelu(x) - gelu(-x) = x
    return write(path, network.state_dict())
