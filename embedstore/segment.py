"""A segment: one immutable piece of index on disk.

=================  ==============================================================================
``vectors.f16``    unit vectors in row order, half precision: exactly the table's rounded numbers
``rows.arrow``     Arrow IPC: every scalar column, and the row's place in the table
``id_order.i32``   row numbers in the order of their ids, for binary search
``zones.f64``      west, south, east, north of the centres of every 256 rows
``lists.faiss``    inverted lists of codes (absent while the segment is flat)
``list_of_row.i32``  the inverted list of every row (likewise)
``checksums.u32``  CRC-32 of every 4 KiB block of the files above, one after another
``manifest.json``  what there should be, under its own digest
=================  ==============================================================================

Rows stand in H3 order, so a place on Earth is a few ranges of rows. Every byte is checked before it is believed:
the manifest and the checksums when the segment is opened, blocks of the rest when first touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore.errors import DamageError
from embedstore.sealed import BLOCK, Blocks, read_json

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FORMAT = 2
EDGE = 1 << 16
"""Bytes at either end of ``rows.arrow`` that hold its description, and more."""
ZONE = 256
"""Rows under one bounding box."""

COLUMNS: dict[str, pa.DataType] = {
    "id": pa.binary(16),
    "lon": pa.float64(),
    "lat": pa.float64(),
    "h3": pa.int64(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "datetime_end": pa.timestamp("us", tz="UTC"),
    "modalities": pa.int32(),
    "valid_fraction": pa.float32(),
    "file": pa.int32(),
    "row": pa.int32(),
}
"""Columns of ``rows.arrow``. ``file`` counts in the manifest's list of table files; times may be null."""

DTYPES: dict[str, np.dtype[Any]] = {
    "id": np.dtype("V16"),
    "lon": np.dtype("f8"),
    "lat": np.dtype("f8"),
    "h3": np.dtype("i8"),
    "datetime": np.dtype("M8[us]"),
    "datetime_end": np.dtype("M8[us]"),
    "modalities": np.dtype("i4"),
    "valid_fraction": np.dtype("f4"),
    "file": np.dtype("i4"),
    "row": np.dtype("i4"),
}
"""The same columns as numpy sees them; a missing time is NaT."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a segment holds.

    Parameters
    ----------
    rows, dimension
        Shape of its vectors.
    encoder
        Fingerprint of the encoder that made them.
    files
        Table files that it covers, whole.
    sizes
        Bytes of each of its own files, in the order of their checksums.
    checksums_sha256
        Digest of ``checksums.u32``.
    codebook
        Name of the codebook of its lists, or "" while flat.
    metric
        Always ``cosine``.
    """

    rows: int
    dimension: int
    encoder: str
    files: tuple[str, ...]
    sizes: dict[str, int]
    checksums_sha256: str
    codebook: str = ""
    metric: str = "cosine"
    format: int = FORMAT


class Segment:
    """An open segment: memory-mapped arrays, each checked as it is touched.

    Parameters
    ----------
    folder
        Its folder.

    Raises
    ------
    DamageError
        If the manifest or the checksums are damaged, a file is missing or of the wrong size, or they contradict each
        other.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._open(folder)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException, OSError) as error:
            raise DamageError(f"{folder} is no segment ({error}). Run `embedstore index` to rebuild it.") from error

    def _open(self, folder: Path) -> None:
        self.folder = folder
        body = read_json(folder / "manifest.json")
        if body.get("format") != FORMAT:
            raise DamageError(f"{folder} has format {body.get('format')}, not {FORMAT}. Run `embedstore index`.")
        self.manifest = Manifest(**{**body, "files": tuple(body["files"])})
        crcs = _checksums(folder / "checksums.u32", self.manifest.checksums_sha256)
        self.blocks: dict[str, Blocks] = {}
        start = 0
        for name, size in self.manifest.sizes.items():
            count = -(-size // BLOCK)
            self.blocks[name] = Blocks(folder / name, size, crcs[start : start + count])
            start += count
        self.rows = self.manifest.rows
        self.dimension = self.manifest.dimension
        self.vectors: NDArray[np.float16] = self.blocks["vectors.f16"].bytes.view(np.float16).reshape(self.rows, -1)
        self.id_order: NDArray[np.int32] = self.blocks["id_order.i32"].bytes.view(np.int32)
        self.zones: NDArray[np.float64] = self.blocks["zones.f64"].bytes.view(np.float64).reshape(-1, 4)
        self.columns, self._offsets = self._map_columns()
        self._orders: dict[str, NDArray[np.int32]] = {}
        self._widths = np.array([DTYPES[name].itemsize for name in self._offsets])
        self._starts = np.array(list(self._offsets.values()))
        self._ends = self._starts + self._widths - 1
        zones = -(-self.rows // ZONE)
        if self.vectors.shape[1] != self.dimension or len(self.id_order) != self.rows or len(self.zones) != zones:
            raise DamageError(f"the files of {folder} are not of the same rows. Run `embedstore index` to rebuild it.")

    @property
    def name(self) -> str:
        """Its uuid, the folder's name."""
        return self.folder.name

    def _map_columns(self) -> tuple[dict[str, NDArray[Any]], dict[str, int]]:
        """Find each column's buffer in the memory-mapped Arrow file."""
        blocks = self.blocks["rows.arrow"]
        # the file's head and foot say where the columns are: they are believed only after a check
        blocks.check(0, min(EDGE, len(blocks.bytes)))
        blocks.check(max(0, len(blocks.bytes) - EDGE), len(blocks.bytes))
        base = pa.py_buffer(blocks.bytes)
        batch = pa.ipc.open_file(base).get_batch(0)
        columns, offsets = {}, {}
        for name, dtype in DTYPES.items():
            buffer = batch.column(name).buffers()[1]
            offsets[name] = buffer.address - base.address
            end = offsets[name] + self.rows * dtype.itemsize
            if not 0 <= offsets[name] <= end <= len(blocks.bytes):
                raise DamageError(f"{blocks.path} says that {name} lies elsewhere. Run `embedstore index`.")
            columns[name] = blocks.bytes[offsets[name] : end].view(dtype)
        return columns, offsets

    def column(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return a range of a column, checked, without a copy."""
        width, offset = DTYPES[name].itemsize, self._offsets[name]
        stop = self.rows if stop is None else stop
        self.blocks["rows.arrow"].check(offset + start * width, offset + stop * width)
        return self.columns[name][start:stop]

    @cached_property
    def instants(self) -> bool:
        """Whether every row was taken at one moment, or at a time that is not known."""
        first, last = (self.column(name).view(np.int64) for name in ("datetime", "datetime_end"))
        return bool(((last == first) | (last == np.iinfo(np.int64).min)).all())

    def take(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return scattered values of a column, checked."""
        self.blocks["rows.arrow"].check_rows(rows, DTYPES[name].itemsize, self._offsets[name])
        return self.columns[name][rows]

    def take_zones(self, name: str, zones: NDArray[np.int64]) -> NDArray[Any]:
        """Return a column's values in some zones, ascending, checked, shape (z, ZONE); a last zone is filled up."""
        values, whole = self.columns[name], self.rows // ZONE
        if len(zones):
            width, offset = DTYPES[name].itemsize, self._offsets[name]
            lasts = np.minimum(zones * ZONE + ZONE, self.rows) - 1
            self.blocks["rows.arrow"].check_rows(np.concatenate([zones * ZONE, lasts]), width, offset)
        full = values[: whole * ZONE].reshape(whole, ZONE)
        if not len(zones) or zones[-1] < whole:
            return full[zones]
        return np.concatenate([full[zones[:-1]], np.resize(values[whole * ZONE :], (1, ZONE))])

    def order(self, name: str) -> NDArray[np.int32]:
        """Return the row numbers in the order of a column's values, without those that have none; worked out once."""
        if name not in self._orders:
            values = self.column(name)
            order = np.argsort(values, kind="stable").astype(np.int32)
            if values.dtype.kind == "M":
                order = order[: len(order) - np.count_nonzero(np.isnat(values))]  # they come last
            self._orders[name] = order
        return self._orders[name]

    def check_columns(self, rows: NDArray[np.int64]) -> None:
        """Make sure of all columns of scattered rows, at once."""
        blocks = self.blocks["rows.arrow"]
        if not blocks.good:
            places = rows[:, None] * self._widths
            blocks.check_rows(places + self._starts, 1)
            blocks.check_rows(places + self._ends, 1)

    def take_vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return scattered vectors, checked, shape (len(rows), dimension)."""
        self.check_vectors(rows)
        return self.vectors[rows]

    def copy_vectors(self, rows: NDArray[np.int64], out: NDArray[np.float16]) -> None:
        """Copy scattered vectors, checked, into memory of shape (len(rows), dimension)."""
        self.check_vectors(rows)
        self.vectors.take(rows, axis=0, out=out, mode="clip")  # the other modes copy twice

    def check_vectors(self, rows: NDArray[np.int64]) -> None:
        """Make sure of scattered vectors."""
        self.blocks["vectors.f16"].check_rows(rows, 2 * self.dimension)

    def read_vectors(self, start: int, stop: int) -> NDArray[np.float16]:
        """Return a range of vectors, checked, without a copy."""
        self.blocks["vectors.f16"].check(start * 2 * self.dimension, stop * 2 * self.dimension)
        return self.vectors[start:stop]

    def read_zones(self) -> NDArray[np.float64]:
        """Return the bounding boxes of the zones, checked, shape (zones, 4)."""
        self.blocks["zones.f64"].check_all()
        return self.zones

    def list_of_row(self, rows: NDArray[np.int64] | slice) -> NDArray[np.int32]:
        """Return the inverted list of rows, checked."""
        blocks = self.blocks["list_of_row.i32"]
        if isinstance(rows, slice):
            blocks.check(4 * (rows.start or 0), 4 * (self.rows if rows.stop is None else rows.stop))
        else:
            blocks.check_rows(rows, 4)
        return blocks.bytes.view(np.int32)[rows]

    def find(self, ids: NDArray[Any]) -> NDArray[np.int64]:
        """Return the row of each id, -1 where there is none.

        Parameters
        ----------
        ids
            16-byte ids, dtype V16, shape (n,).
        """
        order = self.id_order
        wanted = ids.view(">u8").reshape(-1, 2)
        low, high = np.zeros(len(ids), np.int64), np.full(len(ids), self.rows, np.int64)
        self.blocks["id_order.i32"].check_all()
        while (low < high).any():
            open_ = low < high
            middle = (low + high) >> 1
            middle[~open_] = 0
            at = self.take("id", order[middle].astype(np.int64)).view(">u8").reshape(-1, 2)
            less = (at[:, 0] < wanted[:, 0]) | ((at[:, 0] == wanted[:, 0]) & (at[:, 1] < wanted[:, 1]))
            low = np.where(open_ & less, middle + 1, low)
            high = np.where(open_ & ~less, middle, high)
        rows = order[np.minimum(low, self.rows - 1)].astype(np.int64)
        found = self.take("id", rows).view(">u8").reshape(-1, 2)
        return np.where((found == wanted).all(axis=1) & (low < self.rows), rows, -1)

    def check_all(self) -> None:
        """Make sure of every byte.

        Raises
        ------
        DamageError
            Naming the first damaged block.
        """
        for blocks in self.blocks.values():
            blocks.check_all()


def _checksums(path: Path, digest: str) -> NDArray[np.uint32]:
    """Read the checksums of all blocks, which must have a digest."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DamageError(f"{path} cannot be read ({error}). Run `embedstore index` to rebuild it.") from error
    if hashlib.sha256(raw).hexdigest() != digest:
        raise DamageError(f"{path} is damaged. Run `embedstore index` to rebuild it.")
    return np.frombuffer(raw, np.uint32)
