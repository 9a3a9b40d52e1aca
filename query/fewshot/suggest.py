"""What to label next.

A label is worth most where the model is unsure, where many chips are alike, and where no label is near. All three are
in one sum: how much nearer to a label the chips of the area would come, each counting by how unsure it is. The chips
that add most to it are taken one after another, each making others like itself worth less (facility location; Wei,
Iyer & Bilmes 2015, "Submodularity in data subset selection and active learning").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from embedstore import deadline
from embedstore.errors import QueryError
from embedstore.snapshot import id_bytes
from query import stream
from query.classify import hex_ids
from query.fewshot.model import NEIGHBOURS, Model
from query.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from query.engine import Engine
    from query.fewshot.labelled import Labelled
    from query.searcher import Searcher
    from query.selection import Selection

POOL = 4096
"""Chips that stand for the area, spread evenly over it."""
USUAL = 0.95
"""Share of the labels whose next label is nearer than what counts as unlike any label."""
FAR = 0.5
"""What counts as that where no class has two labels to tell it by."""
BLOCK = 1024
"""Labels that are compared with all at once."""


def suggest(
    engine: Engine,
    labelled: Labelled,
    n: int = 10,
    *,
    method: str = "knn",
    k: int = NEIGHBOURS,
    bbox: Sequence[float] | None = None,
    within: Any = None,
    cells: Iterable[str | int] | None = None,
    between: Any = None,
    where: str | None = None,
) -> pa.Table:
    """Return the chips whose labels would teach most, the first first.

    Parameters
    ----------
    engine, labelled, method, k, bbox, within, cells, between, where
        See :func:`query.fewshot.area.classify_area`.
    n
        How many; fewer come only if the area has no more that are not labelled.

    Returns
    -------
    Columns id, lon, lat, why ("uncertain" or "unlike any label"), class (what the model takes it for), confidence,
    uncertainty (0 to 1: one less the lead of the likeliest class, or how far it is from every label).

    Raises
    ------
    InputError
        If a part of the question makes no sense.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise QueryError(f"n = {n!r} suggestions make no sense; ask for one or more.")
    filter_ = Filter.parse(bbox, within, cells, between, where)
    model = Model(labelled, method, k=k)

    def of(searcher: Searcher) -> pa.Table:
        pool = _gather(searcher, searcher.select(filter_), model, max(POOL, int(n)))
        return _table(pool, _choose(pool, model.known, int(n)), labelled.names)

    return engine.ask(of)


@dataclass(frozen=True, eq=False, slots=True)
class _Pool:
    """Chips that may be suggested, as columns."""

    ids: NDArray[Any]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    confidence: NDArray[np.float32]
    uncertainty: NDArray[np.float32]
    unlike: NDArray[np.bool_]

    def take(self, at: NDArray[Any]) -> _Pool:
        return _Pool(*(getattr(self, name)[at] for name in self.__slots__))


def _gather(searcher: Searcher, selections: list[Selection], model: Model, most: int) -> _Pool:
    """Return chips spread evenly over the area, without those that are labelled."""
    total = sum(selection.count for selection in selections)
    if not total:
        raise QueryError("no chip lies in the area and time given; widen them.")
    usual = _usual_distance(model.labelled)
    known = id_bytes(model.labelled.ids)
    step, done, parts = -(-total // most), 0, []
    for block in stream.blocks(searcher.snapshot.pieces, selections):
        segment = block.piece.segment
        here = np.flatnonzero((np.arange(done, done + len(block.rows)) % step) == step // 2)
        here = here[~np.isin(block.rows[here], segment.find(known))]
        done += len(block.rows)
        if len(here):
            rows, vectors = block.rows[here], block.vectors[here]
            answers = model.answer(vectors)
            shares = np.sort(answers.shares, axis=1)
            doubt = 1 - (shares[:, -1] - shares[:, -2])
            # in vectors as they came: a metric learned from the labels draws just these together
            distance = 1 - (vectors @ model.labelled.vectors.T).max(axis=1)
            novelty = np.clip(distance / usual - 1, 0, 1)
            parts.append(
                _Pool(
                    segment.take("id", rows),
                    segment.take("lon", rows),
                    segment.take("lat", rows),
                    model.turn(vectors),
                    answers.classes,
                    answers.confidence,
                    np.maximum(doubt, novelty).astype(np.float32),
                    novelty > doubt,
                )
            )
    if not parts:
        raise QueryError("every chip of the area is labelled already; there is nothing to suggest.")
    return _Pool(*(np.concatenate([getattr(part, name) for part in parts]) for name in _Pool.__slots__))


def _usual_distance(labelled: Labelled) -> float:
    """Return how far a label usually is, at most, from the next of its class that another shape gave."""
    gaps = []
    for start in range(0, len(labelled), BLOCK):
        some = slice(start, start + BLOCK)
        kin = labelled.classes[some, None] == labelled.classes
        kin &= labelled.feature[some, None] != labelled.feature
        likeness = np.where(kin, labelled.vectors[some] @ labelled.vectors.T, -np.inf).max(axis=1)
        gaps.append(1 - likeness[np.isfinite(likeness)])
    distances = np.concatenate(gaps)
    return max(float(np.quantile(distances, USUAL)), 1e-6) if len(distances) else FAR


def _choose(pool: _Pool, known: NDArray[np.float32], n: int) -> list[int]:
    """Return positions in the pool, the most worth labelling first."""
    likeness = np.maximum(pool.vectors @ pool.vectors.T, 0)
    near = np.maximum((pool.vectors @ known.T).max(axis=1), 0)
    chosen: list[int] = []
    for _ in range(min(n, len(pool.ids))):
        deadline.check()
        gain = pool.uncertainty @ np.maximum(likeness - near[:, None], 0)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        near = np.maximum(near, likeness[best])
    return chosen


def _table(pool: _Pool, chosen: list[int], names: tuple[str, ...]) -> pa.Table:
    few = pool.take(np.array(chosen, np.int64))
    return pa.table(
        {
            "id": hex_ids(few.ids),
            "lon": few.lon,
            "lat": few.lat,
            "why": pa.array(np.where(few.unlike, "unlike any label", "uncertain").tolist(), pa.string()),
            "class": pa.array(np.array(names)[few.classes].tolist(), pa.string()),
            "confidence": few.confidence,
            "uncertainty": few.uncertainty,
        }
    )
