"""Chips, and what is to be told of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Split = tuple[NDArray[np.int64], NDArray[np.int64]]
    """Positions to learn from, and to test on."""


@dataclass(frozen=True, eq=False)
class Chips:
    """Chips of one size and one set of bands.

    Parameters
    ----------
    name
        Of the data set.
    bands
        In order, by the names of :mod:`indexer.pretrain.modalities`; the red, green and blue of pictures are called
        B04, B03 and B02, so that encoders of Sentinel-2 can be asked.
    pixels
        Shape (n, bands, size, size), of any number type.
    valid
        Where there is data, bool, shape (n, size, size).
    known_as
        What the chips follow from, if reading them all only to know them again would take long; "" if not.
    """

    name: str
    bands: tuple[str, ...]
    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    known_as: str = ""

    def __post_init__(self) -> None:
        count, bands, *side = self.pixels.shape
        if bands != len(self.bands) or self.valid.shape != (count, *side):
            raise ValueError(f"{self.name}: {len(self.bands)} bands, {self.pixels.shape} and {self.valid.shape}")

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    def whole(cls, name: str, bands: Sequence[str], pixels: NDArray[Any]) -> Chips:
        """Return chips that hold data everywhere."""
        return cls(name, tuple(bands), pixels, np.broadcast_to(np.True_, (len(pixels), *pixels.shape[2:])))

    def select(self, bands: Sequence[str]) -> Chips:
        """Return some of the bands, in the order asked for."""
        if tuple(bands) == self.bands:
            return self
        at = [self.bands.index(b) for b in bands]
        return replace(self, bands=tuple(bands), pixels=self.pixels[:, at])

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of the bands, the pixels and where they are valid; or of the bands and what they follow from."""
        made = hashlib.sha256(f"{self.bands} {self.pixels.shape} {self.pixels.dtype} {self.known_as}".encode())
        if self.known_as:
            return made.hexdigest()
        for some, seen in zip(self.pixels, self.valid, strict=True):
            made.update(np.ascontiguousarray(some).data)
            made.update(np.packbits(seen).data)
        return made.hexdigest()


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be told of chips.

    Parameters
    ----------
    name, title
        By which it is asked for, and what it is in a line.
    chips
        All of them.
    classes
        Names of the classes.
    labels
        Number of each chip's class, int64, shape (n,).
    fractions
        Share of each chip that the last class covers, float64, shape (n,), where the labels are a threshold on that.
    places
        Number of the place of each chip, int64, shape (n,): what lies in one place is never on both sides of a split,
        and is drawn together when an interval is measured.
    splits
        By place; no chip is tested twice.
    random_splits
        As many, without a thought for place. None if the data set has a split of its own.
    balanced
        Whether as many labels of each class are drawn, as is usual for pictures of many classes.
    beside
        The same chips through other sensors.
    """

    name: str
    title: str
    chips: Chips
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    fractions: NDArray[np.float64] | None
    places: NDArray[np.int64]
    splits: tuple[Split, ...]
    random_splits: tuple[Split, ...]
    balanced: bool = False
    beside: tuple[Chips, ...] = ()

    @property
    def fitted_on(self) -> NDArray[np.int64]:
        """Chips, not labels, that an encoder may learn its bands from: those to learn from, or all in rotation.

        Whoever encodes an area for a store shows the encoder all of it, before there is a label.
        """
        return self.splits[0][0] if len(self.splits) == 1 else np.arange(len(self.chips))
