"""What a statement finds defined in SQL: the view of a snapshot's rows, and macros over it and over the functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME = "TIMESTAMP WITH TIME ZONE"
COLUMNS = {
    "id": "VARCHAR",
    "geometry": "GEOMETRY('OGC:CRS84')",
    "bbox": "STRUCT(xmin DOUBLE, ymin DOUBLE, xmax DOUBLE, ymax DOUBLE)",
    "h3": "BIGINT",
    "h3_cell": "VARCHAR",
    "datetime": _TIME,
    "datetime_end": _TIME,
    "inputs": 'STRUCT(modality VARCHAR, item VARCHAR, href VARCHAR, "row" INTEGER, col INTEGER, height INTEGER, '
    f"width INTEGER, datetime {_TIME})[]",
    "modalities": "INTEGER",
    "valid_fraction": "FLOAT",
    "thumbnail": "BLOB",
}
"""Columns of the data files, and their types in SQL."""

_NAMES_ALONE = """
list_transform(inputs, lambda i: struct_pack(modality := i.modality, item := i.item,
    href := regexp_replace(i.href, '^.*[/\\\\]', ''), "row" := i."row", col := i.col, height := i.height,
    width := i.width, datetime := i.datetime)) AS inputs
"""
"""The inputs without the folders that the scenes lay in, which are nobody else's business."""

_FILES = """
CREATE VIEW {at}_rows AS
SELECT {columns} FROM read_parquet([{files}], hive_partitioning = true, hive_types = {{'h3_cell': VARCHAR}})
"""
_NO_FILES = "CREATE VIEW {at}_rows AS SELECT {columns} WHERE false"

# The subqueries of the last two are in order because the rows that pass then reach `_stored` by full chunks: to call
# it costs as much as 200 rows do.
_REST = """
CREATE VIEW {at}embeddings AS SELECT *, _stored{of}(id, h3) AS embedding FROM {at}_rows;

CREATE MACRO {at}similarity(a, b) AS array_cosine_similarity(a::{vector}, b::{vector});

CREATE MACRO {at}nearest(vector, k) AS TABLE
SELECT unnest(_nearest{of}(vector::{vector}, k::BIGINT, ''), recursive := true);

CREATE MACRO {at}nearest_within(vector, k, filter) AS TABLE
SELECT unnest(_nearest{of}(vector::{vector}, k::BIGINT, filter::VARCHAR), recursive := true);

CREATE MACRO {at}may_intersect(h3_cell, bbox, area) AS (
    list_contains(_partitions{of}(ST_AsWKB(area::GEOMETRY)), h3_cell)
    AND bbox.xmin <= ST_XMax(area::GEOMETRY) AND bbox.xmax >= ST_XMin(area::GEOMETRY)
    AND bbox.ymin <= ST_YMax(area::GEOMETRY) AND bbox.ymax >= ST_YMin(area::GEOMETRY)
);

CREATE MACRO {at}embeddings_in(area) AS TABLE
SELECT *, _stored{of}(id, h3) AS embedding FROM (
    SELECT * FROM {at}_rows
    WHERE {at}may_intersect(h3_cell, bbox, area) AND ST_Intersects(geometry, area::GEOMETRY)
    ORDER BY h3
);

CREATE MACRO {at}embeddings_in_box(west, south, east, north) AS TABLE
SELECT *, _stored{of}(id, h3) AS embedding FROM (
    SELECT * FROM {at}_rows
    WHERE list_contains(_partitions{of}(_box(west, south, east, north)), h3_cell)
    AND bbox.ymin <= north AND bbox.ymax >= south
    AND CASE WHEN west <= east THEN bbox.xmin <= east AND bbox.xmax >= west
        ELSE bbox.xmin <= east OR bbox.xmax >= west END
    ORDER BY h3
)
"""
_ATTACHED = """
CREATE MACRO {at}chip_vector(id) AS chip_vector{of}(id);

CREATE MACRO {at}encode_chip(path) AS encode_chip{of}(path)
"""
_H3 = """
CREATE MACRO h3_cell_to_boundary(cell) AS ST_GeomFromWKB(_h3_boundary(cell))::GEOMETRY('OGC:CRS84');

CREATE MACRO h3_polygon_to_cells(area, resolution) AS _h3_cells(ST_AsWKB(area::GEOMETRY), resolution)
"""


def statements(files: list[str], dimension: int, *, trusted: bool, attached: str = "") -> Iterator[str]:
    """Yield the statements that define all of it.

    Parameters
    ----------
    files
        Paths of the snapshot's data files.
    dimension
        Of its vectors.
    trusted
        Whether the folders of the scenes may be told.
    attached
        The schema of a store that stands beside the session's own; its own if empty.
    """
    at, of = (f'"{attached}".', suffix(attached)) if attached else ("", "")
    yield f"CREATE SCHEMA {at[:-1]}" if attached else _H3
    if files:
        columns = {**dict.fromkeys(COLUMNS), **({} if trusted else {"inputs": _NAMES_ALONE})}
        told = ", ".join(made or name for name, made in columns.items())
        yield _FILES.format(at=at, columns=told, files=", ".join(map(text, files)))
    else:
        yield _NO_FILES.format(at=at, columns=", ".join(f"NULL::{kind} AS {name}" for name, kind in COLUMNS.items()))
    yield _REST.format(vector=f"FLOAT[{dimension}]", at=at, of=of)
    if attached:
        yield _ATTACHED.format(at=at, of=of)


def suffix(attached: str) -> str:
    """Return what ends the names of an attached store's functions, which have no schemas."""
    return f"__{attached}" if attached else ""


def text(value: object) -> str:
    """Return a value as an SQL string."""
    return "'" + str(value).replace("'", "''") + "'"
