"""A segment in the making."""

from __future__ import annotations

import os
import shutil
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from embedstore.errors import storage_errors
from embedstore.sealed import checksums, sha256, sync_file, sync_folder, write_json
from embedstore.segment import COLUMNS, DTYPES, ZONE, Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from embedstore.segment import Segment


class SegmentDraft:
    """A segment being written: files are added, then sealed, and only then does it appear under its name.

    Parameters
    ----------
    parent
        The folder of segments.
    name
        Its uuid in hex; a new one if None.
    """

    def __init__(self, parent: Path, name: str | None = None) -> None:
        self.name = name or uuid.uuid4().hex
        self._target = parent / self.name
        self.folder = parent / f".draft-{uuid.uuid4().hex}"
        with storage_errors("write the index", parent):
            parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def write_rows(self, columns: dict[str, NDArray[Any]]) -> None:
        """Write ``rows.arrow``, ``id_order.i32`` and ``zones.f64`` from columns in H3 order."""
        with storage_errors("write the index", self.folder):
            arrays = [_arrow(columns[name].astype(DTYPES[name], copy=False), COLUMNS[name]) for name in COLUMNS]
            batch = pa.record_batch(arrays, schema=pa.schema(list(COLUMNS.items())))
            with (
                pa.OSFile(str(self.folder / "rows.arrow"), "wb") as sink,
                pa.ipc.new_file(sink, batch.schema) as writer,
            ):
                writer.write_batch(batch)
            halves = columns["id"].view(">u8").reshape(-1, 2)
            np.lexsort((halves[:, 1], halves[:, 0])).astype(np.int32).tofile(self.folder / "id_order.i32")
            _zones(columns["lon"], columns["lat"]).tofile(self.folder / "zones.f64")

    def write_vectors(self, chunks: Iterable[NDArray[np.float16]]) -> None:
        """Write ``vectors.f16`` from chunks in row order."""
        with storage_errors("write the index", self.folder), (self.folder / "vectors.f16").open("wb") as file:
            for chunk in chunks:
                np.ascontiguousarray(chunk, np.float16).tofile(file)

    def link(self, segment: Segment, names: Iterable[str]) -> None:
        """Take files of another segment as they are: by hard link, by copy where the disk has no links."""
        with storage_errors("write the index", self.folder):
            for name in names:
                try:
                    os.link(segment.folder / name, self.folder / name)
                except OSError:
                    shutil.copyfile(segment.folder / name, self.folder / name)

    def seal(self, rows: int, dimension: int, encoder: str, files: Iterable[str], codebook: str = "") -> Path:
        """Write checksums and manifest, make everything durable, and give the segment its name."""
        with storage_errors("write the index", self._target):
            paths = sorted(p for p in self.folder.iterdir())
            tables = [checksums(p) for p in paths]
            np.concatenate(tables).tofile(self.folder / "checksums.u32")
            manifest = Manifest(
                rows=rows,
                dimension=dimension,
                encoder=encoder,
                files=tuple(files),
                sizes={p.name: p.stat().st_size for p in paths},
                checksums_sha256=sha256(self.folder / "checksums.u32"),
                codebook=codebook,
            )
            for path in (*paths, self.folder / "checksums.u32"):
                sync_file(path)
            write_json(self.folder / "manifest.json", asdict(manifest))
            self.folder.rename(self._target)
            sync_folder(self._target.parent)
        return self._target


def _arrow(values: NDArray[Any], type_: pa.DataType) -> pa.Array:
    """Wrap a numpy column without a copy; NaT is null and stays NaT underneath."""
    data = pa.py_buffer(np.ascontiguousarray(values))
    if values.dtype.kind != "M":
        return pa.Array.from_buffers(type_, len(values), [None, data])
    missing = np.isnat(values)
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(type_, len(values), [valid, data], null_count=int(missing.sum()))


def _zones(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the bounding box of every :data:`ZONE` positions, shape (zones, 4)."""
    starts = np.arange(0, len(lon), ZONE)
    low, high = np.minimum.reduceat, np.maximum.reduceat
    return np.column_stack([low(lon, starts), low(lat, starts), high(lon, starts), high(lat, starts)])
