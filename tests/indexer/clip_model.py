"""A tiny model of CLIP with random weights, for tests."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import torch

from embedstore.spec import Modality
from indexer.encoders import model_file
from indexer.encoders.model_file import Model
from indexer.networks.vit import Size, towers
from indexer.pretrain.recipes.clip import TOWERS

if TYPE_CHECKING:
    from pathlib import Path

SIZE = Size(image=16, patch=4, width=16, depth=2, heads=2, dimension=12)


def modality(name: str, mean: float = 0.0, std: float = 1.0) -> Modality:
    """Return a modality of the towers."""
    bands = TOWERS[name]
    return Modality(name, bands, (mean,) * len(bands), (std,) * len(bands))


def drawn(path: Path, normalisation: str = "scenes") -> Path:
    """Write the model and return its path."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = towers({name: len(bands) for name, bands in TOWERS.items()}, SIZE)
    modalities = tuple(modality(name) for name in TOWERS)
    model = Model(
        "clip", asdict(SIZE), modalities, SIZE.image, 10.0, SIZE.dimension, "avg", network.state_dict(), normalisation
    )
    model_file.write(path, model, half=False)
    return path
