"""Files that say whether they are whole: JSON that carries its own digest, and blocks of bytes with checksums."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError
from embedstore.spec import canonical_json, digest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SHIFT = 12
BLOCK = 1 << SHIFT
"""Bytes under one checksum: a page, since a search reads a few hundred bytes here and there, and each costs a block."""
READ = 1 << 20
WHOLE = 64 << 20
"""A file up to this size is checked whole when it is first touched: ten milliseconds, and then no more checks."""


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file durably; it appears whole or not at all."""
    draft = path.with_name(f".draft-{uuid.uuid4().hex}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_json(path: Path, body: dict[str, Any]) -> None:
    """Write JSON under its own SHA-256, durably; the file appears whole or not at all."""
    write_bytes(path, seal(body))


def read_json(path: Path) -> dict[str, Any]:
    """Read what :func:`write_json` wrote.

    Raises
    ------
    DamageError
        If the file is missing, or a byte of it is not what was written.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _damaged(path, str(error)) from error
    return unseal(raw, path)


def seal(body: dict[str, Any]) -> bytes:
    """Return JSON under its own SHA-256."""
    return canonical_json({"body": body, "sha256": digest(body)})


def unseal(raw: bytes, where: Path | str) -> dict[str, Any]:
    """Return what :func:`seal` was given.

    Raises
    ------
    DamageError
        If a byte is not what was sealed.
    """
    try:
        whole = json.loads(raw)
        body: dict[str, Any] = whole["body"]
        if canonical_json(whole) == raw and whole.keys() == {"body", "sha256"} and digest(body) == whole["sha256"]:
            return body
        reason = "its digest does not match"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error)
    raise _damaged(where, reason)


def _damaged(where: Path | str, reason: str) -> DamageError:
    return DamageError(f"{where} is damaged or missing ({reason}). Run `embedstore index` to rebuild what is derived.")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(path: Path) -> str | None:
    """Return the hex SHA-256 of a file of a store, None if it is missing.

    Raises
    ------
    DamageError
        If it cannot be read.
    """
    try:
        return sha256(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamageError(
            f"{path} cannot be read ({error.strerror or error}). Check the disk and the permissions; restore it from a "
            "copy, or run `embedstore repair` if it is part of the index."
        ) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an advisory lock on a file; the kernel lets go of it when the process ends, however it ends."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def checksums(path: Path) -> NDArray[np.uint32]:
    """Return the CRC-32 of every block of a file."""
    with path.open("rb") as file:
        pieces = (memoryview(piece) for piece in iter(lambda: file.read(READ), b""))
        crcs = [zlib.crc32(piece[i : i + BLOCK]) for piece in pieces for i in range(0, len(piece), BLOCK)]
    return np.array(crcs, dtype=np.uint32)


class Blocks:
    """A memory-mapped file whose blocks are checked when they are first touched.

    Parameters
    ----------
    path
        The file.
    size
        Bytes it must have, at least 1.
    crcs
        CRC-32 of every block, from a list that is itself trusted.

    Raises
    ------
    DamageError
        If the file is missing or of another size.
    """

    def __init__(self, path: Path, size: int, crcs: NDArray[np.uint32]) -> None:
        self.path = path
        try:
            found = path.stat().st_size
            if found != size or len(crcs) != -(-size // BLOCK):
                raise DamageError(
                    f"{path} has {found} bytes; {size} were written. Run `embedstore index` to rebuild it."
                )
            self.bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, "r").view(np.ndarray)
        except (OSError, ValueError) as error:
            raise DamageError(f"{path} cannot be read ({error}). Run `embedstore index` to rebuild it.") from error
        self._crcs = crcs
        self._good = np.zeros(len(crcs), bool)
        self._left = len(crcs)

    @property
    def good(self) -> bool:
        """Whether every block has been checked."""
        return not self._left

    def check(self, start: int, stop: int) -> None:
        """Make sure of the bytes from `start` to `stop`.

        Raises
        ------
        DamageError
            If a block that holds them is not what was written.
        """
        if self._left and stop > start:
            self._check_blocks(np.arange(start // BLOCK, -(-stop // BLOCK)))

    def check_rows(self, rows: NDArray[np.int64], width: int, offset: int = 0) -> None:
        """Make sure of scattered rows of `width` bytes each, the first at byte `offset`; raises as :meth:`check`."""
        if self._left:
            self._check_blocks((rows * width + offset) >> SHIFT)
            if BLOCK % width or offset % width:  # else no row lies across two blocks
                self._check_blocks((rows * width + (offset + width - 1)) >> SHIFT)

    def check_all(self) -> None:
        """Make sure of every byte; raises as :meth:`check`."""
        self.check(0, len(self.bytes))

    def _check_blocks(self, blocks: NDArray[np.int64]) -> None:
        if len(self.bytes) <= WHOLE:
            blocks = np.arange(len(self._good))
        good = self._good[blocks]
        if not good.all():
            fresh = blocks[~good]
            for block in np.unique(fresh).tolist():
                if zlib.crc32(self.bytes[block * BLOCK : (block + 1) * BLOCK].data) != self._crcs[block]:
                    raise DamageError(
                        f"{self.path} is damaged in bytes {block * BLOCK} to {(block + 1) * BLOCK}. "
                        "Run `embedstore index` to rebuild it."
                    )
                self._good[block] = True
            self._left = int((~self._good).sum())
