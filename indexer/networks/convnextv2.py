"""ConvNeXt V2 with the stem of MP-MAE: the stages are timm's, the stem sees every pixel.

Woo et al. 2023, "ConvNeXt V2: co-designing and scaling ConvNets with masked autoencoders"; Nedungadi et al. 2024,
"MMEarth: exploring multi-modal pretext tasks for geospatial representation learning".
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from timm.layers.norm import LayerNorm2d
from torch import nn

from embedstore.errors import SpecError
from indexer.networks.depthwise import Depthwise
from indexer.networks.visible import Visible

SIZES = {"atto": (320, 40), "tiny": (768, 96)}
"""Channels of the last stage and of the first, by size."""
PATCHES = (8, 16)
GRN_EPS = 1e-4
"""As in the dense encoder of MMEarth; timm has 1e-6."""
LEAST = 1e-30
"""That the squares of a channel add up to, at least."""
WEIGHT_STD = 0.02


class ConvNeXtV2(nn.Module):
    """The encoder of MP-MAE.

    The stem is a 3 x 3 convolution at full resolution, LayerNorm, GELU, a depthwise convolution of patch / 8 by
    patch / 8 pixels without overlap, and LayerNorm; four stages follow, each at half the resolution of the one before.
    Where the side is no multiple of the patch, what is left at the right and at the bottom is not seen.

    Parameters
    ----------
    channels
        Bands of the input.
    size
        ``atto`` or ``tiny``.
    patch
        Pixels to a cell of the feature map, 8 or 16.
    padding
        1: a chip of n pixels gives ``n // patch`` cells a side, as in the sparse encoder while it is pre-trained.
        0: as in the dense encoder that MMEarth published, whose first convolution has no padding and so loses the
        outermost cells of small chips: 56 pixels give 6 cells of 8 and 3 of 16. The vectors of the two differ.

    Raises
    ------
    SpecError
        If there is no such encoder.
    """

    def __init__(self, channels: int, size: str = "atto", patch: int = 8, padding: int = 1) -> None:
        super().__init__()
        if size not in SIZES or patch not in PATCHES or padding not in {0, 1}:
            raise SpecError(
                f"there is no encoder of size {size!r}, patch {patch} and padding {padding}; size is "
                f"{' or '.join(SIZES)}, patch 8 or 16, padding 0 or 1."
            )
        # Its linear layers work on the last axis, so that they take rows of pixels as they take images.
        made: Any = timm.create_model(f"convnextv2_{size}", pretrained=False, num_classes=0, conv_mlp=False)
        width = made.feature_info[0]["num_chs"]
        self.dimension: int = made.num_features
        self.patch, self.padding = patch, padding
        step = patch // 8
        # Without padding before, half a patch of it here keeps a patch over the pixels that it had.
        self.stem: Any = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=padding),
            LayerNorm2d(width),
            nn.GELU(),
            nn.Conv2d(width, width, step, step, padding=0 if padding else step // 2, groups=width),
            LayerNorm2d(width),
        )
        initialise(self.stem)
        self.stages: Any = made.stages
        for stage in self.stages:
            for block in stage.blocks:
                block.conv_dw = Depthwise.of(block.conv_dw)
                block.mlp.grn = GlobalResponseNorm(block.mlp.fc1.out_features)

    @property
    def least(self) -> int:
        """Side of the smallest chip that gives a cell, in pixels."""
        return self.patch if self.padding or self.patch > 8 else self.patch + 2

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Return the feature map of (n, channels, height, width): (n, dimension, cells, cells)."""
        return self.stages(self.stem(x))  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the mean of the feature map, without a final norm: (n, dimension)."""
        return self.features(x).mean((2, 3))

    def masked(self, x: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        """Return the feature map of what is visible, zero in hidden cells.

        Hidden pixels do not exist: no convolution reads them, and GRN takes its norms over the visible pixels of each
        image. (The sparse encoder of MMEarth took them over the visible pixels of the batch; an image's own are what
        GRN has when it encodes, and they do not depend on its neighbours in the batch.)

        Parameters
        ----------
        x
            Shape (n, channels, size, size); size is a multiple of the patch.
        cells
            True where visible: bool, shape (n, size / patch, size / patch), with as many in each image.

        Raises
        ------
        SpecError
            If the encoder has no padding, or cells and pixels do not fit.
        """
        side = (x.shape[2] / self.patch, x.shape[3] / self.patch)
        count = cells.sum((1, 2))
        if not self.padding or tuple(cells.shape[1:]) != side or bool((count != count[0]).any()):
            raise SpecError(
                f"a mask of {tuple(cells.shape[1:])} cells, {count.tolist()} visible, does not fit chips of "
                f"{tuple(x.shape[2:])} pixels with patches of {self.patch} and padding {self.padding}; masks need "
                "padding 1, a cell for each patch, and as many visible in each chip."
            )
        seen = [Visible(cells)]
        for _ in self.stages[1:]:
            seen.insert(0, seen[0].finer(2))
        pixels = seen[0].finer(self.patch // 8)
        first, norm, gelu, patches, last = self.stem
        rows = gelu(_norm(norm, pixels.take(first(pixels.keep(x)))))
        if patches.stride == (1, 1):  # a scale and a shift, which is much faster than that convolution's gradient
            rows = rows * patches.weight.flatten() + patches.bias
        else:
            rows = seen[0].take(patches(pixels.put(rows)))
        rows = _norm(last, rows)
        for number, (stage, visible) in enumerate(zip(self.stages, seen, strict=True)):
            if number:
                norm, halve = stage.downsample
                rows = visible.take(halve(seen[number - 1].put(_norm(norm, rows))))
            for block in stage.blocks:
                rows = rows + block.mlp(block.norm(visible.take(block.conv_dw(visible.put(rows)))))
        return seen[-1].put(rows)


class GlobalResponseNorm(nn.Module):
    """GRN on the last axis of (n, height, width, channels): ``x + weight * (x * nx) + bias``.

    timm's does the same step by step, and its gradient costs more than that of the layers around it; taken together as
    ``x * (1 + weight * nx) + bias`` it costs a third. Torch's norm over two axes costs up to seven times what the
    squares do that are added up here.

    Parameters
    ----------
    width
        Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return it."""
        # The least that squares may add up to gives the root a gradient everywhere; GRN_EPS hides it.
        norm = x.square().sum((1, 2), keepdim=True).clamp_min(LEAST).sqrt()
        response = norm / (norm.mean(-1, keepdim=True) + GRN_EPS)
        return torch.addcmul(self.bias.to(x.dtype), x, (1 + self.weight * response).to(x.dtype))


def initialise(network: nn.Module) -> None:
    """Draw the weights of all convolutions and linear layers as ConvNeXt V2 does, and set their biases to 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _norm(norm: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """Apply timm's LayerNorm of (n, channels, height, width) to rows."""
    return norm(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # type: ignore[no-any-return]
