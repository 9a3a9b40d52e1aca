"""What a file is called by its content, so that a copy of it is the same scene."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from indexer import remote

PIECE = 8 << 20
"""Bytes of a file that are hashed in one go."""


def of(path: Path, source: Any) -> str:
    """Return the identity of an open dataset: its digest if it is here; of a virtual raster, of all its files."""
    if remote.url(path):
        return remote.identity(path)
    files = [Path(f) for f in source.files] if source.driver == "VRT" else [path]
    digests = [digest_by_pieces(file) for file in files if file.is_file()]
    return "sha256:" + (digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest())


def digest_by_pieces(path: Path) -> str:
    """Return the SHA-256 of the SHA-256 digests of a file's pieces of 8 MiB, which all cores work out together."""

    def digest(start: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(PIECE)).digest()

    starts = range(0, max(path.stat().st_size, 1), PIECE)
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        return hashlib.sha256(b"".join(pool.map(digest, starts))).hexdigest()
