"""Contrastive pretraining over modalities: one tower each for colour, radar and coherence, one common space.

After "Few-shot learning on global multimodal embeddings for Earth observation tasks" (Allen et al. 2023,
arXiv:2310.00119), which pairs vision transformers of three modalities as CLIP does (Radford et al. 2021). How it treats
what is missing is known by its effect only; here a chip counts for the pairs of modalities that it has, and for no
other, and towers learn to do with any subset of their channels.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, cast

import torch
from torch import distributed
from torch.nn import functional as fn

from embedstore.errors import InputError, SpecError
from embedstore.spec import Modality
from indexer.encoders.model_file import Model
from indexer.networks.vit import SIZES, Size, towers
from indexer.pretrain.modalities import COHERENCE, PIXELS, SAR
from indexer.pretrain.recipe import Schedule, register

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.pretrain.sources.batch import Batch

TOWERS = {"optical": ("B04", "B03", "B02"), "sar": SAR, "coherence": COHERENCE}
"""The modalities of the paper, with their channels in order."""
GSD = 10.0
SCHEDULES = {
    "small": Schedule(batch=128, steps=1500, warmup=100, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.98), clip=1.0),
    # Radford et al. 2021 for ViT-B, with the rate and the batch of one machine of eight GPUs.
    "paper": Schedule(batch=1024, steps=100_000, warmup=2000, lr=5e-4, weight_decay=0.2, betas=(0.9, 0.98), clip=1.0),
}
TEMPERATURE, MOST_SCALE = 0.07, 100.0
"""Of the softmax at the start, and the greatest factor (one over the temperature) that it may learn."""
DROP = 0.25
"""How often a chip of three modalities or more loses one in training."""
KEEP_ALL = 0.5
"""How often a chip keeps all channels of a modality in training; else it keeps any number. Where none did, the towers
learned much slower."""
JITTER = 0.1
"""Standard deviation of the gain and of the offset, in standard deviations of a channel, of each chip and modality."""


class Network(torch.nn.Module):
    """Towers and the temperature.

    Parameters
    ----------
    modalities
        The channels of each tower, with their statistics.
    size
        Of a tower.
    """

    def __init__(self, modalities: tuple[Modality, ...], size: Size) -> None:
        super().__init__()
        self.modalities = modalities
        self.dimension = size.dimension
        self.towers = towers({m.name: len(m.bands) for m in modalities}, size)
        self.log_scale = torch.nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(
        self, z: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Return the vectors of each modality and the scale of their products.

        Parameters
        ----------
        z
            Z-scores by modality, shape (n, channels, h, w).
        present
            Which chips have the modality, bool of shape (n,).

        Returns
        -------
        Unit vectors by modality, shape (n, dimension), zero for chips without it; and one over the temperature.
        """
        with torch.no_grad():  # in the graph, its gradient beyond the limit would be 0 for ever
            self.log_scale.clamp_(max=math.log(MOST_SCALE))
        vectors = {}
        for name, tower in self.towers.items():
            rows = present[name].nonzero()[:, 0]
            vectors[name] = z[name].new_zeros(len(z[name]), self.dimension)
            if len(rows):
                vectors[name] = vectors[name].index_copy(0, rows, tower(z[name][rows]))
        return vectors, self.log_scale.exp()


@register("clip")
class Clip:
    """See the module and :class:`indexer.pretrain.recipe.Recipe`."""

    dates = 1

    def __init__(self, config: str) -> None:
        self._tower = SIZES[config]
        self.size = self._tower.image
        self.schedule = SCHEDULES[config]

    def network(self, statistics: dict[str, Modality]) -> Network:
        """Return towers for the modalities that the data has.

        Raises
        ------
        SpecError
            If there are fewer than two.
        """
        have = tuple(_select(statistics[name], bands) for name, bands in TOWERS.items() if name in statistics)
        if len(have) < 2:
            raise SpecError(
                f"the recipe clip learns from pairs of {', '.join(TOWERS)}; the data has "
                f"{', '.join(m.name for m in have) or 'none of them'}. Give data with two of them over the same ground."
            )
        return Network(have, self._tower)

    def loss(
        self, network: torch.nn.Module, batches: tuple[Batch, ...], generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the mean of the InfoNCE of the pairs that there are, each pair's own, and how sure the towers are.

        Contrasted are the chips of one pass on all devices together.

        Raises
        ------
        InputError
            If no two chips have the same two modalities.
        """
        inner = cast("Network", network)
        pixels = {m.name: _pixels(batches[0], m) for m in inner.modalities}
        has = torch.stack([torch.isfinite(x).flatten(1).any(1) for x in pixels.values()], dim=1)
        present = dict(zip(pixels, drop_modality(has, generator).unbind(1), strict=True))
        turn = torch.randint(8, (len(has),), generator=generator)
        device = inner.log_scale.device
        z = {m.name: view(pixels[m.name], m, turn, generator).to(device) for m in inner.modalities}
        vectors, scale = network(z, {name: there.to(device) for name, there in present.items()})
        parts = pairs(vectors, {name: there.to(device) for name, there in present.items()}, scale)
        if not parts:
            raise InputError(
                f"no two of {len(has)} chips have the same two of {', '.join(pixels)}, and the recipe clip learns from "
                "pairs; give data that has them over the same ground, or a larger batch."
            )
        total = torch.stack(list(parts.values())).mean()
        return {"loss": total, **{name: part.detach() for name, part in parts.items()}, "scale": scale.detach()}

    def model(self, network: torch.nn.Module) -> Model:
        """Return the towers."""
        inner = cast("Network", network)
        size = self._tower
        pooling = "avg" if size.grid == 1 else f"avg of {size.grid} x {size.grid} parts"
        return Model(
            "clip", asdict(size), inner.modalities, size.image, GSD, size.dimension, pooling, inner.towers.state_dict()
        )


def pairs(
    vectors: Mapping[str, torch.Tensor], present: Mapping[str, torch.Tensor], scale: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the InfoNCE of each pair of modalities over the chips of all devices that have both, if two do.

    Parameters
    ----------
    vectors
        Unit vectors by modality, shape (n, dimension).
    present
        Which chips have the modality, bool of shape (n,).
    scale
        One over the temperature.
    """
    everywhere = {name: gather(v) for name, v in vectors.items()}
    there = {name: gather(p.to(torch.uint8)).bool() for name, p in present.items()}
    out = {}
    for a, b in combinations(vectors, 2):
        both = there[a] & there[b]
        if int(both.sum()) > 1:
            out[f"{a}-{b}"] = info_nce(everywhere[a][both], everywhere[b][both], scale)
    return out


def info_nce(a: torch.Tensor, b: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the symmetric InfoNCE (van den Oord et al. 2018): each row of one finds its own among those of the other.

    Parameters
    ----------
    a, b
        Unit vectors of the same chips, shape (n, dimension).
    scale
        One over the temperature.
    """
    with torch.autocast(a.device.type, enabled=False):
        logits = scale * a.float() @ b.float().T
        own = torch.arange(len(a), device=a.device)
        return (fn.cross_entropy(logits, own) + fn.cross_entropy(logits.T, own)) / 2


def gather(mine: torch.Tensor) -> torch.Tensor:
    """Return the rows of all devices, in the same order on each, where several train together.

    Gradients reach the own rows only, and come multiplied by the number of devices: every device works out the loss of
    all rows, so that the mean of their gradients, which the optimiser takes, is that of one device with all rows.
    """
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return mine
    devices = distributed.get_world_size()
    parts = [torch.empty_like(mine) for _ in range(devices)]
    distributed.all_gather(parts, mine.detach().contiguous())
    if mine.requires_grad:
        parts[distributed.get_rank()] = devices * mine - ((devices - 1) * mine).detach()
    return torch.cat(parts)


def drop_modality(has: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return which modalities each chip shall show: now and then one less of those it has, and never fewer than two.

    Parameters
    ----------
    has
        bool, shape (n, modalities).
    generator
        All chance.
    """
    chance = torch.rand(has.shape, generator=generator).masked_fill(~has, -1)
    spare = (has.sum(1) > 2) & (torch.rand(len(has), generator=generator) < DROP)
    dropped = fn.one_hot(chance.argmax(1), has.shape[1]).bool() & spare[:, None]
    return has & ~dropped


def keep_channels(has: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return which channels each chip shall show: now and then all, else any number, and at least one that it has.

    Parameters
    ----------
    has
        bool, shape (n, channels).
    generator
        All chance.
    """
    count = has.sum(1, keepdim=True)
    everything = torch.rand(len(has), 1, generator=generator) < KEEP_ALL
    kept = 1 + (torch.rand(len(has), 1, generator=generator) * count).long()
    chance = torch.rand(has.shape, generator=generator).masked_fill(~has, 2)
    return has & (everything | (chance.argsort(1).argsort(1) < kept))


def view(pixels: torch.Tensor, modality: Modality, turn: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return chips as a tower sees them in training: turned, jittered, z-scores, 0 where something is missing.

    Parameters
    ----------
    pixels
        Shape (n, channels, size, size), physical units, NaN where there is no data.
    modality
        Mean and standard deviation of each channel.
    turn
        Which of the eight turns and reflections of the square each chip makes, shape (n,); modalities make the same.
    generator
        All other chance.
    """
    mean = torch.tensor(modality.mean, dtype=torch.float32)[:, None, None]
    std = torch.tensor(modality.std, dtype=torch.float32)[:, None, None]
    z = (pixels - mean) / std
    gain, offset = JITTER * torch.randn(2, len(z), 1, 1, 1, generator=generator)
    z = z * (1 + gain) + offset
    kept = keep_channels(torch.isfinite(pixels).flatten(2).any(2), generator)
    z = torch.where(torch.isfinite(z) & kept[:, :, None, None], z, 0)
    for k in range(1, 8):
        some = turn == k
        turned = torch.rot90(z[some], k % 4, (2, 3))
        z[some] = turned.flip(3) if k > 3 else turned
    return z


def _pixels(batch: Batch, modality: Modality) -> torch.Tensor:
    """Return the chips of a modality, NaN if the batch has none of it."""
    held = batch.pixels.get(modality.name)
    if held is None:
        size = next(iter(batch.pixels.values())).shape[-1]
        return torch.full((len(batch), len(modality.bands), size, size), torch.nan)
    order = PIXELS[modality.name]
    return torch.from_numpy(held[:, [order.index(b) for b in modality.bands]])


def _select(modality: Modality, bands: tuple[str, ...]) -> Modality:
    """Return some bands of a modality in another order."""
    at = [modality.bands.index(b) for b in bands]
    return Modality(modality.name, bands, tuple(modality.mean[i] for i in at), tuple(modality.std[i] for i in at))
