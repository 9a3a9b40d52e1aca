"""Vector tiles that were made, kept for the next who looks there; the least used go first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Tiles:
    """Encoded tiles of one collection. A new version of the table has tiles of its own.

    Parameters
    ----------
    version
        Tells the version that is answered from.
    most
        Bytes that are kept.
    """

    def __init__(self, version: Callable[[], int], most: int) -> None:
        self._version = version
        self._kept: LRUCache[Hashable, bytes] = LRUCache(most, getsizeof=lambda body: len(body) + 256)
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], bytes]) -> bytes:
        """Return a tile, made only if it is not there. Two who ask at once may both make it."""
        key = (self._version(), key)
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = make()
            with self._lock:
                if len(found) + 256 <= self._kept.maxsize:
                    self._kept[key] = found
        return found
