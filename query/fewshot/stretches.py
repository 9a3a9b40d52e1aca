"""Stretches of rows that workers elsewhere classify, on machines that see the same store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import DamageError, LimitError
from embedstore.home import home_of
from embedstore.piece import Piece
from embedstore.segment import Segment
from query import stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from indexer.engines.base import Executor
    from query.fewshot.model import Answers, Model
    from query.searcher import Searcher
    from query.selection import Selection

STRETCH = 16 * stream.BLOCK
"""Rows that travel together: enough to be worth the way, few enough that a lost worker costs little."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some rows of a segment.

    Parameters
    ----------
    segment
        Its name.
    rows
        Ascending, int64, shape (n,); with neither, rows from `start` to `stop`.
    start, stop
        The first, and that after the last.
    """

    segment: str
    start: int
    stop: int
    rows: NDArray[np.int64] | None

    @property
    def chosen(self) -> NDArray[np.int64]:
        """All of them, int64, shape (n,)."""
        return np.arange(self.start, self.stop) if self.rows is None else self.rows


@dataclass(frozen=True, eq=False)
class Answering:
    """Makes a worker that classifies stretches; see :meth:`indexer.engines.base.Executor.map`.

    Parameters
    ----------
    store
        Its folder or URI.
    model
        What has learned.
    """

    store: str | Path
    model: Model

    def __call__(self) -> Callable[[Stretch], list[Answers]]:
        """Return what answers, a block of rows at a time."""
        home = home_of(self.store)
        opened: dict[str, Segment] = {}

        def answer(stretch: Stretch) -> list[Answers]:
            if stretch.segment not in opened:
                folder = home.folder / "_index" / "segments" / stretch.segment
                if not home.whole(folder):
                    raise DamageError(f"the segment {folder} is not there for a worker. Run `embedstore index` first.")
                opened[stretch.segment] = Segment(folder)
            piece, rows = Piece(opened[stretch.segment]), stretch.chosen
            return [self.model.answer(block.vectors) for block in stream.of_rows(piece, rows)]

        return answer


def answered(
    engine: Executor, searcher: Searcher, selections: Sequence[Selection], model: Model
) -> Iterator[tuple[Piece, NDArray[np.int64], Answers]]:
    """Have workers classify all rows of a filter; yield piece, rows and answers in the order of the ground.

    Raises
    ------
    DamageError
        If workers cannot see a segment, or it is damaged.
    LimitError
        If answers went missing.
    """
    pieces = {piece.segment.name: piece for piece in searcher.snapshot.pieces}
    stretches = list(_stretches(searcher.snapshot.pieces, selections))
    expected = 0
    make = Answering(searcher.snapshot.home.path, model)
    for position, parts in engine.map(make, stretches, ordered=True):
        if position == expected:
            expected += 1
            rows, start = stretches[position].chosen, 0
            for answers in parts:
                stop = start + len(answers.classes)
                yield pieces[stretches[position].segment], rows[start:stop], answers
                start = stop
    if expected < len(stretches):
        raise LimitError("some chips got no answer: every worker that tried was lost. Give workers more memory.")


def _stretches(pieces: Sequence[Piece], selections: Sequence[Selection]) -> Iterator[Stretch]:
    for piece, selection in zip(pieces, selections, strict=True):
        rows: Any = selection.rows
        for start in range(0, selection.count, STRETCH):
            stop = min(start + STRETCH, selection.count)
            yield Stretch(piece.segment.name, start, stop, None if rows is None else rows[start:stop])
