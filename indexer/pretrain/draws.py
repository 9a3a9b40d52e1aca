"""Chips drawn ahead of the network, so that it does not wait for them.

A step's batch is made of pieces. What a piece holds follows from the seed, the step and the number of the piece, never
from who draws it or when.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Executor, Future

    from indexer.pretrain.batch import Batch, Source

_SOURCE: Source
"""In a process that draws: where from."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a step's batch that goes through the network at once.

    Parameters
    ----------
    count, size, dates
        As :meth:`indexer.pretrain.batch.Source.draw` takes them.
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
    executor = _executor(source, workers)
    try:
        yield _in_order(executor, source if workers == 0 else None, iter(pieces), max(workers, 1) + 1)
    finally:
        executor.shutdown(cancel_futures=True)


def _executor(source: Source, workers: int) -> Executor:
    if workers == 0:
        return ThreadPoolExecutor(1, thread_name_prefix="draw")
    context = multiprocessing.get_context("spawn")  # a fork would take locks of torch's and GDAL's threads with it
    return ProcessPoolExecutor(workers, context, _begin, (source,))


def _in_order(
    executor: Executor, source: Source | None, pieces: Iterator[Piece], most: int
) -> Iterator[tuple[Batch, ...]]:
    under_way: deque[Future[tuple[Batch, ...]]] = deque()
    while True:
        while len(under_way) < most and (piece := next(pieces, None)) is not None:
            under_way.append(executor.submit(piece.draw, source) if source else executor.submit(_draw, piece))
        if not under_way:
            return
        yield under_way.popleft().result()


def _begin(source: Source) -> None:
    """Set up a process that draws: Ctrl-C is its parent's to handle, and it ends when its parent does."""
    global _SOURCE  # noqa: PLW0603 - a process has one source, and no other way to hand it to its tasks
    _SOURCE = source
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _draw(piece: Piece) -> tuple[Batch, ...]:
    return piece.draw(_SOURCE)
