"""The index build: train a codebook, fill segments, calibrate, publish.

Rows that have no lists yet are merged into one segment and given lists; segments that have lists of the live
codebook stay. A new codebook is trained when there is none or the rows have grown fourfold. Nothing that a reader
uses is changed: new files appear, and one compare-and-swap makes them live.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from embedstore import segment_rows, verify
from embedstore.catalog import Index
from embedstore.errors import ConflictError, DamageError
from embedstore.housekeeping import MOST_SEGMENTS
from embedstore.segment import Segment
from embedstore.segment_draft import SegmentDraft
from embedstore.spec import QUANTIZERS, IndexSpec
from embedstore.store import Store
from indexer import calibrate, codebook, segments
from indexer.engines.local import Local
from indexer.segments import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from embedstore.catalog import Calibration, Codebook
    from embedstore.piece import Piece
    from embedstore.snapshot import Snapshot
    from indexer.engines.base import Executor

FLAT_ROWS = 20_000
"""Below this a flat scan is faster than probing, and there is no codebook."""
GROWTH = 4
"""A new codebook is trained when the rows have grown this many times since the last."""
DRIFT = 1.2
"""A new codebook is trained when the codes of new rows err this many times as much as those it was trained for."""
NEWS = 0.1
"""Only once the new rows are this share of those it was trained for: training costs about as much as filling them."""
DEAD = 0.2
"""A segment of which more than this share was deleted is written anew."""
FINEST = 2
"""How often the code bytes are doubled where a codebook does not reach the recall asked for."""
ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What an index build did.

    Parameters
    ----------
    index
        Name of the live index.
    rows, segments
        What it covers, in how many segments.
    factory
        The codebook's factory string; None for a flat index.
    trained
        Whether the codebook is new.
    recall
        The best recall@10 that the calibration reached; 1 for a flat index.
    calibration
        What each recall costs; None for a flat index.
    seconds
        Seconds by stage.
    """

    index: str
    rows: int
    segments: int
    factory: str | None
    trained: bool
    recall: float
    calibration: Calibration | None
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def build(
    store: str | Path,
    recall: float = 0.99,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
    quantizer: str | None = None,
    engine: Executor | None = None,
) -> BuildReport:
    """Build or extend the index of a store and make it live.

    Parameters
    ----------
    store
        Its path.
    recall
        Recall@10 that the codebook must reach; where a codebook cannot, answers asked for it come from exact scans.
    device
        ``auto``, ``cpu`` or ``cuda``, for training and assignment.
    progress
        Called with the name of each stage as it begins.
    quantizer
        ``rabitq`` or ``pq`` (see :class:`embedstore.spec.IndexSpec`); if None, that of the live index, else RaBitQ.
    engine
        Where segments are written, from :func:`indexer.engines.choose`, started; this process if None. Its workers must
        reach the store by the same path. Training, calibration and publication are done here.

    Raises
    ------
    NotAStoreError, QueryError, SpecError, StorageError, ConflictError, LimitError, MissingExtraError
        If there is no store, the recall makes no sense, the quantiser is not known, the disk refuses, other builders
        win every race, workers are lost again and again, or FAISS is not installed.
    """
    calibrate.check_recall(recall)
    opened = Store.open(store)
    tell = progress or (lambda _: None)
    return _Build(opened, codebook.resolve_device(device), recall, tell, quantizer, engine or Local()).run()


class _Build:
    """One run, which keeps the times of its stages."""

    def __init__(
        self,
        store: Store,
        device: str,
        recall: float,
        progress: Callable[[str], None],
        quantizer: str | None,
        engine: Executor,
    ) -> None:
        if quantizer is not None:
            IndexSpec.check_quantizer(quantizer)
        self.store, self.device, self.recall, self.quantizer = store, device, recall, quantizer
        self.engine = engine
        self._tell = progress
        self.seconds: dict[str, float] = {}
        self._stage, self._since = "", time.perf_counter()

    def stage(self, name: str) -> None:
        """Begin a stage, and end the one before."""
        now = time.perf_counter()
        if self._stage:
            self.seconds[self._stage] = round(self.seconds.get(self._stage, 0.0) + now - self._since, 3)
        self._stage, self._since = name, now
        if name:
            self._tell(name)

    def run(self) -> BuildReport:
        """Build, publish, report."""
        self.stage("check")
        damaged = verify.damaged_index_parts(self.store.catalog)
        snapshot = self.store.snapshot(frozenset(path.name for path in damaged))
        snapshot.rescue()
        book, trained = self._codebook(snapshot) if snapshot.rows >= FLAT_ROWS else (None, False)
        names, calibration = self._fill(snapshot, book)
        for fineness in range(1, 1 + FINEST):
            if book is None or calibration is None or not trained or calibration.best >= self.recall:
                break
            book, names = self._refine(snapshot, book, names, fineness)
            self.stage("calibrate")
            calibration = self._calibrate(snapshot, names, book)
        self.stage("publish")
        index = self._publish(snapshot, names, book, calibration)
        self._sweep(damaged)
        self.stage("")
        best = calibration.best if calibration else 1.0
        factory = book.factory if book else None
        return BuildReport(index.name, snapshot.rows, len(names), factory, trained, best, calibration, self.seconds)

    def _codebook(self, snapshot: Snapshot) -> tuple[Codebook, bool]:
        """Return the live codebook if it still serves, else train one."""
        old = snapshot.index.codebook if snapshot.index else None
        wanted = self.quantizer is None or old is None or self.quantizer == IndexSpec(old.factory).quantizer
        if old and wanted and snapshot.rows < GROWTH * old.trained_rows:
            try:
                if self._fits(snapshot, old):
                    return old, False
            except DamageError as error:
                snapshot.degraded.append(str(error))
        return self._train(snapshot, 0), True

    def _fits(self, snapshot: Snapshot, book: Codebook) -> bool:
        """Tell whether the rows that came since a codebook was trained are like those that it was trained for."""
        path = self.store.catalog.codebook_file(book)
        new = [p for p in snapshot.pieces if p.segment.manifest.codebook != book.name]
        if sum(p.count for p in new) < NEWS * book.trained_rows:
            return True
        return codebook.error(path, new) <= DRIFT * book.error

    def _refine(
        self, snapshot: Snapshot, book: Codebook, names: list[str], fineness: int
    ) -> tuple[Codebook, list[str]]:
        """Return a codebook of finer codes, and segments of the same rows with them; the coarser ones are removed.

        Codes of bits keep their rotation and lists; product codes are trained and assigned anew.
        """
        bits = IndexSpec(book.factory).quantizer == "rabitq"
        finer = self._train(snapshot, fineness, self.store.catalog.codebook_file(book) if bits else None)
        shared = (*SHARED, "list_of_row.i32") if bits else SHARED
        self.stage("fill lists")
        finest = [segments.refine(self.store, finer, self.device, shared, name) for name in names]
        self.store.home.remove(self.store.catalog.folder / book.name)
        return finer, finest

    def _train(self, snapshot: Snapshot, fineness: int, coarser: Path | None = None) -> Codebook:
        self.stage("train")
        old = snapshot.index.codebook if snapshot.index else None
        kind = self.quantizer or (IndexSpec(old.factory).quantizer if old else QUANTIZERS[0])
        spec = IndexSpec.for_rows(snapshot.rows, self.store.encoder.dimension, fineness, kind)
        path = self.store.catalog.new_codebook_file()
        lists, error = codebook.train(snapshot, spec, path, self.device, coarser)
        return self.store.catalog.seal_codebook(path, spec.factory, lists, snapshot.rows, error)

    def _fill(self, snapshot: Snapshot, book: Codebook | None) -> tuple[list[str], Calibration | None]:
        """Bring all rows into segments of this codebook; return their names and the calibration."""
        todo = self._todo(snapshot, book)
        names = [p.segment.name for p in snapshot.pieces if p not in todo]
        if todo:
            names += self._write(snapshot, todo, book, MOST_SEGMENTS - len(names))
        self.stage("calibrate")
        return names, self._calibrate(snapshot, names, book)

    def _todo(self, snapshot: Snapshot, book: Codebook | None) -> list[Piece]:
        """Return the pieces to merge into a new segment."""
        wanted = book.name if book else ""
        on_disk = {p.segment.name for p in snapshot.pieces if p.segment.folder.parent == self.store.catalog.segments}

        def stale(piece: Piece) -> bool:
            dead = 1 - piece.count / piece.segment.rows
            return piece.segment.manifest.codebook != wanted or dead > DEAD or piece.segment.name not in on_disk

        todo = [p for p in snapshot.pieces if stale(p)]
        if book is None:
            return snapshot.pieces if len(snapshot.pieces) > 1 or todo else []
        if len(snapshot.pieces) - len(todo) >= MOST_SEGMENTS:
            rest = sorted((p for p in snapshot.pieces if p not in todo), key=lambda p: p.count)
            todo += rest[: len(rest) // 2]
        if any(p.moved is not None for p in todo):
            # a rewritten file may have rows in several moved pieces, and a segment covers files whole
            todo += [p for p in snapshot.pieces if p.moved is not None and p not in todo]
        return todo

    def _write(self, snapshot: Snapshot, todo: list[Piece], book: Codebook | None, most: int) -> list[str]:
        """Write all rows to do, with lists if there is a codebook, into one segment or a share for each worker."""
        self.stage("merge")
        count = min(self.engine.slots, most, sum(p.count for p in todo) // segments.SHARE)
        if book and count > 1 and all(p.segment.folder.parent == self.store.catalog.segments for p in todo):
            self.stage("fill lists")
            names = frozenset(p.segment.name for p in todo)
            make = segments.Merging(self.store.path, snapshot.version, names, book, self.device)
            return segments.scatter(self.engine, make, segments.shares(snapshot, todo, count), self.device)
        with SegmentDraft(self.store.catalog.segments) as draft:
            lone = todo[0] if len(todo) == 1 and todo[0].alive is None else None
            if lone:
                draft.link(lone.segment, SHARED)
                rows, files = lone.segment.rows, list(lone.segment.manifest.files)
                lone.segment.check_all()
            else:
                rows, files = segment_rows.merge(snapshot, todo, draft)
            if book:
                self.stage("fill lists")
                codebook.fill(self.store.catalog.codebook_file(book), draft.folder, rows, self.device)
            self.stage("seal")
            return [segments.seal(self.store, draft, rows, files, book)]

    def _calibrate(self, snapshot: Snapshot, names: list[str], book: Codebook | None) -> Calibration | None:
        if book is None:
            return None
        folders = [self.store.catalog.segments / n for n in names]
        opened = [Segment(folder) for folder in folders if self.store.home.whole(folder)]
        alive = {p.segment.name: p.alive for p in snapshot.pieces}
        path = self.store.catalog.codebook_file(book)
        return calibrate.calibrate(opened, [alive.get(n) for n in names], path)

    def _sweep(self, damaged: Iterable[Path]) -> None:
        """Remove what was found damaged, now that nothing names it."""
        for path in damaged:
            if path.name != "CURRENT":
                self.store.home.remove(path)

    def _publish(
        self, snapshot: Snapshot, names: list[str], book: Codebook | None, calibration: Calibration | None
    ) -> Index:
        """Make the index live; segments that another process published meanwhile are kept beside ours."""
        base = snapshot.index.segments if snapshot.index else ()
        consumed = {p.segment.name for p in snapshot.pieces} | set(base) | set(names)
        for _ in range(ATTEMPTS):
            live_name = self.store.catalog.live_name()
            live = self.store.catalog.current() if live_name else None
            theirs = [s for s in live.segments if s not in consumed] if live else []
            index = Index(uuid.uuid4().hex, self.store.encoder.fingerprint, (*names, *theirs), book, calibration)
            if self.store.catalog.publish(index, live_name):
                return index
        raise ConflictError(f"could not publish the index of {self.store.home}: others came first. Run it again.")
