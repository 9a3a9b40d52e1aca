"""The engine: one store, one snapshot, questions answered."""

from __future__ import annotations

import math
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedstore.errors import DamageError, QueryError
from embedstore.segment import DTYPES as _EMPTY
from embedstore.snapshot import DegradedIndexWarning, Snapshot
from embedstore.store import Store
from embedstore.vectors import to_unit
from query import example
from query.filters import Filter
from query.hits import Hits, Report
from query.plan import Goal
from query.searcher import Found, Searcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from embedstore.snapshot import Piece
    from query.searcher import Selection

    Own = tuple[Piece, int]

COLUMNS = ("id", "lon", "lat", "h3", "datetime", "datetime_end", "modalities", "valid_fraction")


class Engine:
    """Answers questions about one version of a store.

    Parameters
    ----------
    store
        Path of the store.
    version
        Version of its table; the newest if None.

    Notes
    -----
    Safe to share between threads. A damaged index costs speed and a warning, never an answer.

    Examples
    --------
    >>> engine = Engine("demo/store")
    >>> hits = engine.search(at=(13.09, 45.68), k=5, spread=500)
    >>> hits.to_arrow().to_pandas()
    """

    def __init__(self, store: str | Path, version: int | None = None) -> None:
        self.store = Store.open(store, version)
        self._bad: frozenset[str] = frozenset()
        self._encoder: Any = None
        self._moving = threading.Lock()
        self._searcher = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def refresh(self) -> None:
        """Move on to the newest version of the table and the live index."""
        with self._moving:
            self.store.refresh()
            self._bad = frozenset()
            self._searcher = self._open()

    def _open(self) -> Searcher:
        snapshot = Snapshot(self.store.table, self.store.catalog, self._bad)
        try:
            searcher = Searcher(snapshot, self.store.catalog)
        except DamageError as error:
            snapshot.degraded.append(str(error))
            snapshot.index = None
            searcher = Searcher(snapshot, self.store.catalog)
        if snapshot.degraded and not snapshot.uncovered:
            warnings.warn(
                f"the index of {self.store.path} is damaged: {snapshot.degraded[0]} Answers stay right.",
                DegradedIndexWarning,
                stacklevel=3,
            )
        snapshot.rescue()
        return searcher

    @property
    def snapshot(self) -> Snapshot:
        """The rows that this engine answers from."""
        return self._searcher.snapshot

    def search(
        self,
        vector: ArrayLike | None = None,
        *,
        chip: str | Path | None = None,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        k: int = 10,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
        recall: float | str = 0.95,
        spread: float | None = None,
    ) -> Hits:
        """Return the stored chips most like the examples.

        Parameters
        ----------
        vector, chip, id, at, like
            What to look for: a vector of the encoder's dimension; a raster file, encoded as the store was; a stored
            id; the chip at a longitude and latitude; stored ids. Several are averaged.
        unlike
            Stored ids to look away from.
        k
            How many hits.
        bbox
            West, south, east, north in degrees; west > east crosses the antimeridian. Of a chip's centre.
        within
            Polygon that holds the chip's centre: GeoJSON, WKT, a file of either, or a shapely geometry.
        cells
            H3 cells that hold the chip's centre, in the sense of H3's hierarchy.
        between
            Times "A/B" or a pair.
        where
            SQL predicate on id, lon, lat, h3, datetime, datetime_end, modalities, valid_fraction.
        recall
            Share of the true neighbours to deliver, or "exact".
        spread
            Least distance between two hits on the ground, in metres.

        Returns
        -------
        Never fewer than min(k, candidates) hits; with `spread`, all candidates that survive it, up to k.

        Raises
        ------
        InputError
            If a part of the question makes no sense.
        EncoderError
            If a chip cannot be encoded as the store was.
        DamageError
            If the table itself is damaged.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise QueryError(f"k = {k!r} makes no sense; ask for at least one hit.")
        if spread is not None and not (math.isfinite(spread) and spread >= 0):
            raise QueryError(f"spread = {spread!r} makes no sense; give metres, 0 or more.")
        goal = Goal.parse(recall)
        cell_list = None if cells is None else list(cells)
        filter_ = Filter.parse(bbox, within, cell_list, between, where)
        while True:
            searcher = self._searcher  # one for the whole question, should another thread move on meanwhile
            try:
                query, own = self._query(searcher.snapshot, vector, chip, id, at, like, unlike)
                selections = searcher.select(filter_)
                return _answer(searcher, query, selections, int(k), goal, spread or 0.0, own)
            except DamageError as error:
                self._give_up_segment(searcher, error)

    def _give_up_segment(self, searcher: Searcher, error: DamageError) -> None:
        """Go on without a segment in which damage was found; the table has its rows."""
        with self._moving:
            if self._searcher is not searcher:
                return  # another thread has moved on already
            pieces = searcher.snapshot.pieces
            damaged = next((p.segment.name for p in pieces if str(p.segment.folder) + "/" in str(error)), None)
            if damaged is None or damaged in self._bad:
                raise error
            self._bad |= {damaged}
            self._searcher = self._open()

    def _query(
        self,
        snapshot: Snapshot,
        vector: ArrayLike | None,
        chip: str | Path | None,
        id_: str | None,
        at: tuple[float, float] | None,
        like: Sequence[str],
        unlike: Sequence[str],
    ) -> tuple[NDArray[np.float32], Own | None]:
        """Return the query vector, and the one stored chip that it is of, if it is."""
        dimension = self.store.encoder.dimension
        positive: list[NDArray[np.float32]] = []
        ids = ([id_] if id_ is not None else []) + ([like] if isinstance(like, str) else list(like))
        against = [unlike] if isinstance(unlike, str) else list(unlike)
        if vector is not None:
            positive.append(to_unit(vector, dimension))
        if chip is not None:
            positive.append(self._encode(Path(chip)))
        if at is not None:
            ids.append(example.nearest_chip(snapshot, float(at[0]), float(at[1])))
        if ids:
            positive.append(example.stored(snapshot, ids))
        if not positive:
            raise QueryError("there is nothing to look for; give a chip, a position, an id or a vector.")
        negative = example.stored(snapshot, against) if against else np.empty((0, dimension), np.float32)
        examples = np.concatenate(positive)
        one = example.own(snapshot, ids[0]) if len(examples) == len(ids) == 1 and not against else None
        return example.combine(examples, negative), one

    def _encode(self, path: Path) -> NDArray[np.float32]:
        from indexer.encoders.registry import load  # noqa: PLC0415
        from indexer.query_chip import encode_chip  # noqa: PLC0415 - torch is needed for chips only

        if self._encoder is None:
            self._encoder = load(self.store.encoder_folder, self.store.encoder)
        return to_unit(encode_chip(path, self._encoder), self.store.encoder.dimension)


def _answer(
    searcher: Searcher,
    query: NDArray[np.float32],
    selections: list[Selection],
    k: int,
    goal: Goal,
    metres: float,
    own: Own | None,
) -> Hits:
    candidates = sum(s.count for s in selections)
    index = searcher.snapshot.index
    filtered = any(s.rows is not None for s in selections)
    effort = goal.filtered_effort(index) if filtered else goal.effort(index)
    wanted = k if not metres else 4 * k
    while True:
        found = searcher.search(query, selections, min(wanted, max(candidates, 1)), effort, goal.share)
        if own is not None:
            found = [
                _with_own(f, s, own, query) for f, s in zip(found, [s for s in selections if s.count], strict=True)
            ]
        hits = _merge(searcher.snapshot, found, candidates, k, wanted, metres, own)
        if len(hits) == min(k, candidates) or not metres or wanted >= candidates:
            return hits
        wanted *= 4
        if wanted >= candidates // 4:
            effort = None  # so much is asked for that a scan is cheaper than probing for it


def _merge(
    snapshot: Snapshot, found: list[Found], candidates: int, k: int, wanted: int, metres: float, own: Own | None
) -> Hits:
    """Join what the pieces gave, best first, thin it out on the ground, and add the columns."""
    scores = np.concatenate([f.scores for f in found]) if found else np.empty(0, np.float32)
    piece = np.repeat(np.arange(len(found)), [len(f.rows) for f in found])
    rows = np.concatenate([f.rows for f in found]) if found else np.empty(0, np.int64)
    order = np.argsort(-scores, kind="stable")
    if own is not None and len(order) > 1:
        # near-duplicates may score the same to the last bit; the chip that was asked about goes before them
        mine = np.flatnonzero((rows[order] == own[1]) & (piece[order] == _position(found, own[0])))
        if len(mine) and scores[order[mine[0]]] >= scores[order[0]] - 1e-4:
            order = np.concatenate([order[mine], np.delete(order, mine)])
    order = order[:wanted]
    if metres:
        lon, lat = (_gather(found, piece[order], rows[order], c) for c in ("lon", "lat"))
        order = order[example.spread(lon, lat, metres, k)]
    order = order[:k]
    columns = {c: _gather(found, piece[order], rows[order], c) for c in COLUMNS}
    return Hits(scores[order], columns, _report(found, candidates, k), snapshot, found, piece[order], rows[order])


def _position(found: list[Found], piece: Piece) -> int:
    return next((i for i, f in enumerate(found) if f.piece is piece), -1)


def _with_own(found: Found, selection: Selection, own: Own, query: NDArray[np.float32]) -> Found:
    """Add the chip that was asked about where thousands of equal codes crowded it out."""
    piece, row = own
    if found.piece is not piece or (found.rows == row).any():
        return found
    if selection.rows is not None and not (selection.rows == row).any():
        return found
    score = query @ piece.segment.take_vectors(np.array([row]))[0].astype(np.float32)
    return replace(found, rows=np.append(row, found.rows), scores=np.append(score, found.scores).astype(np.float32))


def _gather(found: list[Found], piece: NDArray[np.int64], rows: NDArray[np.int64], name: str) -> NDArray[Any]:
    """Return a column of hits that stand in several pieces."""
    if len(found) == 1:
        return found[0].piece.segment.take(name, rows)
    out: NDArray[Any] | None = None
    for i, f in enumerate(found):
        here = piece == i
        values = f.piece.segment.take(name, rows[here])
        out = np.empty(len(rows), values.dtype) if out is None else out
        out[here] = values
    return out if out is not None else np.empty(0, _EMPTY[name])


def _report(found: list[Found], candidates: int, k: int) -> Report:
    plans = list(dict.fromkeys(f.plan for f in found))
    notes = []
    if candidates == 0:
        notes.append("no chip passes the filter")
    elif k > candidates:
        notes.append(f"k = {k}, but only {candidates} chips pass the filter")
    return Report(
        plan="+".join(plans) or "empty",
        exact=plans in ([], ["exact"]),
        candidates=candidates,
        scanned=sum(f.scanned for f in found),
        lists_probed=sum(f.lists for f in found),
        warnings=tuple(notes),
    )
