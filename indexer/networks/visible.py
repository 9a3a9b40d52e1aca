"""The pixels of an image that a masked network sees, as rows without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Visible:
    """The visible pixels of a batch of images, as many in each.

    A sparse network knows no other pixels. Ours keeps what it computes point by point as rows of visible pixels, and
    lays them out, zero elsewhere, only for convolutions that look at neighbours. The result is that of a dense network
    whose activations are multiplied by the mask before every such convolution, at the share of the work that is seen.

    Parameters
    ----------
    mask
        True where visible: bool, shape (n, height, width), with as many in each image.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self._mask = mask
        self._at = mask.flatten().nonzero()[:, 0]

    def finer(self, factor: int) -> Visible:
        """Return the same on an image that is `factor` times as wide."""
        if factor == 1:
            return self
        return Visible(self._mask.repeat_interleave(factor, 1).repeat_interleave(factor, 2))

    def keep(self, x: torch.Tensor) -> torch.Tensor:
        """Return an image with zeros where it is hidden, shape (n, channels, height, width)."""
        return x * self._mask[:, None]

    def take(self, x: torch.Tensor) -> torch.Tensor:
        """Return the visible pixels of (n, channels, height, width) as (n, pixels, 1, channels)."""
        n, channels = x.shape[:2]
        rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
        return rows.index_select(0, self._at).view(n, -1, 1, channels)

    def put(self, rows: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`take` took to where it was; zero elsewhere."""
        n, height, width = self._mask.shape
        channels = rows.shape[-1]
        grid = rows.new_zeros(n * height * width, channels).index_copy(0, self._at, rows.reshape(-1, channels))
        return grid.view(n, height, width, channels).permute(0, 3, 1, 2)
