"""`dense:small`, `dense@FILE`: unit vectors of pixels, and their mean as the vector of a chip.

A chip's vector is the mean of the unit vectors of its pixels that hold data, scaled to length one: so the cosine
between a chip and a query is, but for that scale, the mean of the cosines between its pixels and the query, and which
pixels made a chip a hit can be told exactly. Other poolings (largest, standard deviation, powers) have no such share
of each pixel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from embedstore.errors import BandError, EncoderError
from indexer.encoders import model_file
from indexer.encoders.base import WEIGHTS, unit
from indexer.encoders.device import Runner
from indexer.encoders.pretrained import Pretrained
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec
    from indexer.encoders.model_file import Model
    from indexer.networks.unet import PixelEmbedding

AT_ONCE = 2
"""Chips whose pixels' vectors are held at once on the CPU: of more, they do not stay in the cache."""


@register("dense[:@]*")
class Dense(Pretrained):
    """See the module."""

    family: ClassVar[str] = "dense"
    needs_every_band: ClassVar[bool] = False

    def __init__(self, spec: EncoderSpec, folder: Path, device: str) -> None:
        (modality,) = spec.modalities
        self.spec = spec
        network = network_of(model_file.read(folder / WEIGHTS), modality.bands)
        size, half = spec.chip_size, True
        self._pooled = Runner(_pooled(network), modality, device, chip_size=size, masked=True, half=half)
        self._pixels = Runner(network, modality, device, chip_size=size, half=half)
        self.device, self.lanes, self.batch = self._pooled.device, self._pooled.lanes, self._pooled.batch

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> Dense:
        """Load an encoder from its folder."""
        return cls(spec, folder, device)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`."""
        return unit(self._pooled(pixels[self.spec.modalities[0].name], valid), self.spec.name)

    def similarity(
        self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_], query: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return how like a vector each pixel is; see :class:`indexer.encoders.base.PixelEncoder`."""
        name = self.spec.modalities[0].name
        out = np.full(valid.shape, np.nan, np.float32)
        for chip in range(len(valid)):
            vectors = self._pixels(pixels[name][chip : chip + 1], valid[chip : chip + 1])[0]
            out[chip] = np.where(valid[chip], vectors @ query.ravel(), np.nan)
        return out


def network_of(model: Model, bands: Sequence[str]) -> PixelEmbedding:
    """Return a model's network for some of its bands, in the order given.

    A band that is missing would be 0, its mean, everywhere; so its filters of the first convolution are left out.

    Raises
    ------
    BandError
        If the model does not know a band.
    EncoderError
        If its tensors are not those of the network that it names.
    """
    from indexer.networks.unet import PixelEmbedding  # noqa: PLC0415

    known = model.modalities[0].bands
    strange = [band for band in bands if band not in known]
    if strange:
        raise BandError(f"the model takes the bands {','.join(known)}, and knows no {','.join(strange)}.")
    try:
        network = PixelEmbedding(**model.options)
        network.load_state_dict(model.tensors)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise EncoderError(f"the model file of {model.architecture} does not fit its network: {reason}.") from error
    stem = network.unet.stem
    stem.weight.data = stem.weight.data[:, [known.index(band) for band in bands]].clone()
    stem.in_channels = len(bands)
    return network


def _pooled(network: Any) -> Any:
    """Return the torch module from z-scores and valid pixels to the mean of the unit vectors of valid pixels."""
    import torch  # noqa: PLC0415

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pixels = network

        def forward(self, z: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            step = AT_ONCE if z.device.type == "cpu" else len(z)
            return torch.cat([self._some(z[i : i + step], valid[i : i + step]) for i in range(0, len(z), step)])

        def _some(self, z: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
            weight = valid.flatten(1).float()
            share = weight / weight.sum(1, keepdim=True)
            return torch.einsum("nm,nmd->nd", share, self.pixels(z).flatten(1, 2))

    return Pooled()
