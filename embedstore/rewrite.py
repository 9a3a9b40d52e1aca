"""Deletion and compaction: data files rewritten, their rows still findable through row maps."""

from __future__ import annotations

import random
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from embedstore import area, rowmap
from embedstore.append import ATTEMPTS, discard
from embedstore.errors import InputError, StorageError, UnknownIdError, storage_errors
from embedstore.geoparquet import Part, read_part, write_part
from embedstore.snapshot import id_bytes
from embedstore.table import DELETIONS, gave_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from embedstore.store import Store
    from embedstore.table import DataFile

DIGEST = "sha256:"
"""Begins an item that is a digest."""
TARGET_BYTES = 256 << 20
"""A compacted file is no larger; a file of half of this or more is left alone."""


def delete(store: Store, ids: Iterable[str] | None, within: Any, item: str | None) -> int:
    """Delete rows; see :meth:`embedstore.store.Store.delete`."""
    if sum(given is not None for given in (ids, within, item)) != 1:
        raise InputError("delete takes exactly one of ids, within and item.")
    wanted = None if ids is None else list(dict.fromkeys(ids))
    region = None if within is None else area.parse(within)
    for attempt in range(ATTEMPTS):
        doomed = _doomed(store, wanted, region, item)
        count = sum(len(rows) for rows in doomed.values())
        if count == 0:
            return 0
        batch, origins = uuid.uuid4().hex, {}
        with _discarding(store) as added:
            for file, rows in doomed.items():
                part, kept = _without(store, batch, file, rows)
                if part:
                    added.append(part)
                    origins[part.path] = rowmap.Origin(np.full(len(kept), file.path, object), kept)
            store.home.keep(store.home.folder / part.path for part in added)
            if origins:
                store.home.keep([rowmap.write(store.catalog.moves, batch, origins)])
        if store.table.commit(added, list(doomed), {DELETIONS: store.deletions + 1}):
            store.refresh()
            return count
        _undo(store, added, attempt)
    raise gave_up(store.home, "delete rows")


def _doomed(store: Store, ids: list[str] | None, region: Any, item: str | None) -> dict[DataFile, NDArray[np.int64]]:
    """Return the rows to delete of each file that has any."""
    snapshot = store.snapshot()
    if ids is not None:
        unknown = [i for i, there in zip(ids, store.held(ids), strict=True) if not there]
        if unknown:
            raise UnknownIdError(f"the store {store.path} holds no chip {unknown[0]} ({len(unknown)} unknown ids).")
    snapshot.rescue()
    if item is not None:
        found = {f: _rows_of_item(store, f, item) for f in snapshot.files}
        meant = set().union(*(items for _, items in found.values()))
        if len(meant) > 1:
            raise InputError(
                f"{len(meant)} scenes in {store.path} are called {item}; say which one: {', '.join(sorted(meant))}."
            )
        return {f: rows for f, (rows, _) in found.items() if len(rows)}
    by_path: dict[str, list[int]] = {}
    for piece in snapshot.pieces:
        if ids is not None:
            rows = piece.segment.find(id_bytes(ids))
            rows = rows[rows >= 0]
            if piece.alive is not None:
                rows = rows[piece.alive[rows]]
        else:
            rows = piece.live_rows()
            inside = shapely.intersects_xy(region, piece.segment.column("lon")[rows], piece.segment.column("lat")[rows])
            rows = rows[inside]
        for path, row in zip(*snapshot.place(piece, rows), strict=True):
            by_path.setdefault(path, []).append(int(row))
    file_of = {f.path: f for f in snapshot.files}
    return {file_of[p]: np.unique(rows) for p, rows in by_path.items()}


def _rows_of_item(store: Store, file: DataFile, item: str) -> tuple[NDArray[np.int64], set[str]]:
    """Return the rows of a file with an item among their inputs, and which items are called so.

    Where the item is a digest, as of any raster that is no STAC Item, it is the file's name that people see.
    """
    inputs = read_part(store.home.readable(store.home.folder / file.path), ["inputs"])["inputs"].combine_chunks()
    flat = pc.list_flatten(inputs)
    items, files = (pc.struct_field(flat, name) for name in ("item", "href"))
    by_file = pc.and_(
        pc.starts_with(items, DIGEST), pc.equal(pc.replace_substring_regex(files, r"^.*/", ""), item).fill_null(False)
    )
    called = pc.or_(pc.equal(items, item), by_file).fill_null(False)
    rows = pc.list_parent_indices(inputs).to_numpy()[called.to_numpy(zero_copy_only=False)]
    return np.unique(rows).astype(np.int64), set(pc.unique(items.filter(called)).to_pylist())


def _without(
    store: Store, batch: str, file: DataFile, rows: NDArray[np.int64]
) -> tuple[Part | None, NDArray[np.int64]]:
    """Write a file again without some rows; return it, if any rows are left, and the old rows that it holds."""
    kept = np.setdiff1d(np.arange(file.rows), rows)
    if len(kept) == 0:
        return None, kept
    root = store.home.folder
    table = read_part(store.home.here(root / file.path)).take(pa.array(kept))
    with storage_errors("write data files", root):
        return write_part(root, file.cell, batch, table, store.encoder), kept


@contextmanager
def _discarding(store: Store) -> Iterator[list[Part]]:
    """Collect the files of one commit; should the disk refuse before all are written, remove them."""
    added: list[Part] = []
    try:
        yield added
    except StorageError:
        discard(store, added)
        raise


def _undo(store: Store, added: Sequence[Part], attempt: int) -> None:
    """Remove what a lost race wrote, and wait a little."""
    discard(store, added)
    time.sleep(random.uniform(0, 0.01 * min(attempt + 1, 20)))  # noqa: S311 - spreads writers, guards nothing
    store.refresh()


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did: files before and after, in the partitions that it changed."""

    files_before: int
    files_after: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compact(store: Store) -> Compaction:
    """Join small files; see :meth:`embedstore.store.Store.compact`. One commit a partition, so memory stays flat."""
    before = after = rows = 0
    for cell in sorted({f.cell for f in store.snapshot().files}):
        for attempt in range(ATTEMPTS):
            groups = _groups([f for f in store.snapshot().files if f.cell == cell])
            if not groups or _compact_partition(store, cell, groups, attempt):
                break
        else:
            raise gave_up(store.home, "compact")
        before += sum(len(g) for g in groups)
        after += len(groups)
        rows += sum(f.rows for g in groups for f in g)
    return Compaction(before, after, rows)


def _groups(files: list[DataFile]) -> list[list[DataFile]]:
    """Return sets of two or more small files, each no larger together than the target."""
    small = sorted((f for f in files if f.size < TARGET_BYTES // 2), key=lambda f: (f.size, f.path))
    groups: list[list[DataFile]] = [[]]
    for file in small:
        if sum(f.size for f in groups[-1]) + file.size > TARGET_BYTES:
            groups.append([])
        groups[-1].append(file)
    return [g for g in groups if len(g) > 1]


def _compact_partition(store: Store, cell: str, groups: list[list[DataFile]], attempt: int) -> bool:
    batch, origins, root = uuid.uuid4().hex, {}, store.home.folder
    with _discarding(store) as added:
        for group in groups:
            table = pa.concat_tables([read_part(store.home.here(root / f.path)) for f in group])
            old_file = np.repeat(np.array([f.path for f in group], object), [f.rows for f in group])
            old_row = np.concatenate([np.arange(f.rows) for f in group])
            order = np.lexsort((table["id"].to_numpy().astype("S32"), table["h3"].to_numpy()))
            with storage_errors("write data files", root):
                added.append(write_part(root, cell, batch, table.take(pa.array(order)), store.encoder))
            origins[added[-1].path] = rowmap.Origin(old_file[order], old_row[order])
        store.home.keep([*(root / part.path for part in added), rowmap.write(store.catalog.moves, batch, origins)])
    if store.table.commit(added, [f for g in groups for f in g], {}, changes_data=False):
        store.refresh()
        return True
    _undo(store, added, attempt)
    return False
