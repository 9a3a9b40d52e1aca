"""Chips drawn ahead of the network, so that it does not wait for them.

A step's batch is made of pieces. What a piece holds follows from the seed, the step and the number of the piece, never
from who draws it or when.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import shutil
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from indexer.pretrain.sources import handover

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from indexer.pretrain.sources.batch import Batch, Source

T = TypeVar("T")
E = TypeVar("E", bound="Executor")

_SOURCE: Source
_FOLDER: Path
"""In a process that draws: where from, and where to."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a step's batch that goes through the network at once.

    Parameters
    ----------
    count, size, dates
        As :meth:`indexer.pretrain.sources.batch.Source.draw` takes them.
    seed, step, number
        What its chips follow from.
    """

    count: int
    size: int
    dates: int
    seed: int
    step: int
    number: int

    def draw(self, source: Source) -> tuple[Batch, ...]:
        """Draw its chips."""
        return source.draw(
            self.count, self.size, self.dates, np.random.default_rng((self.seed, self.step, self.number))
        )

    @property
    def chance(self) -> int:
        """Seed of what else is left to chance in it."""
        return int(np.random.SeedSequence((self.seed, self.step, self.number, 1)).generate_state(1, np.uint32)[0])


@contextmanager
def ahead(source: Source, pieces: Iterable[Piece], workers: int) -> Iterator[Iterator[tuple[Batch, ...]]]:
    """Draw pieces in order, at most one more ahead than there are workers; yields the iterator of their batches.

    Parameters
    ----------
    source
        Where from; it goes to the workers by pickle.
    pieces
        What to draw.
    workers
        Processes that draw, or 0 for a thread of this one.
    """
    most = max(workers, 1) + 1
    if workers == 0:
        with _ending(ThreadPoolExecutor(1, thread_name_prefix="draw")) as thread:
            yield _in_order((thread.submit(piece.draw, source) for piece in pieces), most)
        return
    context = multiprocessing.get_context("spawn")  # a fork would take locks of torch's and GDAL's threads with it
    with (
        handover.folder() as folder,
        _ending(ProcessPoolExecutor(workers, context, _begin, (source, folder))) as processes,
    ):
        yield (handover.take(path) for path in _in_order((processes.submit(_draw, p) for p in pieces), most))


@contextmanager
def _ending(executor: E) -> Iterator[E]:
    """End an executor without waiting for what nobody will take."""
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(begun: Iterator[Future[T]], most: int) -> Iterator[T]:
    """Yield results in order; `begun` starts a piece of work whenever it is asked for the next."""
    under_way: deque[Future[T]] = deque()
    while True:
        under_way.extend(itertools.islice(begun, most - len(under_way)))
        if not under_way:
            return
        yield under_way.popleft().result()


def _begin(source: Source, folder: Path) -> None:
    """Set up a process that draws: Ctrl-C is its parent's to handle, and it ends when its parent does."""
    global _SOURCE, _FOLDER
    _SOURCE, _FOLDER = source, folder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    shutil.rmtree(_FOLDER, ignore_errors=True)  # which a parent that was killed has left
    os._exit(1)


def _draw(piece: Piece) -> Path:
    return handover.put(piece.draw(_SOURCE), _FOLDER)
