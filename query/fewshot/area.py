"""The class of every chip of an area, and of chips by id."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embedstore import schema
from query import stream
from query.classify import geo, hex_ids, points
from query.fewshot import stretches
from query.fewshot.model import NEIGHBOURS, Model
from query.filters import Filter
from query.output import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from embedstore.piece import Piece
    from indexer.engines.base import Executor
    from query.engine import Engine
    from query.fewshot.labelled import Labelled
    from query.fewshot.model import Answers
    from query.searcher import Searcher
    from query.selection import Selection

    Progress = Callable[[int, int], None]

ANSWER = [
    ("class", pa.dictionary(pa.int32(), pa.string())),
    ("confidence", pa.float32()),
    ("distance", pa.float32()),
    ("neighbours", pa.list_(pa.field("element", pa.string()))),
]
COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        *ANSWER,
        ("h3", pa.int64()),
        ("datetime", schema.TIME),
        ("geometry", pa.binary()),
    ]
)
REPEATING = ["class", "neighbours.list.element"]
"""Columns of few values, which Parquet writes once."""


@dataclass(frozen=True, slots=True)
class Classified:
    """What became of the chips of an area.

    Parameters
    ----------
    chips
        How many there are.
    classes
        How many were given each class.
    abstained
        How many were given none, because the confidence was too low.
    method, neighbours
        See :func:`query.fewshot.model.estimator`.
    labels
        Chips learned from.
    """

    chips: int
    classes: dict[str, int]
    abstained: int
    method: str
    neighbours: int
    labels: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def classify_area(
    engine: Engine,
    labelled: Labelled,
    method: str,
    path: str | Path,
    *,
    k: int = NEIGHBOURS,
    abstain_below: float = 0.0,
    bbox: Sequence[float] | None = None,
    within: Any = None,
    cells: Iterable[str | int] | None = None,
    between: Any = None,
    where: str | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Classified:
    """Give every chip of an area a class, and write all as GeoParquet, which appears whole or not at all.

    Columns: id, class (null where the confidence is too low), confidence, distance (cosine, to the nearest label, in
    the metric learned from the labels), neighbours (ids of the k nearest labels, nearest first), h3, datetime, geometry
    (centre of the chip).

    Parameters
    ----------
    engine
        Of the store.
    labelled
        What to learn from.
    method
        ``knn``, ``probe``, ``forest`` or ``prototype``.
    path
        The file.
    k
        Labels that vote, where labels do, and that are written as neighbours; all, if there are fewer.
    abstain_below
        Confidence, 0 to 1, under which a chip gets no class.
    bbox, within, cells, between, where
        Which chips; see :meth:`query.engine.Engine.search`.
    progress
        Called now and then with (chips done, chips in all).
    executor
        Where chips are classified, from :func:`indexer.engines.choose`, started; this process if None. Its workers must
        reach the store by the same path.

    Raises
    ------
    InputError
        If a part of the question makes no sense.
    StorageError
        If the file cannot be written.
    DamageError
        If the table itself is damaged, or workers cannot see a segment.
    LimitError
        If workers are lost again and again.
    """
    filter_ = Filter.parse(bbox, within, cells, between, where)
    model = Model(labelled, method, k=k, abstain_below=abstain_below)
    return engine.ask(
        lambda searcher: _write(searcher, searcher.select(filter_), model, Path(path), progress, executor)
    )


def classify_ids(
    engine: Engine,
    labelled: Labelled,
    method: str,
    ids: Sequence[str],
    *,
    k: int = NEIGHBOURS,
    abstain_below: float = 0.0,
) -> pa.Table:
    """Return the classes of chips by id: columns id, class, confidence, distance, neighbours, in the order given.

    Parameters
    ----------
    engine, labelled, method, k, abstain_below
        See :func:`classify_area`.
    ids
        Of stored chips.

    Raises
    ------
    InputError
        If a part of the question makes no sense, or an id is not stored.
    """
    answers = Model(labelled, method, k=k, abstain_below=abstain_below).answer(engine.vectors(ids))
    return pa.table({"id": pa.array(list(ids), pa.string()), **_columns(answers, labelled)})


def _write(
    searcher: Searcher,
    selections: list[Selection],
    model: Model,
    path: Path,
    progress: Progress | None,
    executor: Executor | None,
) -> Classified:
    counts = np.zeros(len(model.labelled.names) + 1, np.int64)  # the last is of those without a class
    total = sum(selection.count for selection in selections)
    described = COLUMNS.with_metadata({"geo": json.dumps(geo(searcher.snapshot.pieces, selections))})

    def fill(draft: Path) -> None:
        counts[:] = 0
        with pq.ParquetWriter(draft, described, compression="zstd", use_dictionary=REPEATING) as writer:
            for piece, rows, answers in _answered(searcher, selections, model, executor):
                np.add.at(counts, answers.classes, 1)
                table = _table(piece, rows, answers, model.labelled)
                writer.write_table(table.replace_schema_metadata(described.metadata))
                if progress:
                    progress(int(counts.sum()), total)

    replace_file(path, fill)
    classes = dict(zip(model.labelled.names, counts.tolist(), strict=False))
    return Classified(total, classes, int(counts[-1]), model.method, model.k, len(model.labelled))


def _answered(
    searcher: Searcher, selections: list[Selection], model: Model, executor: Executor | None
) -> Iterator[tuple[Piece, NDArray[np.int64], Answers]]:
    """Yield pieces and rows with their answers, in the order of the ground."""
    if executor is not None and executor.slots > 1:
        yield from stretches.answered(executor, searcher, selections, model)
        return
    for block in stream.blocks(searcher.snapshot.pieces, selections):
        yield block.piece, block.rows, model.answer(block.vectors)


def _table(piece: Piece, rows: NDArray[np.int64], answers: Answers, labelled: Labelled) -> pa.Table:
    segment = piece.segment
    return pa.table(
        {
            "id": hex_ids(segment.take("id", rows)),
            **_columns(answers, labelled),
            "h3": pa.array(segment.take("h3", rows)),
            "datetime": pa.array(segment.take("datetime", rows), schema.TIME),
            "geometry": points(segment.take("lon", rows), segment.take("lat", rows)),
        },
        schema=COLUMNS,
    )


def _columns(answers: Answers, labelled: Labelled) -> dict[str, pa.Array]:
    count, k = answers.neighbours.shape
    codes = pa.array(answers.classes, pa.int32(), mask=answers.classes < 0)
    neighbours = pa.array(labelled.ids, pa.string()).take(pa.array(answers.neighbours.ravel()))
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * k)
    columns: list[pa.Array] = [
        pa.DictionaryArray.from_arrays(codes, pa.array(labelled.names, pa.string())),
        pa.array(answers.confidence),
        pa.array(answers.distance),
        pa.ListArray.from_arrays(offsets, neighbours).cast(ANSWER[-1][1]),
    ]
    return {name: column for (name, _), column in zip(ANSWER, columns, strict=True)}
