"""Readers of what a store holds. Each returns, or raises one of our errors; anything else is a fault."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from embedstore import geoparquet, rowmap, sealed
from embedstore.lists import Coarse, Lists
from embedstore.segment import Segment
from query.api import scenes

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[bytes], None]


def _store(root: Path, own: Path) -> Path:
    """Return a copy of the store, which an input may be put into."""
    return Path(shutil.copytree(root / "store", own / "store"))


def _segment(store: Path) -> Path:
    """Return the folder of the segment that has lists."""
    return next(p for p in (store / "_index" / "segments").iterdir() if (p / "lists.faiss").exists())


def _sealed(folder: Path, name: str, raw: bytes) -> Segment:
    """Put a file into a segment as its maker would who means harm: with all digests right."""
    (folder / name).write_bytes(raw)
    manifest = sealed.read_json(folder / "manifest.json")
    manifest["sizes"][name] = len(raw)
    crcs = np.concatenate([sealed.checksums(folder / one) for one in manifest["sizes"]])
    (folder / "checksums.u32").write_bytes(crcs.tobytes())
    manifest["checksums_sha256"] = sealed.sha256(folder / "checksums.u32")
    sealed.write_json(folder / "manifest.json", manifest)
    return Segment(folder)


def codebook(_: Path, own: Path) -> Run:
    """A codebook that somebody sealed: FAISS reads bytes that may say anything."""
    path = own / "codebook.faiss"
    of = np.ones((1, 16), np.float32) / 4

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        coarse = Coarse(path)
        coarse.nearest(coarse.rotate(of), min(4, coarse.lists))

    return run


def lists(root: Path, own: Path) -> Run:
    """Inverted lists that somebody sealed."""
    store = _store(root, own)
    coarse = Coarse(next((store / "_index").rglob("codebook.faiss")))
    folder = _segment(store)
    rotated = coarse.rotate(np.ones((1, 16), np.float32) / 4)
    lists, scores = coarse.nearest(rotated, 4)

    def run(raw: bytes) -> None:
        if raw:
            Lists(_sealed(folder, "lists.faiss", raw), coarse).search(rotated, lists, scores, 5)

    return run


def rows(root: Path, own: Path) -> Run:
    """Columns in Arrow that somebody sealed."""
    folder = _segment(_store(root, own))

    def run(raw: bytes) -> None:
        if raw:
            segment = _sealed(folder, "rows.arrow", raw)
            for name in ("lon", "id", "datetime"):
                segment.column(name)
            segment.take("lat", np.arange(0, segment.rows, 7))

    return run


def manifest(root: Path, own: Path) -> Run:
    """A manifest that somebody sealed."""
    folder = _segment(_store(root, own))

    def run(raw: bytes) -> None:
        (folder / "manifest.json").write_bytes(_seal_again(raw))
        segment = Segment(folder)
        segment.read_vectors(0, min(segment.rows, 10))
        segment.check_all()

    return run


def _seal_again(raw: bytes) -> bytes:
    """Return sealed JSON with its digest right, whatever it says."""
    try:
        return sealed.seal(json.loads(raw)["body"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return raw


def damaged(root: Path, own: Path) -> Run:
    """Files of a segment with damage, which the digests tell."""
    folder = _segment(_store(root, own))
    names = sorted(path.name for path in folder.iterdir())
    whole = {name: (folder / name).read_bytes() for name in names}

    def run(raw: bytes) -> None:
        name = names[sum(raw) % len(names)]
        (folder / name).write_bytes(raw)
        try:
            Segment(folder).check_all()
        finally:
            (folder / name).write_bytes(whole[name])

    return run


def moves(_: Path, own: Path) -> Run:
    """Maps of moved rows that somebody sealed."""
    import hashlib

    def run(raw: bytes) -> None:
        path = own / f"{'0' * 32}-{hashlib.sha256(raw).hexdigest()[:32]}.arrow"
        path.write_bytes(raw)
        try:
            rowmap.read(path)
        finally:
            path.unlink()

    return run


def data(_: Path, own: Path) -> Run:
    """Data files in Parquet."""
    path = own / "part.parquet"

    def run(raw: bytes) -> None:
        path.write_bytes(raw)
        for read in (geoparquet.read_part, partial(scenes._read, path="part.parquet")):
            read(path)

    return run
