"""A bounded queue between threads that can be closed by either side."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class Stopped(Exception):  # noqa: N818 - it is no error: somebody else has one, or is done
    """The other side is gone."""


class Channel(Generic[T]):
    """First in, first out, never longer than its capacity.

    Parameters
    ----------
    capacity
        How many items it holds; a producer waits beyond that.
    producers
        How many must call :meth:`close` before consumers see the end.
    """

    def __init__(self, capacity: int, producers: int) -> None:
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._open = producers
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Add an item, waiting for room; raises :class:`Stopped` after :meth:`stop`."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < self._capacity)
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        """Take items until all producers have closed; raises :class:`Stopped` after :meth:`stop`."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._items or not self._open)
                if self._stopped:
                    raise Stopped
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def close(self) -> None:
        """Say that one producer is done."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Drop everything; producers and consumers stop at once."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()
