"""Scores that are made of sums, so that they can be resampled by whole places: macro F1, R2, mean IoU, accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 500
LEVEL = 0.95


class Measure(Protocol):
    """A score that is a function of sums over what was tested."""

    @property
    def width(self) -> int:
        """How many sums there are."""
        ...

    def terms(self, truth: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what each of n answers adds to the sums, shape (n, width)."""
        ...

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of sums, shape (..., width) to (...)."""
        ...


@dataclass(frozen=True)
class Accuracy:
    """Share of answers that are right."""

    width = 2

    def terms(self, truth: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        return np.stack([truth == given, np.ones(len(truth))], axis=1).astype(np.float64)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        return np.asarray(sums[..., 0] / sums[..., 1])


@dataclass(frozen=True)
class MacroF1:
    """Mean over the classes of F1; a class that is nowhere and was not given does not count."""

    classes: int

    @property
    def width(self) -> int:
        """See :class:`Measure`."""
        return 3 * self.classes

    def terms(self, truth: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        known = np.arange(self.classes)
        is_, says = truth[:, None] == known, given[:, None] == known
        return np.concatenate([is_ & says, is_, says], axis=1).astype(np.float64)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        right, is_, says = np.split(sums, 3, axis=-1)
        return _mean(2 * right, is_ + says)


@dataclass(frozen=True)
class MeanIoU(MacroF1):
    """Mean over the classes of intersection over union."""

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        right, is_, says = np.split(sums, 3, axis=-1)
        return _mean(right, is_ + says - right)


@dataclass(frozen=True)
class R2:
    """Share of the variance that is explained; negative if the mean would have been a better answer."""

    width = 4

    def terms(self, truth: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        return np.stack([np.ones(len(truth)), truth, truth**2, (truth - given) ** 2], axis=1)

    def of(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """See :class:`Measure`."""
        count, total, squares, missed = np.moveaxis(sums, -1, 0)
        return np.asarray(1 - missed / (squares - total**2 / count))


@dataclass(frozen=True)
class Figure:
    """A score and its interval, in which it lies in 95 of 100 resamples.

    Parameters
    ----------
    value, low, high
        The score and the ends of the interval.
    resamples
        Its values. Two encoders tested on the same places are resampled alike, so that their difference has an
        interval of its own, which is narrower than both.
    """

    value: float
    low: float
    high: float
    resamples: tuple[float, ...] = ()

    @classmethod
    def of(cls, value: float, resamples: NDArray[np.float64]) -> Self:
        """Return a score with the interval of its resamples; those that are not finite do not count."""
        low, high = np.quantile(resamples[np.isfinite(resamples)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(float(value), float(low), float(high), tuple(resamples.round(5).tolist()))

    def numbers(self) -> dict[str, Any]:
        """Return plain data that survives JSON."""
        kept = [v if np.isfinite(v) else None for v in self.resamples]
        return {"value": self.value, "low": self.low, "high": self.high, "resamples": kept}

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class Tally:
    """Sums of draws and places, filled draw by draw.

    Parameters
    ----------
    measure
        Which score.
    places
        Number of the place of each chip that may be tested, shape (n,).
    draws
        How many.
    """

    def __init__(self, measure: Measure, places: NDArray[np.int64], draws: int) -> None:
        self.measure = measure
        self._places = np.unique(places, return_inverse=True)[1]
        self._sums = np.zeros((draws, int(self._places.max()) + 1, measure.width))

    def add(self, draw: int, at: NDArray[np.int64], truth: NDArray[np.float64], given: NDArray[np.float64]) -> None:
        """Take in the answers of one draw to the chips at some positions."""
        np.add.at(self._sums[draw], self._places[at], self.measure.terms(truth, given))

    def figure(self) -> Figure:
        """Return the mean over the draws of the score over all places, and its interval.

        It holds 95 of 100 resamples of draws and of whole places, both with replacement.
        """
        sums = self._sums[:, self._sums.any(axis=(0, 2))]
        draws, places, _ = sums.shape
        value = float(self.measure.of(sums.sum(axis=1)).mean())
        rng = np.random.default_rng(0)
        times = rng.multinomial(places, np.full(places, 1 / places), RESAMPLES).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = self.measure.of(np.einsum("rg,dgk->rdk", times, sums, optimize=True))
        drawn = np.take_along_axis(scores, rng.integers(0, draws, (RESAMPLES, draws)), axis=1).mean(axis=1)
        return Figure.of(value, drawn)


def _mean(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the last axis of ratios, of those that have something under them."""
    there = under > 0
    ratios = np.divide(over, under, out=np.zeros_like(over), where=there)
    return np.asarray(ratios.sum(axis=-1) / np.maximum(there.sum(axis=-1), 1))
