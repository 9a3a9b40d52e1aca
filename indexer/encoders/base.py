"""What an encoder is, and the one way from pixels to network input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from embedstore.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.spec import EncoderSpec, Modality
    from indexer.sample import Sample

WEIGHTS = "weights.safetensors"


class Encoder(Protocol):
    """A spec and a function.

    Attributes
    ----------
    spec
        What it is, whole.
    device
        Where it runs: ``cpu``, ``cuda``, ``2 x cuda``.
    lanes
        How many threads may call :meth:`encode` at once and gain by it.
    batch
        How many chips a call does best with.
    """

    spec: EncoderSpec
    device: str
    lanes: int
    batch: int

    def encode(self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Turn chips into vectors.

        Parameters
        ----------
        pixels
            By modality: shape (n, bands, size, size), bands in the spec's order, physical units. An encoder of
            several modalities takes any of them, and NaN where one has no data.
        valid
            Where there is data, of any modality; shape (n, size, size).

        Returns
        -------
        Unit vectors, shape (n, dimension), mantissas not yet rounded.

        Raises
        ------
        EncoderError
            If the network gives a vector without direction.
        """
        ...


@runtime_checkable
class PixelEncoder(Protocol):
    """An encoder whose vectors are means over pixels, so that it can tell which of them are like a query."""

    def similarity(
        self, pixels: Mapping[str, NDArray[np.float32]], valid: NDArray[np.bool_], query: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return the cosine between each pixel and a query.

        Parameters
        ----------
        pixels, valid
            As :meth:`Encoder.encode` takes them, n chips.
        query
            Unit vector, shape (dimension,) or (1, dimension).

        Returns
        -------
        float32, shape (n, size, size), NaN where there is no data.
        """
        ...


class Architecture(Protocol):
    """A way to make encoders and to load them again, registered under a name."""

    @classmethod
    def canonical(cls, name: str) -> str:
        """Return the name by which a store knows it."""
        ...

    @classmethod
    def chip_size(cls, name: str) -> int:
        """Return the side of its chips in pixels, where nobody says another."""
        ...

    @classmethod
    def modalities(cls, name: str) -> dict[str, tuple[str, ...]]:
        """Return the modalities that it takes, in order, each with the bands that it was trained on; none if any do."""
        ...

    @classmethod
    def make(cls, name: str, sample: Sample, folder: Path) -> EncoderSpec:
        """Make an encoder for scenes like the sample, and write its weights into a folder."""
        ...

    @classmethod
    def load(cls, spec: EncoderSpec, folder: Path, device: str) -> Encoder:
        """Load an encoder from its folder."""
        ...


def preprocess(pixels: NDArray[np.float32], valid: NDArray[np.bool_], modality: Modality) -> NDArray[np.float32]:
    """Return ``(pixels - mean) / std``, and 0 (the mean) where there is no data.

    Parameters
    ----------
    pixels
        Shape (n, bands, h, w), physical units.
    valid
        Shape (n, h, w).
    modality
        Whose mean and std.
    """
    mean = np.array(modality.mean, np.float32)[:, None, None]
    std = np.array(modality.std, np.float32)[:, None, None]
    z = pixels - mean
    z /= std
    if not valid.all():
        z *= valid[:, None]
    return z


def unit(vectors: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Return vectors scaled to length one.

    Raises
    ------
    EncoderError
        If one is not finite, or has no length.
    """
    length = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not (np.isfinite(length).all() and (length > 0).all()):
        raise EncoderError(f"encoder {name} gave a vector that is zero or not finite; its weights cannot be used.")
    scaled: NDArray[np.float32] = (vectors / length).astype(np.float32)
    return scaled
