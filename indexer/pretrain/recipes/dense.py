"""Dense contrastive pretraining: two acquisitions of one ground, pixel against pixel.

After the idea of Embedding Earth (arXiv 2203.06041, self-supervised contrastive pretraining for dense land cover), of
which only the abstract was at hand. What it does not say is our design: the U-Net, the views, InfoNCE (van den Oord et
al. 2018) in both directions at a temperature of 0.1, and that pixels near the anchor are no negatives, since
neighbours on the ground are mostly of one kind; nor are those of other chips that may show the same ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import SpecError
from indexer.encoders.model_file import Model
from indexer.pretrain.recipe import Schedule, register
from indexer.pretrain.recipes import views

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.pretrain.sources.batch import Batch

MODALITY = "optical"
GSD = 10.0
"""Of Sentinel-2's finest bands, in metres; all sources give optical chips on their grid."""
POOLING = "mean of unit vectors of pixels"
TEMPERATURE = 0.1
METRES_A_DEGREE = 111_195.0
"""Of latitude, on the mean sphere."""


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of a configuration.

    Parameters
    ----------
    size, side
        Pixels along a chip as it is drawn, and along a view.
    widths, depths, kernel, expansion, dimension
        See :class:`indexer.networks.unet.PixelEmbedding`.
    pixels
        How many are sampled of each pair of views.
    group
        Chips among whose pixels negatives are found. It bounds memory, which grows by its square, and keeps what is
        learned the same however many chips a device takes at once.
    radius
        Pixels on the ground within which nothing is a negative.
    strength
        Of the change of colours; see :func:`indexer.pretrain.recipes.views.recolour`.
    schedule
        Of the training.
    """

    size: int
    side: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    kernel: int
    expansion: int
    dimension: int
    pixels: int
    group: int
    radius: float
    strength: float
    schedule: Schedule


CONFIGS = {
    "small": Config(
        size=80,
        side=64,
        widths=(32, 64, 128, 192),
        depths=(1, 1, 2, 2),
        kernel=3,
        expansion=2,
        dimension=128,
        pixels=256,
        group=8,
        radius=8.0,
        strength=0.1,
        schedule=Schedule(batch=16, steps=4_000, warmup=200, lr=1e-3, clip=1.0),
    ),
    # What the paper had is not known; these are the sizes of ConvNeXt-T, and 256 chips on the devices that it takes.
    "paper": Config(
        size=160,
        side=128,
        widths=(96, 192, 384, 768),
        depths=(3, 3, 9, 3),
        kernel=7,
        expansion=4,
        dimension=128,
        pixels=1_024,
        group=16,
        radius=8.0,
        strength=0.1,
        schedule=Schedule(batch=256, steps=100_000, warmup=5_000, lr=1e-3, clip=1.0),
    ),
}


@register("dense")
class Dense:
    """The recipe; see :class:`indexer.pretrain.recipe.Recipe`. It takes no options."""

    dates = 2

    def __init__(self, config: str) -> None:
        if config not in CONFIGS:
            raise SpecError(f"dense has no configuration {config!r}; choose one of {', '.join(CONFIGS)}.")
        self.config = CONFIGS[config]
        self.size = self.config.size
        self.schedule = self.config.schedule

    def network(self, statistics: dict[str, Modality]) -> torch.nn.Module:
        """Return the U-Net with its projection; mean and standard deviation of the bands stand beside it."""
        import torch  # noqa: PLC0415

        from indexer.networks.unet import PixelEmbedding  # noqa: PLC0415

        if MODALITY not in statistics:
            raise SpecError(f"dense learns from {MODALITY} chips, and the data has {', '.join(statistics) or 'none'}.")
        self.modality = statistics[MODALITY]
        network = PixelEmbedding(**self._options())
        return network.to(memory_format=torch.channels_last)

    def loss(
        self, network: torch.nn.Module, batches: tuple[Batch, ...], generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the loss, and in how many of a hundred cases the partner is the most alike of all."""
        import torch  # noqa: PLC0415

        config = self.config
        device = next(network.parameters()).device
        (first, seen), (second, also) = (self._z_scores(batch, device) for batch in batches)
        kept = views.keep_bands(first.shape[1], generator).to(device)
        one, other = (self._view(z, kept, generator) for z in (first, second))
        chips, numbers = views.share_pixels(one, other, seen & also, config.pixels, generator)
        at = [views.places(view, config.size)[chips].gather(1, numbers) for view in (one, other)]
        pixels = torch.cat([view.pixels[chips] for view in (one, other)])
        # One pass for both views: with several devices, gradients are exchanged once a pass.
        vectors = network(pixels.contiguous(memory_format=torch.channels_last), torch.cat(at))
        if not len(chips):
            return {"loss": vectors.sum(), "matched": torch.zeros((), device=device)}  # nothing, and no gradient
        left, right = vectors.chunk(2)
        near = neighbours(numbers, config.size, config.radius)
        where, reach = chips.cpu().numpy(), (config.size + config.radius) * batches[0].gsd
        together = torch.from_numpy(overlapping(batches[0].lon[where], batches[0].lat[where], reach)).to(device)
        found = []
        for start in range(0, len(chips), config.group):
            part = slice(start, start + config.group)
            both = info_nce(left[part], right[part], near[part], together[part, part], TEMPERATURE)
            found.append(torch.stack(both) * len(left[part]) / len(chips))
        loss, matched = torch.stack(found).sum(0)
        return {"loss": loss, "matched": 100 * matched.detach()}

    def model(self, network: torch.nn.Module) -> Model:
        """Return the whole network: its projected vectors are what chips are described by."""
        return Model(
            "dense",
            self._options(),
            (self.modality,),
            self.config.side,
            GSD,
            self.config.dimension,
            POOLING,
            dict(network.state_dict()),
        )

    def _options(self) -> dict[str, Any]:
        c = self.config
        return {
            "dimension": c.dimension,
            "channels": len(self.modality.bands),
            "widths": list(c.widths),
            "depths": list(c.depths),
            "kernel": c.kernel,
            "expansion": c.expansion,
        }

    def _z_scores(self, batch: Batch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        import torch  # noqa: PLC0415

        raw: NDArray[np.float32] = batch.pixels[MODALITY]
        return z_scores(torch.from_numpy(raw).to(device), self.modality)

    def _view(self, z: torch.Tensor, kept: torch.Tensor, generator: torch.Generator) -> views.View:
        """Return a view in other colours, 0 where there is no data and in bands that are left out."""
        import torch  # noqa: PLC0415

        coloured = views.recolour(z, self.config.strength, generator)
        shown = torch.nan_to_num(coloured) * kept[:, None, None]
        return views.cut(shown, self.config.side, generator)


def z_scores(raw: torch.Tensor, modality: Modality) -> tuple[torch.Tensor, torch.Tensor]:
    """Return z-scores, NaN where there is no data, and which pixels have data.

    Parameters
    ----------
    raw
        Shape (n, bands, h, w), NaN where there is no data.
    modality
        Mean and standard deviation of the bands.

    Returns
    -------
    Shapes (n, bands, h, w) and, bool, (n, h, w). A pixel has data if every band has that the chip has at all.
    """
    import torch  # noqa: PLC0415

    if raw.shape[1] != len(modality.bands):
        raise SpecError(f"{modality.name} has {len(modality.bands)} bands; the chips have {raw.shape[1]}.")
    mean, std = (torch.tensor(v, device=raw.device)[:, None, None] for v in (modality.mean, modality.std))
    finite = raw.isfinite()
    absent = ~finite.flatten(2).any(2)
    seen = (finite | absent[:, :, None, None]).all(1) & ~absent.all(1)[:, None, None]
    return torch.where(finite, (raw - mean) / std, math.nan), seen


def neighbours(numbers: torch.Tensor, size: int, radius: float) -> torch.Tensor:
    """Return which pixels of a chip are too near each other to be negatives: bool, shape (n, m, m).

    Parameters
    ----------
    numbers
        Pixels of the ground, ``row * size + column``, shape (n, m).
    size
        Side of the chip.
    radius
        In pixels; whoever lies at this distance is too near. A pixel is no neighbour of itself, but of its like: the
        same pixel drawn twice.
    """
    import torch  # noqa: PLC0415

    place = torch.stack([numbers // size, numbers % size], dim=-1).float()
    step = place.unsqueeze(2) - place.unsqueeze(1)
    near = step.square().sum(-1) <= radius * radius
    return near & ~torch.eye(numbers.shape[1], dtype=torch.bool, device=numbers.device)


def overlapping(lon: NDArray[np.float64], lat: NDArray[np.float64], side: float) -> NDArray[np.bool_]:
    """Return which chips may show the same ground: bool, shape (n, n), false for a chip and itself.

    Sources cut several chips of one tile. Whole chips are held apart rather than pixels, since how a chip is turned
    against north is not known: those whose centres lie nearer than the diagonal of a chip.

    Parameters
    ----------
    lon, lat
        Centres in degrees, shape (n,).
    side
        Of a chip and the width of what counts as near, in metres.
    """
    east = (np.subtract.outer(lon, lon) + 180) % 360 - 180
    north = np.subtract.outer(lat, lat)
    middle = np.radians(np.add.outer(lat, lat) / 2)
    near = METRES_A_DEGREE * np.hypot(east * np.cos(middle), north) < math.sqrt(2) * side
    others: NDArray[np.bool_] = near & ~np.eye(len(lon), dtype=bool)
    return others


def info_nce(
    left: torch.Tensor, right: torch.Tensor, near: torch.Tensor, together: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean of InfoNCE in both directions, and the share of pixels whose partner is the most alike.

    Parameters
    ----------
    left, right
        Unit vectors of the same pixels of the ground in two views, shape (n, m, d).
    near
        Which pixels of a chip are no negatives of each other, shape (n, m, m).
    together
        Which chips' pixels are none of each other's, shape (n, n), false on the diagonal.
    temperature
        What similarities are divided by.
    """
    import torch  # noqa: PLC0415

    n, m, _ = left.shape
    own = torch.arange(n, device=left.device)
    no_negative = together[:, None, :, None].repeat(1, m, 1, m)
    no_negative[own, :, own] = near
    bar = torch.zeros(n * m, n * m, device=left.device).masked_fill_(no_negative.view(n * m, n * m), -math.inf)
    left, right = left.flatten(0, 1), right.flatten(0, 1)
    most = 1 / temperature  # of what a similarity of unit vectors is divided to; less it, no exponential is above 1
    with torch.autocast(left.device.type, enabled=False):  # eight bits are too few for what is divided by a tenth
        powers = torch.addmm(bar - most, left / temperature, right.T).exp_()
    partner = (left * right).sum(1).mean() / temperature - most
    loss = (powers.sum(0).log() + powers.sum(1).log()).mean() / 2 - partner
    matched = powers.detach().argmax(1) == torch.arange(n * m, device=left.device)
    return loss, matched.float().mean()
