"""From chips to committed rows: checked, put in spatial order, written, committed once.

The order of an append is: data files, then their flat segment, then the commit. A process that dies in between
leaves files that nothing names; `vacuum` removes them.
"""

from __future__ import annotations

import random
import time
import uuid
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from embedstore import footprint, grid, schema, segment_rows
from embedstore.errors import EncoderMismatchError, SpecError, StorageError, storage_errors
from embedstore.geoparquet import Part, name_batch, write_part
from embedstore.segment_draft import SegmentDraft
from embedstore.table import APPENDS, gave_up
from embedstore.vectors import round_mantissa, to_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from embedstore.spec import EncoderSpec, GridSpec
    from embedstore.store import Store

ATTEMPTS = 100
"""Races that a writer may lose before it gives up."""


def append(store: Store, units: Sequence[tuple[str | None, pa.Table]]) -> int:
    """Append chips that the store does not hold yet; see :meth:`embedstore.store.Store.append_units`."""
    left, rows = list(units), _prepared(store, units)
    for attempt in range(ATTEMPTS):
        undone = [(unit, chips) for unit, chips in left if not (unit and store.table.application(unit))]
        if len(undone) < len(left) and undone:
            rows = _prepared(store, undone)
        left = undone
        names = [unit for unit, _ in left if unit]
        fresh = rows.filter(pa.array(~store.held(rows["id"].to_pylist()))) if left and len(rows) else rows
        if not left or (len(fresh) == 0 and not names):
            return 0
        parts = _write(store, fresh) if len(fresh) else []
        applications = {APPENDS: store.table.application(APPENDS) + 1, **dict.fromkeys(names, 1)}
        if store.table.commit(parts, [], applications):
            store.refresh()
            return len(fresh)
        discard(store, parts)
        time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 20)))  # noqa: S311 - spreads writers, guards nothing
        store.refresh()
    raise gave_up(store.home, "append")


def _prepared(store: Store, units: Sequence[tuple[str | None, pa.Table]]) -> pa.Table:
    chips = [chips for _, chips in units]
    whole = chips[0] if len(chips) == 1 else pa.concat_tables([_typed(one) for one in chips])
    return prepare(whole, store.encoder, store.grid)


def prepare(chips: pa.Table, encoder: EncoderSpec, grid_: GridSpec) -> pa.Table:
    """Check chips and bring them into the table's form and order.

    Returns
    -------
    Rows of :data:`embedstore.schema.FILE` plus the partition column, sorted by fine cell and id, each id once,
    embeddings of unit length with rounded mantissas.

    Raises
    ------
    SpecError
        If a column is missing or of the wrong type, an id is no 32 hex digits, or a footprint is no polygon.
    EncoderMismatchError
        If the embeddings have another dimension than the store's encoder gives.
    """
    chips = _typed(chips)
    for name in schema.CHIPS.names:
        if not schema.CHIPS.field(name).nullable and chips[name].null_count:
            raise SpecError(f"the chips have nulls in column {name!r}, which every chip must have.")
    if len(chips) == 0:
        return chips.append_column("bbox", pa.nulls(0, schema.BBOX)).append_column("h3", pa.nulls(0, pa.int64()))
    ids = chips["id"]
    if not pc.all(pc.match_substring_regex(ids, "^[0-9a-f]{32}$")).as_py():
        raise SpecError("every id must be 32 lower-case hexadecimal digits (128 bits).")
    return _in_order(_with_places(_with_unit_vectors(chips, encoder), grid_))


def _typed(chips: pa.Table) -> pa.Table:
    """Return the columns that the table takes, in its types; thumbnails may be absent."""
    missing = [name for name in schema.CHIPS.names if name not in chips.column_names and name != "thumbnail"]
    if missing:
        raise SpecError(f"the chips lack the column(s) {', '.join(missing)}; see embedstore.schema.CHIPS.")
    if "thumbnail" not in chips.column_names:
        chips = chips.append_column("thumbnail", pa.nulls(len(chips), pa.binary()))
    try:
        chips = chips.select(schema.CHIPS.names).cast(schema.CHIPS)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError) as error:
        raise SpecError(f"the chips do not have the table's types: {error}; see embedstore.schema.CHIPS.") from error
    return chips


def _with_unit_vectors(chips: pa.Table, encoder: EncoderSpec) -> pa.Table:
    lengths = pc.unique(pc.list_value_length(chips["embedding"])).to_pylist()
    if lengths != [encoder.dimension]:
        raise EncoderMismatchError(
            f"the embeddings have dimension {', '.join(map(str, lengths))}; the store's encoder "
            f"{encoder.name} ({encoder.fingerprint[:12]}) gives {encoder.dimension}."
        )
    vectors = round_mantissa(to_unit(segment_rows.matrix(chips["embedding"], encoder.dimension)))
    offsets = pa.array(np.arange(0, vectors.size + 1, encoder.dimension, dtype=np.int32))
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.ravel()), type=schema.CHIPS.field("embedding").type)
    return chips.set_column(chips.schema.get_field_index("embedding"), schema.CHIPS.field("embedding"), lists)


def _with_places(chips: pa.Table, grid_: GridSpec) -> pa.Table:
    """Add bbox, fine cell and partition, all from the footprint."""
    with np.errstate(invalid="ignore"):
        shapes = shapely.from_wkb(chips["geometry"].to_numpy(zero_copy_only=False), on_invalid="ignore")
    polygonal = np.isin(shapely.get_type_id(shapes), [3, 6]) & ~shapely.is_empty(shapes)
    if not polygonal.all():
        raise SpecError(f"the footprint of chip {chips['id'][int(np.argmin(polygonal))]} is no polygon.")
    bounds = shapely.bounds(shapes)
    finite = np.isfinite(shapely.get_coordinates(shapes)).all()  # bounds pass over NaN
    if not (finite and (np.abs(bounds) <= [180, 90, 180, 90]).all()):
        raise SpecError("footprints must be in degrees (OGC:CRS84), cut at the antimeridian.")
    lon, lat = footprint.centres(shapes)
    fine = grid.cells(lon, lat, grid_.h3_resolution)
    boxes = pa.StructArray.from_arrays([pa.array(bounds[:, i]) for i in range(4)], fields=list(schema.BBOX))
    partition = [grid.to_text(c) for c in grid.parents(fine, grid_.partition_resolution).tolist()]
    return (
        chips.append_column("bbox", boxes)
        .append_column("h3", pa.array(fine))
        .append_column(schema.PARTITION, pa.array(partition))
    )


def _in_order(rows: pa.Table) -> pa.Table:
    rows = rows.select([*schema.FILE.names, schema.PARTITION]).sort_by([("h3", "ascending"), ("id", "ascending")])
    _, first = np.unique(rows["id"].to_numpy().astype("S32"), return_index=True)
    return rows if len(first) == len(rows) else rows.take(pa.array(np.sort(first)))


def by_partition(rows: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Cut rows in H3 order where the partition changes: children of a cell are contiguous."""
    cell = rows[schema.PARTITION].to_numpy()
    edges = [0, *(np.flatnonzero(cell[1:] != cell[:-1]) + 1).tolist(), len(cell)]
    for start, stop in pairwise(edges):
        yield str(cell[start]), rows.slice(start, stop - start).drop_columns([schema.PARTITION])


def _write(store: Store, rows: pa.Table) -> list[Part]:
    """Write data files and their flat segment; both carry the uuid of this append."""
    batch, parts = uuid.uuid4().hex, list[Part]()
    try:
        root = store.home.folder
        with storage_errors("write data files", root):
            for cell, piece in by_partition(rows):
                parts.append(write_part(root, cell, batch, piece, store.encoder))
        segment = _write_segment(store, batch, parts, rows)
        store.home.keep([*(root / part.path for part in parts), segment])
    except StorageError:
        discard(store, parts)  # a full disk needs the room
        raise
    return parts


def _write_segment(store: Store, batch: str, parts: list[Part], rows: pa.Table) -> Path:
    columns: dict[str, Any] = segment_rows.columns_of(rows)
    counts = [p.rows for p in parts]
    columns["file"] = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    columns["row"] = np.concatenate([np.arange(n, dtype=np.int32) for n in counts])
    vectors = segment_rows.matrix(rows["embedding"], store.encoder.dimension).astype(np.float16)
    with SegmentDraft(store.catalog.segments, batch) as draft:
        draft.write_rows(columns)
        draft.write_vectors([vectors])
        return draft.seal(len(rows), store.encoder.dimension, store.encoder.fingerprint, [p.path for p in parts])


def discard(store: Store, parts: Sequence[Part]) -> None:
    """Remove what a lost race wrote, or a writer that was refused: data files, segment, row map.

    What the disk or the object store will not remove either is left to `vacuum`.
    """
    paths = [store.home.folder / part.path for part in parts]
    for batch in {name_batch(part.path) for part in parts}:
        paths.append(store.catalog.segments / batch)
        with suppress(StorageError, OSError):
            row_map = store.catalog.row_map(batch)
            paths += [row_map] if row_map else []
    for path in paths:
        with suppress(StorageError, OSError):
            store.home.remove(path)
