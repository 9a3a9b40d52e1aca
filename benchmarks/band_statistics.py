"""`band-statistics`: mean, standard deviation and percentiles of each band, the least that an encoder must beat.

Standardised with those of the sample, so that no band drowns the others, and scaled to length one. It is an encoder
like any other, registered for the benchmarks only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.sealed import sha256
from embedstore.spec import EncoderSpec
from indexer.encoders.base import WEIGHTS, preprocess, unit
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from indexer.sample import Sample

NAME = "band-statistics"
CHIP_SIZE = 64
PERCENTILES = (10, 50, 90)


@register(NAME)
class BandStatistics:
    """See the module."""

    device = "cpu"
    lanes = 1
    batch = 256

    def __init__(self, spec: EncoderSpec, folder: Path) -> None:
        from safetensors.numpy import load_file

        self.spec = spec
        weights = load_file(folder / WEIGHTS)
        self._mean, self._std = weights["mean"], weights["std"]

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name by which a store knows it."""
        return name

    @classmethod
    def chip_size(cls, name: str) -> int:  # noqa: ARG003 - the same for all
        """Return the side of its chips in pixels."""
        return CHIP_SIZE

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:  # noqa: ARG003 - the protocol's name
        """Return the one: any bands will do."""
        return {"optical": ()}

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:
        """Measure mean and standard deviation of the statistics over the sample."""
        from safetensors.numpy import save_file

        modality = sample.modality("optical")
        found = statistics(preprocess(sample.pixels, sample.valid, modality), sample.valid)
        std = found.std(axis=0)
        save_file({"mean": found.mean(axis=0), "std": np.where(std > 0, std, 1).astype(np.float32)}, folder / WEIGHTS)
        size, digest = sample.chip_size, sha256(folder / WEIGHTS)
        return EncoderSpec(name, (modality,), size, sample.gsd, found.shape[1], "statistics", digest)

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> BandStatistics:  # noqa: ARG003 - the protocol's name
        """Load it from its folder."""
        return cls(spec, folder)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`."""
        (modality,) = self.spec.modalities
        found = statistics(preprocess(pixels[modality.name], valid, modality), valid)
        return unit((found - self._mean) / self._std, self.spec.name)


def statistics(z: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return mean, standard deviation and percentiles of the valid pixels of each band, shape (n, 5 · bands).

    Parameters
    ----------
    z
        Shape (n, bands, h, w).
    valid
        Shape (n, h, w), some of each chip.
    """
    pixels = z.reshape(*z.shape[:2], -1)
    if not valid.all():
        pixels = np.where(valid.reshape(len(z), 1, -1), pixels, np.nan)
    levels = np.nanpercentile if np.isnan(pixels).any() else np.percentile
    found = [np.nanmean(pixels, axis=2), np.nanstd(pixels, axis=2), *levels(pixels, PERCENTILES, axis=2)]
    return np.concatenate(found, axis=1).astype(np.float32)
