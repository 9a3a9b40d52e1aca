"""Chips to learn from: the same ground through every sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Batch:
    """Co-registered chips at one date each, by the names of :mod:`indexer.pretrain.modalities`.

    A modality that no chip has may be missing; one that some lack is NaN (or -1) for those.

    Parameters
    ----------
    pixels
        float32, shape (n, channels, size, size), physical units; NaN where there is no data.
    classes
        int64, shape (n, size, size); -1 where unknown.
    values
        float32, shape (n, k); NaN where unknown.
    labels
        int64, shape (n,); -1 where unknown.
    lon, lat
        Centres in degrees, shape (n,).
    gsd
        Metres of ground to a pixel.
    """

    pixels: Mapping[str, NDArray[np.float32]]
    classes: Mapping[str, NDArray[np.int64]]
    values: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[np.int64]]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    gsd: float

    def __len__(self) -> int:
        """Return the number of chips."""
        return len(self.lon)


class Source(Protocol):
    """Where chips come from: a simulated landscape, a folder of scenes, several of these together."""

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        """Draw chips at random.

        Parameters
        ----------
        count, size
            How many, and their side in pixels.
        dates
            Acquisitions of the same ground, on the same pixel grid: one batch each.
        rng
            The same state gives the same chips, so that a run that was killed goes on as it would have.
        """
        ...

    def describe(self) -> str:
        """Say in one line what it is, for model cards."""
        ...
