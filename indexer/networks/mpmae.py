"""MP-MAE: an encoder that sees two cells of five, and a small decoder that tells what is in the others.

Nedungadi et al. 2024, "MMEarth: exploring multi-modal pretext tasks for geospatial representation learning".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.models.convnext import ConvNeXtBlock
from torch import nn

from indexer.networks.convnextv2 import WEIGHT_STD, ConvNeXtV2, GlobalResponseNorm, initialise
from indexer.networks.depthwise import Depthwise
from indexer.networks.visible import Visible

if TYPE_CHECKING:
    from collections.abc import Mapping


class MaskedAutoencoder(nn.Module):
    """Everything that is trained: encoder, projection, mask token, one block, one head a target, and their weights.

    The authors put one block into the decoder of every target; as its input is the same too, it runs once here.

    Parameters
    ----------
    encoder
        With padding.
    width
        Of the decoder.
    pixels
        Numbers to tell of each pixel, by target.
    chips
        Numbers to tell of the whole chip, by target.
    """

    def __init__(self, encoder: ConvNeXtV2, width: int, pixels: Mapping[str, int], chips: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Conv2d(encoder.dimension, width, 1)
        self.mask_token = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.block = ConvNeXtBlock(width, use_grn=True, ls_init_value=None)
        self.block.conv_dw = Depthwise.of(self.block.conv_dw)
        self.block.mlp.grn = GlobalResponseNorm(4 * width)
        self.norm = nn.LayerNorm(width, eps=1e-6) if chips else None  # every parameter has a gradient in every step
        self.pixel_heads = nn.ModuleDict({name: nn.Linear(width, k * encoder.patch**2) for name, k in pixels.items()})
        self.chip_heads = nn.ModuleDict({name: nn.Linear(width, k) for name, k in chips.items()})
        self.log_variances = nn.ParameterDict({n: nn.Parameter(torch.zeros(())) for n in (*pixels, *chips)})
        nn.init.normal_(self.mask_token, std=WEIGHT_STD)
        for part in (self.projection, self.block, self.pixel_heads, self.chip_heads):
            initialise(part)

    def forward(self, x: torch.Tensor, cells: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Predict every target from the visible cells.

        Parameters
        ----------
        x
            Shape (n, bands, size, size).
        cells
            True where visible, shape (n, size / patch, size / patch), with as many in each chip.

        Returns
        -------
        predictions
            By target, in float32. Of pixels: those of the hidden cells, row by row, shape (n, hidden, k, patch²); only
            they are scored. Of chips: shape (n, k).
        log_variances
            By target, the logarithm of its variance, which weighs its loss.
        """
        seen = self.projection(self.encoder.masked(x, cells))
        decoded = self.block(torch.where(cells[:, None], seen, self.mask_token.to(seen.dtype)))
        hidden = Visible(~cells).take(decoded)[:, :, 0]
        square = self.encoder.patch**2
        told = {name: head(hidden).float().unflatten(-1, (-1, square)) for name, head in self.pixel_heads.items()}
        if self.norm is not None:
            whole = self.norm(decoded.permute(0, 2, 3, 1)).mean((1, 2))
            told |= {name: head(whole).float() for name, head in self.chip_heads.items()}
        return told, dict(self.log_variances.items())
