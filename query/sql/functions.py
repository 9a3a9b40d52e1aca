"""What the engine answers inside a statement: stored vectors, neighbours, chips as vectors, partitions near a place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from embedstore import area, grid
from embedstore.errors import FilterError, LimitError
from query import conditions
from query.sql import stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from query.engine import Engine
    from query.hits import Hits
    from query.sql.partitions import Partitions

HIT = pa.struct(
    [
        ("id", pa.string()),
        ("score", pa.float32()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("h3_cell", pa.string()),
    ]
)
"""What ``nearest`` returns of each hit."""
_FILTERS = frozenset({"bbox", "within", "cells", "between", "where"})


class Functions:
    """Functions of one engine, as DuckDB calls them: Arrow arrays in, an Arrow array out.

    Parameters
    ----------
    engine
        That stays at one version.
    partitions
        Of that version.
    most
        Neighbours that one call may ask for; any number if None.
    """

    def __init__(self, engine: Engine, partitions: Partitions, most: int | None) -> None:
        self._engine = engine
        self._partitions = partitions
        self._most = most
        self._dimension = engine.store.encoder.dimension
        self._parent = engine.store.grid.partition_resolution

    def table(self, *, trusted: bool) -> dict[str, tuple[Any, list[str], str]]:
        """Return name to function, types of its arguments, type of its result."""
        vector = f"FLOAT[{self._dimension}]"
        hits = "STRUCT(id VARCHAR, score FLOAT, lon DOUBLE, lat DOUBLE, h3_cell VARCHAR)[]"
        offered: dict[str, tuple[Any, list[str], str]] = {
            "_stored": (self.stored, ["VARCHAR", "BIGINT"], vector),
            "_nearest": (self.nearest, [vector, "BIGINT", "VARCHAR"], hits),
            "_box": (box, ["DOUBLE"] * 4, "BLOB"),
            "_partitions": (self.partitions, ["BLOB"], "VARCHAR[]"),
            "chip_vector": (self.chip_vector, ["VARCHAR"], vector),
        }
        if trusted:
            offered["encode_chip"] = (self.encode_chip, ["VARCHAR"], vector)
        return offered

    def stored(self, ids: pa.ChunkedArray, cells: pa.ChunkedArray) -> pa.Array:
        """Return the vectors of rows of the table."""
        raw = np.frombuffer(bytes.fromhex("".join(ids.to_pylist())), "V16")
        places = cells.to_numpy(zero_copy_only=False)
        found = self._engine.ask(lambda searcher: stored.vectors(searcher.snapshot, raw, places))
        return self._vectors(found)

    def chip_vector(self, ids: pa.ChunkedArray) -> pa.Array:
        """Return the unit vectors of stored chips."""
        return self._vectors(self._engine.vectors(ids.to_pylist()))

    def encode_chip(self, paths: pa.ChunkedArray) -> pa.Array:
        """Return the unit vectors of raster files."""
        return self._vectors(np.concatenate([self._engine.encode_chip(path) for path in paths.to_pylist()]))

    def nearest(self, vectors: pa.ChunkedArray, k: pa.ChunkedArray, filters: pa.ChunkedArray) -> pa.Array:
        """Return the chips most like each vector, best first."""
        flat = vectors.combine_chunks().flatten()
        queries = flat.to_numpy(zero_copy_only=False).reshape(-1, self._dimension)
        lists = []
        for query, count, text in zip(queries, k.to_pylist(), filters.to_pylist(), strict=True):
            if self._most is not None and count > self._most:
                raise LimitError(f"nearest: k = {count:,} is more than the {self._most:,} rows that are allowed.")
            given = _filter(text)
            if self._most is not None and "where" in given:  # as from whoever sends one with a search
                conditions.check(given["where"])
            lists.append(self._struct(self._engine.search(query, k=count, **given)))
        offsets = np.cumsum([0, *(len(one) for one in lists)], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.concat_arrays([*lists, pa.array([], HIT)]))

    def partitions(self, areas: pa.ChunkedArray) -> pa.Array:
        """Return the partitions that hold footprints near each area."""
        shapes = shapely.from_wkb(np.array(areas.to_pylist(), object))
        return pa.array([self._partitions.near(shape) for shape in shapes], pa.list_(pa.string()))

    def _struct(self, hits: Hits) -> pa.Array:
        cells = grid.parents(hits.column("h3"), self._parent)
        columns = [hits.ids, hits.scores, hits.lon, hits.lat, [grid.to_text(cell) for cell in cells.tolist()]]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, HIT, strict=True)]
        return pa.StructArray.from_arrays(arrays, fields=list(HIT))

    def _vectors(self, vectors: NDArray[np.float32]) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self._dimension)


def box(west: pa.ChunkedArray, south: pa.ChunkedArray, east: pa.ChunkedArray, north: pa.ChunkedArray) -> pa.Array:
    """Return boxes in degrees as WKB; west > east crosses the antimeridian."""
    sides = zip(*(side.to_pylist() for side in (west, south, east, north)), strict=True)
    return pa.array([shapely.to_wkb(area.box(*one)) for one in sides], pa.binary())


def _filter(text: str) -> dict[str, Any]:
    """Read the filter of ``nearest_within``: never the name of a file.

    Raises
    ------
    FilterError
        If it is no area and no object of filters.
    """
    text = text.strip()
    if not text:
        return {}
    if not text.startswith("{"):
        return {"within": _area(text)}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterError(f"nearest_within: the filter is no valid JSON: {error}.") from error
    if "type" in given:
        return {"within": given}
    if set(given) - _FILTERS:
        raise FilterError(
            f"nearest_within: there is no filter {', '.join(sorted(set(given) - _FILTERS))}; "
            f"the filters are {', '.join(sorted(_FILTERS))}."
        )
    if isinstance(given.get("within"), str):
        given["within"] = _area(given["within"])
    elif not isinstance(given.get("within", {}), dict):
        raise FilterError("nearest_within: within is a GeoJSON geometry or WKT.")
    if not isinstance(given.get("where", ""), str):
        raise FilterError("nearest_within: where is a condition as text.")
    return dict(given)


def _area(text: str) -> str:
    """Return WKT; what has no parenthesis would be taken for the name of a file further down."""
    if "(" not in text:
        raise FilterError(
            f"nearest_within: the filter {text[:60]!r} is no area; give a geometry, WKT, GeoJSON, or a JSON object "
            'of filters like {"between": "2020-01-01/.."}.'
        )
    return text
