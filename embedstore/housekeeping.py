"""Keeping a store small and quick to open: merging flat segments, vacuum, and what there is at a glance."""

from __future__ import annotations

import math
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from embedstore import segment_rows
from embedstore.catalog import Index
from embedstore.errors import DamageError, InputError, StorageError, storage_errors
from embedstore.segment_draft import SegmentDraft

if TYPE_CHECKING:
    from embedstore.store import Store

MOST_SEGMENTS = 16
"""A store with more segments than this merges its smallest flat ones."""


def merge_flat_segments(store: Store) -> None:
    """Merge the smallest flat segments into one once a store has too many, and publish the result.

    Each merge takes sixteen of like size, so a row is copied about log16(rows / rows per append) times. Should another
    process publish first, or the disk refuse, or a segment turn out to be damaged, the merged segment is dropped: the
    rows are committed and found without it, and the next append tries again.
    """
    with suppress(StorageError, DamageError):
        _merge_flat_segments(store)


def _merge_flat_segments(store: Store) -> None:
    snapshot = store.snapshot()
    flat = [p for p in snapshot.pieces if not p.segment.manifest.codebook and p.moved is None]
    if len(flat) <= MOST_SEGMENTS or snapshot.degraded:
        return
    chosen = sorted(flat, key=lambda p: p.segment.rows)[:MOST_SEGMENTS]
    names = {p.segment.name for p in chosen}
    with SegmentDraft(store.catalog.segments) as draft:
        rows, files = segment_rows.merge(snapshot, chosen, draft)
        store.home.keep([draft.seal(rows, store.encoder.dimension, store.encoder.fingerprint, files)])
    old = snapshot.index
    kept = tuple(s for s in (old.segments if old else ()) if s not in names)
    base = old or Index("", store.encoder.fingerprint, ())
    new = replace(base, name=uuid.uuid4().hex, segments=(*kept, draft.name))
    if store.catalog.publish(new, old.name if old else None):
        store.refresh()


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What vacuum deleted: data files, and folders and files of the index."""

    data_files: int
    index_files: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def vacuum(store: Store, grace_hours: float) -> Vacuumed:
    """Delete what nothing needs; see :meth:`embedstore.store.Store.vacuum`."""
    if not 0 <= grace_hours < math.inf:
        raise InputError(f"a grace period of {grace_hours} hours makes no sense; give 0 or more.")
    store.refresh()
    data = store.table.vacuum(grace_hours)
    store.refresh()
    horizon = time.time() - grace_hours * 3600
    snapshot = store.snapshot()
    if snapshot.degraded:  # what cannot be read names nothing, and what it would have named must not go
        raise DamageError(
            f"{len(data)} data files were deleted, and nothing of the index, because {snapshot.degraded[0]} Then run "
            "vacuum again."
        )
    index = snapshot.index
    used = set(snapshot.used_batches)
    if index:
        used |= {index.name, *index.segments} | ({index.codebook.name} if index.codebook else set())
    folder, removed = store.catalog.folder, 0
    for pattern in ("_index/*", "_index/segments/*", "_index/moves/*", "_encoder/.draft-*"):
        for path, written in store.home.glob(pattern).items():
            special = path.parent == folder and path.name in ("segments", "moves", "CURRENT", "lock")
            if not special and path.name.partition("-")[0] not in used and written <= horizon:
                with storage_errors("vacuum the index", path):
                    store.home.remove(path)
                    removed += 1
    return Vacuumed(len(data), removed)


def info(store: Store) -> dict[str, Any]:
    """Return what there is to know at a glance; see :meth:`embedstore.store.Store.info`."""
    snapshot = store.snapshot()
    index = snapshot.index
    pieces = snapshot.pieces
    return {
        "path": str(store.path),
        "version": snapshot.version,
        "rows": snapshot.rows,
        "files": len(snapshot.files),
        "bytes": sum(f.size for f in snapshot.files),
        "partitions": len({f.cell for f in snapshot.files}),
        "encoder": {
            "name": store.encoder.name,
            "fingerprint": store.encoder.fingerprint,
            "dimension": store.encoder.dimension,
            "chip_size": store.encoder.chip_size,
            "gsd": store.encoder.gsd,
            "bands": {m.name: list(m.bands) for m in store.encoder.modalities},
        },
        "grid": store.grid.to_dict(),
        "index": {
            "live": index.name if index else None,
            "factory": index.codebook.factory if index and index.codebook else None,
            "segments": len(pieces),
            "indexed_rows": sum(p.count for p in pieces if p.segment.manifest.codebook),
            "flat_rows": sum(p.count for p in pieces if not p.segment.manifest.codebook),
            "uncovered_rows": sum(f.rows for f in snapshot.uncovered),
            "faults": snapshot.degraded,
        },
    }
