"""`rcf`: random convolutional features with ZCA-whitened patches.

Coates & Ng 2012, "Learning feature representations with k-means" (whitened random patches as filters), and Rolf et al.
2021, "A generalizable and accessible approach to machine learning with global satellite imagery" (MOSAIKS). Needs no
training and no download: its filters are patches of the scenes themselves.

Raw pooled features share one large mean, which makes every cosine nearly 1; so they are standardised with the mean
and standard deviation of the sample before they are scaled to length one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.sealed import sha256
from embedstore.spec import EncoderSpec
from embedstore.vectors import round_mantissa
from indexer.encoders.base import WEIGHTS, preprocess, unit
from indexer.encoders.device import Runner
from indexer.encoders.registry import register

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import Modality
    from indexer.sample import Sample

SEED = 20120618
DIMENSION = 256
CHIP_SIZE = 64
PATCH = 3
BIAS = 0.5
"""In standard deviations of a filter's response."""
RIDGE = 0.1
"""Added to the eigenvalues of the patches' covariance, whose mean is 1 a value."""
FITTING_PATCHES = 100_000
FITTING_CHIPS = 96


@register("rcf")
class RandomConvolutionalFeatures:
    """See the module."""

    def __init__(self, spec: EncoderSpec, folder: Path, device: str) -> None:
        from safetensors.numpy import load_file  # noqa: PLC0415

        weights = load_file(folder / WEIGHTS)
        self.spec = spec
        self._mean, self._std = weights["mean"], weights["std"]
        self._run = Runner(
            _network(weights["filters"], weights["bias"]),
            spec.modalities[0],
            device,
            chip_size=spec.chip_size,
            masked=True,
            half=False,
        )
        self.device, self.lanes, self.batch = self._run.device, self._run.lanes, self._run.batch

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name by which a store knows it."""
        return name

    @classmethod
    def chip_size(cls, name: str) -> int:  # noqa: ARG003 - the same for all
        """Return the side of its chips: 640 m of Sentinel-2."""
        return CHIP_SIZE

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:  # noqa: ARG003 - the protocol's name
        """Return the one: any bands will do."""
        return {"optical": ()}

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:
        """Take filters from the sample, measure their responses on it, and write both."""
        from safetensors.numpy import save_file  # noqa: PLC0415

        modality = sample.modality("optical")
        save_file(_fit(sample, modality), folder / WEIGHTS)
        return EncoderSpec(
            name,
            (modality,),
            sample.chip_size,
            sample.gsd,
            DIMENSION,
            "mean",
            sha256(folder / WEIGHTS),
            {"patch": PATCH, "seed": SEED},
        )

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> RandomConvolutionalFeatures:
        """Load an encoder from its folder."""
        return cls(spec, folder, device)

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors; see :class:`indexer.encoders.base.Encoder`."""
        features = self._run(pixels[self.spec.modalities[0].name], valid)
        return unit((features - self._mean) / self._std, self.spec.name)


def _network(filters: NDArray[Any], bias: NDArray[Any]) -> Any:
    """Return the torch module: convolve, ReLU of both signs, mean over the pixels whose whole patch holds data."""
    import torch  # noqa: PLC0415
    from torch.nn import functional as fn  # noqa: PLC0415

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(filters))
            self.shift = torch.nn.Parameter(torch.from_numpy(bias))

        def forward(self, x: Any, valid: Any) -> Any:
            # On the CPU a few chips at a time, so that the responses stay in the cache.
            step = 2 if x.device.type == "cpu" else len(x)
            return torch.cat([self._some(x[i : i + step], valid[i : i + step]) for i in range(0, len(x), step)])

        def _some(self, x: Any, valid: Any) -> Any:
            response = fn.conv2d(x, self.weight)
            plus = fn.relu(response - self.shift[0][:, None, None])
            minus = fn.relu(self.shift[1][:, None, None] - response)
            if bool(valid.all()):
                return torch.cat([plus.mean((2, 3)), minus.mean((2, 3))], dim=1)
            seen = valid.unsqueeze(1).to(x.dtype)
            side = self.weight.shape[2]
            whole = -fn.max_pool2d(-seen, side, 1)
            # A chip too torn to hold one whole patch counts every patch.
            whole = torch.where(whole.sum((2, 3), keepdim=True) > 0, whole, torch.ones_like(whole))
            share = whole / whole.sum((2, 3), keepdim=True)
            return torch.cat([(plus * share).sum((2, 3)), (minus * share).sum((2, 3))], dim=1)

    return Network()


def _fit(sample: Sample, modality: Modality) -> dict[str, NDArray[np.float32]]:
    """Return filters, biases, and the mean and std of the features.

    All in float64, and rounded to ten bits of mantissa at each step, so that two machines that fit the same scenes
    get the same bytes: what differs between them is the last bits of sums.
    """
    random = np.random.default_rng(SEED)
    z = preprocess(sample.pixels, sample.valid, modality)
    patches = _patches(z, sample.valid, random)
    mean = patches.mean(axis=0)
    centred = patches - mean
    covariance = centred.T @ centred / len(centred)
    values, axes = np.linalg.eigh(covariance)
    whiten = (axes / np.sqrt(np.maximum(values, 0) + RIDGE)) @ axes.T
    half = DIMENSION // 2
    chosen = centred[random.choice(len(centred), half, replace=len(centred) < half)]
    directions = chosen @ whiten
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    filters = _rounded(directions @ whiten)
    exact = filters.astype(np.float64)
    spread = np.sqrt(np.einsum("fi,ij,fj->f", exact, covariance, exact))
    middle = exact @ mean
    bias = _rounded(np.stack([middle + BIAS * spread, middle - BIAS * spread]))
    shape = (half, z.shape[1], PATCH, PATCH)
    features = _features(z, sample.valid, filters.reshape(shape), bias)
    std = features.std(axis=0)
    return {
        "filters": filters.reshape(shape),
        "bias": bias,
        "mean": _rounded(features.mean(axis=0)),
        "std": _rounded(np.maximum(std, max(std.max() * 1e-3, 1e-6))),
    }


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return round_mantissa(values.astype(np.float32))


def _patches(z: NDArray[np.float32], valid: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.float64]:
    """Return patches that hold data everywhere (any patches, if none does), shape (n, bands · PATCH²)."""
    windows = np.lib.stride_tricks.sliding_window_view(z, (PATCH, PATCH), axis=(2, 3))
    whole = np.lib.stride_tricks.sliding_window_view(valid, (PATCH, PATCH), axis=(1, 2)).all(axis=(3, 4))
    if not whole.any():
        whole = np.ones_like(whole)
    at = np.flatnonzero(whole)
    at = random.choice(at, FITTING_PATCHES, replace=False) if len(at) > FITTING_PATCHES else at
    chip, row, col = np.unravel_index(at, whole.shape)
    return windows[chip, :, row, col].reshape(len(at), -1).astype(np.float64)


def _features(
    z: NDArray[np.float32], valid: NDArray[np.bool_], filters: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the features of the first chips of the sample in float64."""
    import torch  # noqa: PLC0415

    network = _network(filters.astype(np.float64), bias.astype(np.float64))
    with torch.inference_mode():
        chips = [
            network(torch.from_numpy(z[i : i + 1].astype(np.float64)), torch.from_numpy(valid[i : i + 1]))
            for i in range(min(len(z), FITTING_CHIPS))
        ]
    return torch.cat(chips).numpy()
