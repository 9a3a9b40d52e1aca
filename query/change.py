"""Where a place has changed: the distance between its vectors on two dates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from embedstore import deadline, schema
from embedstore.errors import QueryError
from query.filters import Filter
from query.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from query.engine import Engine
    from query.searcher import Searcher

BLOCK = 1 << 14
"""Pairs whose vectors are held at once."""
SAME_PLACE = 6
"""Decimals of a degree by which windows of one grid agree: a tenth of a metre."""


def change(
    engine: Engine,
    a: Any,
    b: Any,
    *,
    k: int = 100,
    bbox: Sequence[float] | None = None,
    within: Any = None,
    cells: Iterable[str | int] | None = None,
    where: str | None = None,
) -> pa.Table:
    """Rank places by how far their vectors of two periods are from each other, the most changed first.

    A chip of the second period is paired with the nearest of the first, if their centres are within half a chip and
    both were made of the same modalities: radar differs from colour where nothing has changed. Of several scenes of a
    period the nearest in place counts, and of equally near ones the newest.

    Parameters
    ----------
    engine
        Of the store.
    a, b
        Periods that do not overlap: a date, "A/B", or a pair.
    k
        How many places.
    bbox, within, cells, where
        Which chips; see :meth:`query.engine.Engine.search`.

    Returns
    -------
    Columns id_a, id_b, lon, lat (centre of the second chip), distance (cosine), datetime_a, datetime_b, geometry
    (footprint of the second chip, WKB, with the ``geo`` key of GeoParquet).

    Raises
    ------
    QueryError
        If the periods overlap, or no place was seen in both.
    InputError
        If another part of the question makes no sense.
    DamageError
        If the table itself is damaged.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise QueryError(f"k = {k!r} places make no sense; ask for one or more.")
    first, second = (Filter.parse(bbox, within, cells, _period(time), where) for time in (a, b))
    assert first.between is not None
    assert second.between is not None
    if first.between[0] <= second.between[1] and second.between[0] <= first.between[1]:
        raise QueryError(f"the periods {a} and {b} overlap; a place can only have changed from one to another.")

    def of(searcher: Searcher) -> pa.Table:
        before, after = _newest(searcher, first, a), _newest(searcher, second, b)
        side = searcher.snapshot.encoder.chip_size * searcher.snapshot.encoder.gsd
        one, two = _pair(before, after, side / 2)
        if not len(one):
            raise QueryError(
                f"no place was seen both in {a} and in {b} by the same modalities: no centres lie within half a chip, "
                f"{side / 2:g} m."
            )
        return _table(before.take(one), after.take(two), int(k))

    return engine.ask(of)


def _period(time: Any) -> Any:
    """Return a date as the period that it is; everything else as it was given."""
    single = not isinstance(time, (list, tuple)) and "/" not in str(time)
    return (time, time) if single else time


def _newest(searcher: Searcher, filter_: Filter, period: Any) -> Rows:
    """Return the chips of a period, of each place and modalities the newest."""
    rows = Rows.of(searcher.snapshot, [s.candidates for s in searcher.select(filter_)])
    if not len(rows):
        raise QueryError(f"no chip of the area was taken in {period}; `embedstore search` tells when chips were taken.")
    rows = rows.take(np.argsort(rows.column("datetime"), kind="stable")[::-1])
    places = np.stack([rows.column("lon"), rows.column("lat"), rows.column("modalities")]).round(SAME_PLACE)
    return rows.take(np.unique(places, axis=1, return_index=True)[1])


def _pair(before: Rows, after: Rows, reach: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return positions of chips of one place and the same modalities; none is in two pairs."""
    from scipy.spatial import cKDTree  # noqa: PLC0415 - slow to import

    far, of = np.full(len(after), np.inf), np.zeros(len(after), np.int64)
    one_of, other_of = before.column("modalities"), after.column("modalities")
    for seen in np.intersect1d(one_of, other_of).tolist():
        here, there = np.flatnonzero(one_of == seen), np.flatnonzero(other_of == seen)
        tree = cKDTree(before.take(here).on_sphere())
        far[there], nearest = tree.query(after.take(there).on_sphere(), distance_upper_bound=reach)
        of[there] = here[np.minimum(nearest, len(here) - 1)]  # where none is near, the tree counts one too far
    met = np.flatnonzero(np.isfinite(far))
    # the nearest pair first, the newest of equally near ones before others
    order = met[np.lexsort((-after.column("datetime").astype(np.int64)[met], far[met].round(1)))]
    one, at = np.unique(of[order], return_index=True)
    return one, order[at]


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK):
        deadline.check()
        yield slice(start, start + BLOCK)


def _table(before: Rows, after: Rows, k: int) -> pa.Table:
    """Return the k pairs that are farthest apart."""
    distance = np.concatenate(
        [
            1 - np.einsum("ij,ij->i", before.take(some).vectors(), after.take(some).vectors())
            for some in _blocks(len(before))
        ]
    )
    best = np.argsort(-distance, kind="stable")[:k]
    before, after = before.take(best), after.take(best)
    shapes = after.footprints()
    west, south, east, north = shapely.total_bounds(shapes).tolist()
    geo = schema.geo_key((west, south, east, north), sorted({s.geom_type for s in shapes}))
    del geo["columns"]["geometry"]["covering"]
    return pa.table(
        {
            "id_a": before.ids(),
            "id_b": after.ids(),
            "lon": after.column("lon"),
            "lat": after.column("lat"),
            "distance": np.maximum(distance[best], 0),
            "datetime_a": pa.array(before.column("datetime"), schema.TIME),
            "datetime_b": pa.array(after.column("datetime"), schema.TIME),
            "geometry": pa.array(shapely.to_wkb(shapes).tolist(), pa.binary()),
        }
    ).replace_schema_metadata({"geo": json.dumps(geo)})
