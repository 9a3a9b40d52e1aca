"""What a file is called by its content, so that a copy of it is the same scene."""

from __future__ import annotations

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from indexer import remote

BESIDE = frozenset({".hdr", ".msk", ".prj", ".tab", ".wld"})
"""Suffixes of files beside an image that say where it lies, what its numbers are, and which of them count."""
WORLD = re.compile(r"\.[a-z0-9]{1,4}w")
"""Suffixes of world files: .tfw, .j2w, .jpegw, ..."""
SAID = re.compile(rb"<(SRS|GeoTransform|GCPList|Scale|Offset|NoDataValue|Description)\b.*?</\1>", re.DOTALL)
"""What an .aux.xml may say of an image; the rest of it is statistics, which viewers write."""
PIECE = 8 << 20
"""Bytes of a file that are hashed in one go."""


def of(path: Path, source: Any) -> str:
    """Return the identity of an open dataset: its digest if it is here, with those of the files that belong to it.

    These are all files of a virtual raster; of others, those beside them that GDAL reads, if they change the image.
    """
    if remote.url(path):
        return remote.identity(path, packed=_is_packed(source))
    files = [Path(f) for f in source.files] if source.driver == "VRT" else [path, *_beside(path, source.files)]
    digests = [digest_by_pieces(file) for file in files if file.is_file()]
    digests += _said_beside(path)
    return "sha256:" + (digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest())


def _is_packed(source: Any) -> bool:
    return source.driver != "GTiff" or "COMPRESSION" in source.tags(ns="IMAGE_STRUCTURE")


def _beside(path: Path, files: list[str]) -> list[Path]:
    """Return those files beside an image that change what it shows or where it lies, by suffix."""
    others = [file for file in map(Path, files) if file != path]
    kept = [f for f in others if f.suffix.lower() in BESIDE or WORLD.fullmatch(f.suffix.lower())]
    return sorted(kept, key=lambda f: f.suffix.lower())


def _said_beside(path: Path) -> list[str]:
    """Return the digest of what an .aux.xml says of where an image lies and what its numbers are, if it does."""
    beside = path.with_name(f"{path.name}.aux.xml")
    said = b"".join(one[0] for one in SAID.finditer(beside.read_bytes())) if beside.is_file() else b""
    return [hashlib.sha256(said).hexdigest()] if said else []


def digest_by_pieces(path: Path) -> str:
    """Return the SHA-256 of the SHA-256 digests of a file's pieces of 8 MiB, which all cores work out together."""

    def digest(start: int) -> bytes:
        with path.open("rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(PIECE)).digest()

    starts = range(0, max(path.stat().st_size, 1), PIECE)
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1)) as pool:
        return hashlib.sha256(b"".join(pool.map(digest, starts))).hexdigest()
