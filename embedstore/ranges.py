"""A remote file as Python reads files: each read is one request."""

from __future__ import annotations

import io
from typing import Any

import obstore

from embedstore.cloud import refusals


class Ranges(io.RawIOBase):
    """An object, read by ranges; pyarrow puts together what lies close.

    Parameters
    ----------
    store
        Of obstore.
    key
        The object's name.
    size
        Its bytes.
    where
        The store, for messages.
    """

    def __init__(self, store: Any, key: str, size: int, where: object) -> None:
        super().__init__()
        self._store, self._key, self._size, self._where = store, key, size, where
        self._at = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place; nothing is asked for."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer takes, or as are left."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(0, self._size - self._at))
        if count:
            with refusals(f"read {self._key} of", self._where):
                part = obstore.get_range(self._store, self._key, start=self._at, length=count)
            view[:count] = memoryview(part)
            self._at += count
        return count
