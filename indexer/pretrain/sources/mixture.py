"""Several sources as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedstore.errors import SpecError
from indexer.pretrain.sources.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from indexer.pretrain.sources.batch import Source

GSD_RATIO = 1.01
"""Pixels of sources that differ by more are not mixed."""


class Mixture:
    """Chips of each source with a probability of its own, in random order.

    Parameters
    ----------
    shares
        Sources and what of the chips comes from each, in any unit.

    Raises
    ------
    SpecError
        If there are none, or a share is not above 0.
    """

    def __init__(self, shares: Iterable[tuple[Source, float]]) -> None:
        self._shares = tuple(shares)
        if not self._shares or not all(share > 0 for _, share in self._shares):
            raise SpecError("a mixture needs a source, and a share above 0 of each.")
        total = sum(share for _, share in self._shares)
        self._probability = [share / total for _, share in self._shares]

    def draw(self, count: int, size: int, dates: int, rng: np.random.Generator) -> tuple[Batch, ...]:
        """Draw chips at random; see :class:`indexer.pretrain.sources.batch.Source`.

        Raises
        ------
        SpecError
            If the sources have pixels of different size.
        """
        counts = rng.multinomial(count, self._probability)
        drawn = [
            source.draw(int(n), size, dates, rng) for (source, _), n in zip(self._shares, counts, strict=True) if n
        ]
        order = rng.permutation(count)
        return tuple(_join(at_one_date, order) for at_one_date in zip(*drawn, strict=True))

    def describe(self) -> str:
        """Say in one line what it is."""
        parts = zip(self._shares, self._probability, strict=True)
        return "; ".join(f"{p:.0%} {source.describe()}" for (source, _), p in parts)


def _join(batches: Sequence[Batch], order: NDArray[np.int64]) -> Batch:
    """Put batches behind one another, and their chips into an order."""
    gsds = [b.gsd for b in batches]
    if max(gsds) > min(gsds) * GSD_RATIO:
        raise SpecError(f"sources with pixels of {min(gsds):g} m and of {max(gsds):g} m cannot be mixed.")
    sizes = [len(b) for b in batches]

    def joined(parts: list[Any], missing: float) -> dict[str, Any]:
        """Join one kind of layer; chips whose source lacks it get what stands for missing."""
        names = dict.fromkeys(name for part in parts for name in part)
        return {
            name: np.concatenate(
                [_or_missing(p.get(name), n, like, missing) for p, n in zip(parts, sizes, strict=True)]
            )[order]
            for name in names
            for like in [next(p[name] for p in parts if name in p)]
        }

    return Batch(
        joined([b.pixels for b in batches], np.nan),
        joined([b.classes for b in batches], -1),
        joined([b.values for b in batches], np.nan),
        joined([b.labels for b in batches], -1),
        np.concatenate([b.lon for b in batches])[order],
        np.concatenate([b.lat for b in batches])[order],
        gsds[0],
    )


def _or_missing(held: NDArray[Any] | None, count: int, like: NDArray[Any], missing: float) -> NDArray[Any]:
    return np.full((count, *like.shape[1:]), missing, like.dtype) if held is None else held
