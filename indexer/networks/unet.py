"""A U-Net that gives every pixel a feature vector, and the projection that makes unit vectors of them.

U-Net: Ronneberger et al. 2015. Its blocks are those of ConvNeXt (Liu et al. 2022): a depthwise convolution, a layer
norm over the channels of each pixel, and a two-layer perceptron. Nothing in it looks at other chips of the batch, so a
chip's features do not depend on its company. What backbone Embedding Earth (arXiv 2203.06041) used is not known; this
one is our choice.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as fn

from embedstore.errors import SpecError
from indexer.networks.depthwise import Depthwise

if TYPE_CHECKING:
    from collections.abc import Sequence


class Block(nn.Module):
    """Depthwise convolution, layer norm and perceptron, added to what came in.

    Parameters
    ----------
    width
        Channels.
    kernel
        Side of the convolution, odd.
    expansion
        Hidden channels of the perceptron, in widths.
    """

    def __init__(self, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.depthwise = Depthwise(width, kernel)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what came in, shape (n, width, h, w), with what the block makes of it added."""
        spread = self.depthwise(x).permute(0, 2, 3, 1)
        more: torch.Tensor = self.mlp(self.norm(spread)).permute(0, 3, 1, 2)
        return x + more


class Down(nn.Module):
    """Layer norm, and a convolution that halves the sides."""

    def __init__(self, width: int, wider: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.halve = nn.Conv2d(width, wider, 2, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (n, wider, h / 2, w / 2)."""
        out: torch.Tensor = self.halve(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return out


class UNet(nn.Module):
    """Features of every pixel at full resolution.

    Parameters
    ----------
    channels
        Bands that come in.
    widths
        Channels of each level, the finest first; each level has half the side of the one before. The features have as
        many as the finest.
    depths
        Blocks of each level on the way down; on the way up there is one a level.
    kernel, expansion
        See :class:`Block`.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], depths: Sequence[int], kernel: int = 3, expansion: int = 2
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(depths):
            raise SpecError(f"a U-Net needs a width and a depth for each level, not {widths} and {depths}.")
        self.levels = len(widths)
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(
            nn.Sequential(*(Block(width, kernel, expansion) for _ in range(depth)))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.down = nn.ModuleList(Down(fine, coarse) for fine, coarse in pairwise(widths))
        # A 1x1 convolution of what comes from below beside what was kept, with the coarse half done before upsampling.
        self.below = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.kept = nn.ModuleList(nn.Conv2d(fine, fine, 1, bias=False) for fine in widths[:-1])
        self.decoder = nn.ModuleList(Block(width, kernel, expansion) for width in widths[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return features of shape (n, widths[0], h, w).

        Parameters
        ----------
        x
            z-scores, shape (n, channels, h, w), 0 where there is no data or no such band; of any sides: zeros are
            added to the lower right where the levels need it, and taken off again.
        """
        height, width = x.shape[-2:]
        step = 1 << (self.levels - 1)
        x = self.stem(fn.pad(x, (0, -width % step, 0, -height % step)))
        kept = []
        for level, stage in enumerate(self.encoder):
            x = stage(x if level == 0 else self.down[level - 1](x))
            kept.append(x)
        for level in reversed(range(self.levels - 1)):
            up = fn.interpolate(self.below[level](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[level](up + self.kept[level](kept[level]))
        return x[..., :height, :width]


class PixelEmbedding(nn.Module):
    """Unit vectors of pixels: a U-Net, and a perceptron of 1x1 convolutions over its features.

    Parameters
    ----------
    dimension
        Of the vectors; also the hidden channels of the perceptron.
    channels, widths, depths, kernel, expansion
        See :class:`UNet`.
    """

    def __init__(self, dimension: int, channels: int, widths: Sequence[int], **options: Any) -> None:
        super().__init__()
        self.unet = UNet(channels, widths, **options)
        self.projection = nn.Sequential(
            nn.Linear(widths[0], dimension), nn.GELU(), nn.Linear(dimension, dimension, bias=False)
        )

    def forward(self, x: torch.Tensor, at: torch.Tensor | None = None) -> torch.Tensor:
        """Return unit vectors of all pixels, shape (n, h, w, dimension), or of those at some places.

        Parameters
        ----------
        x
            As :meth:`UNet.forward` takes it.
        at
            int64, shape (n, m): for each chip, pixels as ``row * width + column``. Then the shape is (n, m, dimension),
            and the projection is not worked out anywhere else.
        """
        features = self.unet(x).permute(0, 2, 3, 1)
        if at is not None:
            features = features.flatten(1, 2)
            features = features.gather(1, at.unsqueeze(2).expand(-1, -1, features.shape[2]))
        return fn.normalize(self.projection(features).float(), dim=-1)
