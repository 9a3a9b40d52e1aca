"""Segments with lists: written here, or by workers on machines that see the same store."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from embedstore import segment_rows
from embedstore.errors import ConflictError, LimitError
from embedstore.piece import Piece
from embedstore.segment import Segment
from embedstore.segment_draft import SegmentDraft
from embedstore.store import Store
from indexer import codebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from embedstore.catalog import Codebook
    from embedstore.snapshot import Snapshot
    from indexer.engines.base import Executor, T

SHARED = ("vectors.f16", "rows.arrow", "id_order.i32", "zones.f64")
"""Files of a segment that do not depend on its codebook."""
SHARE = 250_000
"""Rows that a worker is started for: fewer are written sooner than it is ready, and each segment is searched alone."""


def seal(store: Store, draft: SegmentDraft, rows: int, files: Iterable[str], book: Codebook | None) -> str:
    """Seal a segment and make it part of the store; return its name."""
    encoder = store.encoder
    folder = draft.seal(rows, encoder.dimension, encoder.fingerprint, files, book.name if book else "")
    store.home.keep([folder])
    return draft.name


def _with_lists(store: Store, draft: SegmentDraft, rows: int, files: Iterable[str], book: Codebook, device: str) -> str:
    """Add lists to a segment in the making and seal it; return its name."""
    codebook.fill(store.catalog.codebook_file(book), draft.folder, rows, device)
    return seal(store, draft, rows, files, book)


def refine(store: Store, book: Codebook, device: str, shared: Sequence[str], name: str) -> str:
    """Return a segment of the same rows with the lists of another codebook; the one named is removed."""
    folder = store.catalog.segments / name
    store.home.whole(folder)
    coarse = Segment(folder)
    with SegmentDraft(store.catalog.segments) as draft:
        draft.link(coarse, shared)
        finer = _with_lists(store, draft, coarse.rows, coarse.manifest.files, book, device)
    store.home.remove(folder)
    return finer


@dataclass(frozen=True)
class Merging:
    """Makes a worker that merges rows of segments; see :meth:`indexer.engines.base.Executor.map`.

    Parameters
    ----------
    store, version
        Which version of which store.
    segments
        Whose rows are merged.
    book, device
        For lists.
    """

    store: str | Path
    version: int
    segments: frozenset[str]
    book: Codebook
    device: str

    def __call__(self) -> Callable[[Sequence[str]], str]:
        """Open the store.

        Raises
        ------
        ConflictError
            If the segments are not there any more.
        """
        store = Store.open(self.store, self.version)
        snapshot = store.snapshot()
        pieces = [p for p in snapshot.pieces if p.segment.name in self.segments]
        if len(pieces) < len(self.segments):
            raise ConflictError(f"the index of {self.store} changed while it was built. Run it again.")
        return partial(self._merge, store, snapshot, pieces)

    def _merge(self, store: Store, snapshot: Snapshot, pieces: Sequence[Piece], files: Sequence[str]) -> str:
        """Write a segment of the rows of some files; return its name."""
        wanted = frozenset(files)
        with SegmentDraft(store.catalog.segments) as draft:
            rows, covered = segment_rows.merge(snapshot, [_only(snapshot, p, wanted) for p in pieces], draft)
            return _with_lists(store, draft, rows, covered, self.book, self.device)


def _only(snapshot: Snapshot, piece: Piece, wanted: frozenset[str]) -> Piece:
    """Return a piece with the rows of some files alone."""
    chosen = np.array([f in wanted for f in piece.segment.manifest.files])
    alive = chosen[piece.segment.column("file")]
    if piece.moved is not None:
        moved = piece.moved[0] >= 0
        alive[moved] = np.array([f.path in wanted for f in snapshot.files])[piece.moved[0][moved]]
    if piece.alive is not None:
        alive &= piece.alive
    return Piece(piece.segment, alive, piece.moved)


def shares(snapshot: Snapshot, pieces: Sequence[Piece], count: int) -> list[list[str]]:
    """Deal the files that pieces cover out to groups of about as many rows each.

    Neighbours on the ground go to different groups, so that each holds something of every region: a search asks every
    segment for its best rows, and one that has few in the lists near the question is scanned whole. A segment covers
    files whole.
    """
    covered = {f for p in pieces for f in p.segment.manifest.files}
    for piece in pieces:
        if piece.moved is not None:
            covered |= {snapshot.files[i].path for i in np.unique(piece.moved[0]).tolist() if i >= 0}
    groups: list[list[str]] = [[] for _ in range(count)]
    rows = [0] * count
    for file in snapshot.files:  # by path, so by cell
        if file.path in covered:
            least = rows.index(min(rows))
            groups[least].append(file.path)
            rows[least] += file.rows
    return [group for group in groups if group]


def scatter(executor: Executor, make: Callable[[], Callable[[T], str]], items: Sequence[T], device: str) -> list[str]:
    """Have workers write a segment of every item; return their names.

    Raises
    ------
    LimitError
        If one of them cannot be had.
    """
    names = dict(executor.map(make, items, cuda=device == "cuda"))
    if len(names) < len(items):
        raise LimitError(
            f"{len(items) - len(names)} of {len(items)} segments were not written: every worker that tried was lost. "
            "Give workers more memory, and run it again."
        )
    return [names[i] for i in range(len(items))]
