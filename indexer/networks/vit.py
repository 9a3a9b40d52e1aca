"""Vision transformers (Dosovitskiy et al. 2021), one for each modality, that end in a common space of unit vectors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as fn

from embedstore.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Size:
    """How large a tower is.

    Parameters
    ----------
    image, patch
        Sides of its chips and of a token, in pixels.
    width, depth, heads
        Of the transformer.
    dimension
        Length of its vectors.
    grid
        Parts along a chip, of each of which the mean of its tokens goes into the vector; 1 for the mean of all.
    """

    image: int
    patch: int
    width: int
    depth: int
    heads: int
    dimension: int
    grid: int = 1

    def __post_init__(self) -> None:
        if min(self.image, self.patch, self.width, self.depth, self.heads, self.dimension) < 1:
            raise SpecError(f"every number of a tower must be at least 1, not {asdict(self)}.")
        if self.image % self.patch or self.width % self.heads:
            raise SpecError(
                f"patches of {self.patch} pixels must divide the chip of {self.image}, and {self.heads} heads the "
                f"width of {self.width}."
            )
        if self.image // self.patch % self.grid:
            raise SpecError(f"a grid of {self.grid} must divide the {self.image // self.patch} tokens along a chip.")


SIZES = {
    "small": Size(image=64, patch=16, width=128, depth=4, heads=4, dimension=128, grid=4),
    "paper": Size(image=448, patch=16, width=768, depth=12, heads=12, dimension=512),
}
"""`small` has 1.1 million parameters a tower; `paper` is ViT-B/16 on chips of 4.5 km, 87 million a tower. The width of
the common space is not known of the paper; 512 is that of CLIP's ViT-B (Radford et al. 2021)."""


class Tower(torch.nn.Module):
    """Patches of all channels, a transformer, a linear projection of the means of its tokens by part, length one.

    A chip and what another sensor saw of it share where things lie, and with the mean of all tokens transformers are
    slow to learn that: after 150 seconds on one core (220 to 235 steps of 128 chips, one seed, before the norm stood
    behind the means) the partner was among the ten nearest of 2,000 in 1 to 2 cases of 100, and with parts of four by
    four in 53 to 59. A class token learns less still: at its start it looks at little else than
    itself.
    Chips of other sizes than it was made for are taken too: its position embeddings are resampled to their grid, and
    a side that patches do not divide is filled up with zeros.

    Parameters
    ----------
    channels
        Of its modality.
    size
        How large it is.
    """

    def __init__(self, channels: int, size: Size) -> None:
        super().__init__()
        self.vit = VisionTransformer(
            img_size=size.image,
            patch_size=size.patch,
            in_chans=channels,
            embed_dim=size.width,
            depth=size.depth,
            num_heads=size.heads,
            num_classes=0,
            class_token=False,
            global_pool="avg",
            dynamic_img_size=True,
            dynamic_img_pad=True,
        )
        self.patch, self.grid = size.patch, size.grid
        self.projection = torch.nn.Linear(size.width * size.grid**2, size.dimension, bias=False)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return unit vectors, float32 of shape (n, dimension), of z-scores of shape (n, channels, h, w)."""
        high, wide = (-(-side // self.patch) for side in z.shape[2:])
        tokens = self.vit.forward_features(z).transpose(1, 2).reshape(len(z), -1, high, wide)
        parts = fn.adaptive_avg_pool2d(tokens, self.grid).permute(0, 2, 3, 1)
        return fn.normalize(self.projection(self.vit.fc_norm(parts).flatten(1)).float(), dim=1)


def towers(channels: Mapping[str, int], size: Size) -> torch.nn.ModuleDict:
    """Return a tower for each modality, by name; `channels` says how many each has."""
    return torch.nn.ModuleDict({name: Tower(count, size) for name, count in channels.items()})
