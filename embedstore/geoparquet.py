"""One GeoParquet 1.1 file in, one out. Files are written once, whole, and named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from embedstore import schema
from embedstore.errors import DamageError
from embedstore.sealed import digest_of, sync_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedstore.spec import EncoderSpec

ROW_GROUP = 16_384
DATA = ".parquet"
DIGEST = 32
"""How many hex digits of a file's SHA-256 its name ends in."""


@dataclass(frozen=True, slots=True)
class Part:
    """A data file that was written and is not yet committed.

    Parameters
    ----------
    path
        Relative to the store, e.g. ``h3_cell=821f…/part-<uuid>-<digest>.parquet``.
    cell
        The partition, as hexadecimal text.
    size
        Bytes.
    rows
        Rows.
    stats
        Delta's file statistics as JSON.
    """

    path: str
    cell: str
    size: int
    rows: int
    stats: str


def write_part(root: Path, cell: str, batch: str, rows: pa.Table, encoder: EncoderSpec) -> Part:
    """Write one data file durably and return it.

    Parameters
    ----------
    root
        The store's folder.
    cell
        Partition, as hexadecimal text.
    batch
        The uuid (hex) that all files of one commit share; their segment has the same name.
    rows
        Columns of :data:`embedstore.schema.FILE`, in spatial order.
    encoder
        Whose vectors these are; stands in the ``emb`` footer.
    """
    folder = root / f"{schema.PARTITION}={cell}"
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        sync_folder(root)
    shapes = shapely.from_wkb(rows["geometry"].to_numpy(zero_copy_only=False))
    types = sorted({s.geom_type for s in shapes})
    geo = schema.geo_key(tuple(float(v) for v in shapely.total_bounds(shapes)), types)  # type: ignore[arg-type]
    table = rows.cast(schema.FILE).replace_schema_metadata(schema.footer(geo, schema.emb_key(encoder)))
    draft = folder / f"draft-{uuid.uuid4().hex}.tmp"
    try:
        pq.write_table(
            table,
            draft,
            row_group_size=ROW_GROUP,
            compression="zstd",
            compression_level=3,
            use_dictionary=["inputs.list.element.modality", "inputs.list.element.item", "inputs.list.element.href"],
            column_encoding={"embedding.list.element": "BYTE_STREAM_SPLIT"},
            write_page_checksum=True,
            write_page_index=True,
        )
        digest = _flush_and_digest(draft)
        path = folder / f"part-{batch}-{digest[:DIGEST]}.parquet"
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(folder)
    return Part(str(path.relative_to(root)), cell, path.stat().st_size, len(table), json.dumps(_stats(table)))


def _flush_and_digest(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stats(table: pa.Table) -> dict[str, Any]:
    """Return Delta's statistics: counts, and the bounds that prune files."""
    low: dict[str, Any] = {"bbox": {}}
    high: dict[str, Any] = {"bbox": {}}
    bbox = table["bbox"].combine_chunks()
    for side in ("xmin", "ymin", "xmax", "ymax"):
        ends = pc.min_max(pc.struct_field(bbox, side))
        low["bbox"][side], high["bbox"][side] = ends["min"].as_py(), ends["max"].as_py()
    for name in ("id", "h3", "modalities", "valid_fraction", "datetime", "datetime_end"):
        ends = pc.min_max(table[name]) if name != "id" else _text_ends(table[name])
        if ends["min"].as_py() is not None:
            low[name], high[name] = _json_value(ends["min"].as_py()), _json_value(ends["max"].as_py())
    return {"numRecords": len(table), "minValues": low, "maxValues": high, "nullCount": {}}


def _text_ends(column: pa.ChunkedArray) -> dict[str, pa.Scalar]:
    ordered = np.sort(column.to_numpy())
    return {"min": pa.scalar(ordered[0]), "max": pa.scalar(ordered[-1])}


def _json_value(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(value, "strftime") else value


def name_digest(path: str) -> str:
    """Return the digest that a data file's name promises."""
    return Path(path).stem.rpartition("-")[2]


def check_digest(path: Path) -> None:
    """Make sure that a data file of ours is what was written; those that other libraries wrote promise nothing.

    Raises
    ------
    DamageError
        If it is missing, cannot be read, or its digest is not the one in its name.
    """
    found = digest_of(path)
    if found is None or (name_batch(str(path)) and found[:DIGEST] != name_digest(str(path))):
        what = "is missing" if found is None else "is damaged: its digest is not the one in its name"
        raise DamageError(
            f"the data file {path} {what}. Restore it from a copy, or run `embedstore repair --forget-lost` and encode "
            "its scenes again."
        )


def name_batch(path: str) -> str:
    """Return the uuid of the commit that wrote a data file, or "" if the name is none of ours."""
    pieces = Path(path).stem.split("-")
    return pieces[1] if len(pieces) == 3 and pieces[0] == "part" else ""


def read_part(
    path: Path | BinaryIO, columns: Sequence[str] | None = None, groups: Sequence[int] | None = None
) -> pa.Table:
    """Read columns of a data file, or of some of its row groups; page checksums are verified.

    Raises
    ------
    DamageError
        If the file is missing, truncated or damaged.
    """
    try:
        remote = not isinstance(path, Path)  # then what lies close is read at once
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=remote) as file:
            wanted = range(file.num_row_groups) if groups is None else groups
            return file.read_row_groups(list(wanted), columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise DamageError(
            f"the data file {path} cannot be read ({error}). Run `embedstore verify`; restore the file from a copy, "
            "or delete its rows and encode their scenes again."
        ) from error
