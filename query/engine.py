"""The engine: questions to one version of a store, and their answers."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from embedstore.errors import QueryError
from embedstore.vectors import to_unit
from query import classify, example
from query.answer import answer, answer_many
from query.explain import Scenes, explain
from query.filters import Filter
from query.heat_map import heat_map
from query.hits import Hits
from query.labels import Labels
from query.plan import Goal
from query.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from query.classify import Classified
    from query.searcher import Searcher
    from query.sql import Limits, Session


class Engine(Reader):
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
        super().__init__(store, version)
        self._scenes = Scenes()
        self._opening = threading.Lock()
        self._sessions: dict[Limits | None, Session] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._opening:
            for session in self._sessions.values():
                session.close()
            self._sessions.clear()

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
        _check_k(k)
        if spread is not None and not (math.isfinite(spread) and spread >= 0):
            raise QueryError(f"spread = {spread!r} makes no sense; give metres, 0 or more.")
        goal = Goal.parse(recall)
        filter_ = Filter.parse(bbox, within, cells, between, where)

        def of(searcher: Searcher) -> Hits:
            query, own = example.question(searcher.snapshot, self.encode_chip, vector, chip, id, at, like, unlike)
            return answer(searcher, query, searcher.select(filter_), int(k), goal, spread or 0.0, own)

        return self.ask(of)

    def search_many(
        self,
        vectors: ArrayLike,
        *,
        k: int = 10,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
        recall: float | str = 0.95,
    ) -> list[Hits]:
        """Return the stored chips most like each of many vectors, all under one filter; all cores share the work.

        Parameters
        ----------
        vectors
            Of the encoder's dimension, shape (n, d).
        k, bbox, within, cells, between, where, recall
            See :meth:`search`.

        Raises
        ------
        InputError
            If a part of the question makes no sense.
        """
        _check_k(k)
        goal = Goal.parse(recall)
        filter_ = Filter.parse(bbox, within, cells, between, where)
        queries = to_unit(vectors, self.store.encoder.dimension)
        return self.ask(lambda searcher: answer_many(searcher, queries, searcher.select(filter_), int(k), goal))

    def classify_all(
        self,
        labels: Any,
        path: str | Path,
        *,
        k: int = 5,
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> Classified:
        """Give every chip the class of its nearest labelled ones, and write all as GeoParquet.

        Columns: id, class, confidence (share of the k votes, each weighing one over its distance), distance (cosine,
        to the nearest label), h3, datetime, geometry (centre of the chip).

        Parameters
        ----------
        labels
            ``{id: class}``, an Arrow table with columns ``id`` and ``class``, or (vectors, classes).
        path
            The file; it appears whole or not at all.
        k
            Labels that vote on each chip.
        bbox, within, cells, between, where
            Which chips; see :meth:`search`.

        Raises
        ------
        InputError
            If a part of the question makes no sense.
        StorageError
            If the file cannot be written.
        """
        filter_ = Filter.parse(bbox, within, cells, between, where)

        def of(searcher: Searcher) -> Classified:
            known = Labels.parse(labels, searcher.snapshot)
            return classify.write(searcher, searcher.select(filter_), known, k, Path(path))

        return self.ask(of)

    def heat_map(
        self,
        vector: ArrayLike | None = None,
        *,
        resolution: int,
        chip: str | Path | None = None,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
        bbox: Sequence[float] | None = None,
        within: Any = None,
        cells: Iterable[str | int] | None = None,
        between: Any = None,
        where: str | None = None,
    ) -> pa.Table:
        """Return how like the examples each H3 cell is: columns h3, chips, mean and best (cosine similarity).

        Parameters
        ----------
        resolution
            Of the cells, 0 to 15.
        vector, chip, id, at, like, unlike, bbox, within, cells, between, where
            See :meth:`search`.

        Raises
        ------
        InputError
            If a part of the question makes no sense.
        """
        filter_ = Filter.parse(bbox, within, cells, between, where)

        def of(searcher: Searcher) -> pa.Table:
            query, _ = example.question(searcher.snapshot, self.encode_chip, vector, chip, id, at, like, unlike)
            return heat_map(searcher, searcher.select(filter_), query, resolution)

        return self.ask(of)

    def sql(self, statement: str, limits: Limits | None = None) -> pa.Table:
        """Return what an SQL statement over this version's rows answers.

        Parameters
        ----------
        statement
            In DuckDB's dialect; what it may name stands with :class:`query.sql.Session`.
        limits
            For statements from strangers: what one may use, and then only a single SELECT is answered, in a process of
            its own. None trusts it.

        Returns
        -------
        Arrow; geometries are WKB of the extension type ``geoarrow.wkb``, as GeoPandas takes them.

        Raises
        ------
        SqlError
            If it does not parse, is refused, or fails.
        LimitError
            If it needs more than is allowed.
        """
        return self._session(limits).query(statement)

    def _session(self, limits: Limits | None) -> Session:
        """Return the session of this version, opened when it is first asked."""
        from query.sql import Session  # noqa: PLC0415 - only statements need it

        with self._opening:
            session = self._sessions.get(limits)
            if session is None or session.version != self.snapshot.version:
                session = self._sessions[limits] = Session(self, limits)
            return session

    def explain(
        self,
        hits: Hits | Sequence[str],
        vector: ArrayLike | None = None,
        *,
        chip: str | Path | None = None,
        id: str | None = None,  # noqa: A002 - the column's name
        at: tuple[float, float] | None = None,
        like: Sequence[str] = (),
        unlike: Sequence[str] = (),
    ) -> pa.Table:
        """Return how like the examples each pixel of some chips is.

        The scenes of the chips are read again. Where that is not possible, or the store's encoder gives no vectors of
        pixels, the column ``reason`` says why.

        Parameters
        ----------
        hits
            What :meth:`search` answered, or ids.
        vector, chip, id, at, like, unlike
            The examples; see :meth:`search`.

        Returns
        -------
        One row a chip, in order: :data:`query.explain.EXPLAINED`.

        Raises
        ------
        InputError
            If a chip is not stored, or the examples make no sense.
        DamageError
            If the table is damaged.
        """
        ids = [hits] if isinstance(hits, str) else hits.ids if isinstance(hits, Hits) else list(hits)

        def of(searcher: Searcher) -> pa.Table:
            query, _ = example.question(searcher.snapshot, self.encode_chip, vector, chip, id, at, like, unlike)
            return explain(searcher.snapshot, self.encoder, self._scenes, ids, query)

        return self.ask(of)

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the stored unit vectors of some chips, shape (n, d).

        Raises
        ------
        UnknownIdError
            If one is not stored.
        """
        return self.ask(lambda searcher: example.stored(searcher.snapshot, list(ids)))


def _check_k(k: Any) -> None:
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise QueryError(f"k = {k!r} makes no sense; ask for at least one hit.")
