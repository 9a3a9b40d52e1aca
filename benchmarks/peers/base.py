"""What every peer can do, whatever it is made of.

Vectors are of unit length and compared by inner product (the cosine); answers are row numbers in the order of
:class:`Rows`, nearest first.
"""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from benchmarks.peers.rows import Rows, Where
from embedstore.errors import EmbedstoreError, MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Peer", "PeerError", "Rows", "Where", "cores", "require"]


class PeerError(EmbedstoreError):
    """A peer failed, or its process died."""


class Peer(Protocol):
    """A vector database or library that answers the same questions.

    Parameters
    ----------
    threads
        For single queries. Builds and batches use :func:`cores`.
    """

    name: ClassVar[str]
    filters: ClassVar[bool]

    def build(self, rows: Rows, folder: Path) -> None:
        """Take in all rows and index them; ``folder`` is empty and the peer's own."""

    @abstractmethod
    def sweep(self) -> list[dict[str, Any]]:
        """Return settings of the search, from the cheapest to the dearest."""

    @abstractmethod
    def search(self, query: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> NDArray[np.int64]:
        """Return at most k row numbers, nearest first, for a query of shape (d,)."""

    def batch(self, queries: NDArray[np.float32], k: int, knobs: dict[str, Any]) -> list[NDArray[np.int64]]:
        """Answer (m, d) queries with all cores if the peer can take them at once, else one after the other."""
        return [self.search(query, k, knobs) for query in queries]

    def filtered(self, query: NDArray[np.float32], k: int, where: Where, knobs: dict[str, Any]) -> NDArray[np.int64]:  # noqa: ARG002 - what others need
        """Return at most k row numbers that pass the filter, nearest first; raises PeerError if it cannot filter."""
        raise PeerError(f"{self.name} cannot filter; ask a peer whose `filters` is true.")

    def close(self) -> None:
        """Stop whatever the peer started."""


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def require(module: str, distribution: str) -> Any:
    """Import a peer's package.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtraError(f"{distribution} is not installed. Run `pip install 'embedstore[bench]'`.") from error
