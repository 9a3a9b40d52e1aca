"""A session: statements about one version of a store, from its owner or from a stranger."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from embedstore.errors import SqlError
from query.sql.database import Database
from query.sql.render import encode
from query.sql.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from query.engine import Engine
    from query.sql.limits import Limits


_TAKEN = frozenset({"main", "temp", "system", "memory", "pg_catalog", "information_schema"})


class Session:
    """Answers SQL about the version of a store that an engine shows now, whatever is committed later.

    Parameters
    ----------
    engine
        Of the store.
    limits
        What each statement may use. With limits, only a single SELECT is answered, in a process of its own that can
        reach no file but the snapshot's. None trusts the statements: they run here and may do what DuckDB can.
    attached
        Other stores by name, each as it is now, for trusted statements: theirs are ``NAME.embeddings``,
        ``NAME.nearest(…)``, ``NAME.chip_vector(…)`` and so on. Vectors of two stores compare only if one encoder made
        both, which nobody checks.

    Raises
    ------
    SqlError
        If a name cannot be that of a schema, or strangers would get other stores.

    Notes
    -----
    Safe to share between threads. Besides DuckDB's own and the spatial extension's functions there are

    - the view ``embeddings``: id, geometry, bbox, h3, h3_cell, datetime, datetime_end, inputs, modalities,
      valid_fraction, thumbnail, embedding (``FLOAT[d]``, as stored);
    - ``nearest(vector, k)`` and ``nearest_within(vector, k, filter)`` in FROM: id, score, lon, lat, h3_cell, best
      first. The filter is a geometry, WKT, GeoJSON, or a JSON object of bbox, within, cells, between and where, as
      :meth:`query.engine.Engine.search` takes them. Join by ``USING (id, h3_cell)`` to read only those partitions;
    - ``chip_vector(id)``, ``similarity(a, b)``, and for trusted statements ``encode_chip(path)``;
    - ``embeddings_in(area)`` in FROM: rows whose footprint meets an area, reading only what may hold some; and its
      condition ``may_intersect(h3_cell, bbox, area)``, to go with any other spatial predicate;
    - ``h3_latlng_to_cell``, ``h3_cell_to_parent``, ``h3_cell_to_boundary``, ``h3_grid_disk``,
      ``h3_polygon_to_cells``, ``h3_h3_to_string``, ``h3_string_to_h3``.

    Examples
    --------
    >>> with Session(Engine("demo/store")) as session:
    ...     session.query("SELECT count(*) FROM embeddings").to_pandas()
    """

    def __init__(
        self, engine: Engine, limits: Limits | None = None, attached: Mapping[str, str | Path] | None = None
    ) -> None:
        self.version = engine.snapshot.version
        _check_names(attached or {}, limits)
        path = engine.store.path
        self._answers: Database | Workers
        if limits is None:
            # an engine of its own: the one given may move on to another version
            others = {name: type(engine)(other) for name, other in (attached or {}).items()}
            self._answers = Database(type(engine)(path, self.version), attached=others)
        else:
            self._answers = Workers(path, self.version, limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def query(self, statement: str) -> pa.Table:
        """Return what a statement answers.

        Parameters
        ----------
        statement
            SQL, in DuckDB's dialect.

        Returns
        -------
        Geometries are WKB in a column of the extension type ``geoarrow.wkb``, as GeoPandas takes them.

        Raises
        ------
        SqlError
            If it does not parse, is refused, or fails.
        LimitError
            If it needs more time, memory, rows or disk than is allowed.
        InputError
            If a function was given what makes no sense.
        """
        if isinstance(self._answers, Workers):
            return pa.ipc.open_stream(self._answers.answer(statement, "arrow")).read_all()
        return self._answers.run(statement)

    def answer(self, statement: str, form: str) -> bytes | memoryview:
        """Return what a statement answers as text or Arrow IPC, within the same limits.

        Parameters
        ----------
        statement
            SQL, in DuckDB's dialect.
        form
            ``json``, ``geojson`` or ``arrow``; see :func:`query.sql.render.encode`.

        Raises
        ------
        SqlError, LimitError, InputError
            As :meth:`query`; InputError too if GeoJSON is asked for and no column is a geometry.
        """
        if isinstance(self._answers, Workers):
            return self._answers.answer(statement, form)
        return encode(self._answers.run(statement), form)

    def close(self) -> None:
        """End it; statements that are running may fail."""
        self._answers.close()


def _check_names(attached: Mapping[str, str | Path], limits: Limits | None) -> None:
    if attached and limits is not None:
        raise SqlError("strangers' statements see one store; attach others for trusted statements only.")
    for name in attached:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _TAKEN:
            raise SqlError(
                f"a store cannot be attached as {name!r}; give it a name of small letters, digits and _, and not "
                f"{', '.join(sorted(_TAKEN))}."
            )
