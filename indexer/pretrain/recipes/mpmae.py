"""MP-MAE: see two cells of five of a Sentinel-2 chip, and tell the rest of it, and what other sensors and maps hold.

Nedungadi et al. 2024, "MMEarth: exploring multi-modal pretext tasks for geospatial representation learning". Only
Sentinel-2 is an input, so that the encoder needs nothing else afterwards.

As in the paper: masking, crops, the shared block of the decoder, heads, losses, their weights, and for `paper` the
optimiser. Ours: GRN takes its norms over the visible pixels of an image (see
:meth:`indexer.networks.convnextv2.ConvNeXtV2.masked`); one set of statistics for both processing levels of
Sentinel-2, since sources give reflectance; and `small`, with a narrower decoder and a short schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from embedstore.errors import SpecError
from embedstore.spec import Modality
from indexer.encoders.mmearth import BANDS, GSD
from indexer.encoders.model_file import Model
from indexer.pretrain.modalities import CLASSES, LABELS
from indexer.pretrain.recipe import Schedule, register
from indexer.pretrain.recipes import mpmae_losses as losses
from indexer.pretrain.recipes.mpmae_targets import PRETEXTS, chip_targets, patches, pixel_targets, scores, targets

if TYPE_CHECKING:
    import torch

    from indexer.pretrain.sources.batch import Batch

CELLS = 7
"""Along a chip: 56 pixels in patches of 8, 112 in patches of 16."""
MASKED = 0.6
VISIBLE = int(CELLS * CELLS * (1 - MASKED))


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes of a configuration.

    Parameters
    ----------
    width
        Of the decoder.
    schedule
        Of the training.
    """

    width: int
    schedule: Schedule


CONFIGS = {
    # A decoder of 512 costs half as much as the encoder, and is thrown away. Small batches, since a processor sees few
    # chips in an hour, and so many steps more.
    "small": Config(256, Schedule(batch=16, steps=12_000, warmup=600, lr=1e-3, clip=1.0)),
    # 200 epochs of 1.2 million chips, 40 of them warm-up; 1.5e-4 a batch of 256.
    "paper": Config(512, Schedule(batch=4_096, steps=58_594, warmup=11_719, lr=2.4e-3)),
}


@register("mpmae")
class MultiPretext:
    """The recipe; see :class:`indexer.pretrain.recipe.Recipe`.

    Parameters
    ----------
    config
        ``small`` or ``paper``.
    pretext
        What is told of the chip: ``all``, or ``optical`` alone.
    size, patch
        Of the encoder; see :class:`indexer.networks.convnextv2.ConvNeXtV2`. It has padding.

    Raises
    ------
    SpecError
        If there is no such configuration, or an option makes no sense.
    """

    dates = 1

    def __init__(self, config: str, pretext: str = "all", size: str = "atto", patch: int | str = 8) -> None:
        for what, value, known in (
            ("config", config, CONFIGS),
            ("pretext", pretext, PRETEXTS),
            ("size", size, ("atto", "tiny")),
            ("patch", str(patch), ("8", "16")),
        ):
            if value not in known:
                raise SpecError(f"mpmae has no {what} {value!r}; choose {' or '.join(known)}.")
        self.config = CONFIGS[config]
        self.schedule = self.config.schedule
        self.pretext = pretext
        self.patch = int(patch)
        self.size = CELLS * self.patch
        self.options = {"size": size, "patch": self.patch, "padding": 1}

    def network(self, statistics: dict[str, Modality]) -> torch.nn.Module:
        """Return encoder, decoder and heads.

        Raises
        ------
        SpecError
            If the data has no optical chips.
        """
        import torch  # noqa: PLC0415

        from indexer.networks.convnextv2 import ConvNeXtV2  # noqa: PLC0415
        from indexer.networks.mpmae import MaskedAutoencoder  # noqa: PLC0415

        if "optical" not in statistics:
            raise SpecError(f"mpmae learns from optical chips, and the data has {', '.join(statistics) or 'none'}.")
        self.statistics = statistics
        encoder = ConvNeXtV2(len(BANDS), **cast("Any", self.options))
        network = MaskedAutoencoder(encoder, self.config.width, pixel_targets(self.pretext), chip_targets(self.pretext))
        return network.to(memory_format=torch.channels_last)

    def loss(
        self, network: torch.nn.Module, batches: tuple[Batch, ...], generator: torch.Generator
    ) -> dict[str, torch.Tensor]:
        """Return the loss, and the mean loss of each target, which is 0 where the batch does not know it."""
        (batch,) = batches
        device = next(network.parameters()).device
        optical = scores(batch, self.statistics["optical"], BANDS, device)
        cells = draw_cells(len(batch), generator).to(device)
        told, log_variances = network(optical.nan_to_num(0.0), cells)
        wanted = targets(batch, self.pretext, self.size, self.statistics, device)
        terms = {name: self._term(name, told[name], target, cells) for name, target in wanted.items()}
        return {
            "loss": losses.weighed(terms, log_variances),
            **{name: term.loss.detach() for name, term in terms.items()},
        }

    def model(self, network: torch.nn.Module) -> Model:
        """Return the encoder, with the bands as MMEarth has them."""
        optical = self.statistics["optical"]
        at = [optical.bands.index(band) for band in BANDS]
        encoder = cast("Any", network).encoder
        return Model(
            "mpmae",
            dict(self.options),
            (Modality("optical", BANDS, tuple(optical.mean[i] for i in at), tuple(optical.std[i] for i in at)),),
            self.size,
            GSD,
            encoder.dimension,
            "mean",
            encoder.state_dict(),
        )

    def _term(self, name: str, told: torch.Tensor, target: torch.Tensor, cells: torch.Tensor) -> losses.Term:
        """Return the loss of one target: of pixels only where they were hidden."""
        if name in LABELS:
            return losses.cross_entropy(told, target)
        if target.dim() == 2:
            return losses.square_error(told, target)
        hidden = ~cells.flatten(1)
        if name in CLASSES:
            known = patches(target[:, None], self.patch)[hidden]
            return losses.cross_entropy(told.flatten(0, 1).movedim(1, -1), known[:, 0])
        known = patches(target, self.patch)[hidden].view_as(told)
        return losses.square_error(told, losses.normalised(known) if name == "optical" else known)


def draw_cells(count: int, generator: torch.Generator) -> torch.Tensor:
    """Return which cells are visible: bool, shape (count, CELLS, CELLS), VISIBLE of each chip at random."""
    import torch  # noqa: PLC0415

    order = torch.rand(count, CELLS * CELLS, generator=generator).argsort(1)
    return (order < VISIBLE).view(count, CELLS, CELLS)
