"""Rows as people and programs take them: a text table, CSV, JSON, GeoJSON (RFC 7946), Parquet (GeoParquet 1.1)."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from embedstore import schema
from embedstore.errors import InputError, storage_errors
from query import output

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("table", "csv", "json", "geojson", "parquet")
_BY_SUFFIX = {".csv": "csv", ".json": "json", ".geojson": "geojson", ".parquet": "parquet", ".geoparquet": "parquet"}
_DECIMALS = 7
"""Decimals of a degree in GeoJSON: about a centimetre."""
_WIDEST = 60
"""Characters of a cell that a table shows."""
_SAFE = 2**53
"""JSON numbers are whole up to here."""


def choose_format(name: str | None, path: Path | None) -> str:
    """Return the format asked for by name; without one, by the suffix of the file; a table otherwise.

    Raises
    ------
    InputError
        If there is no such format, or Parquet has no file to go to.
    """
    return output.choose(FORMATS, _BY_SUFFIX, name, path)


def render(table: pa.Table, form: str) -> str:
    """Return rows as text in one of the text formats, ending in a newline.

    Raises
    ------
    InputError
        If GeoJSON is asked for and no column is a geometry.
    """
    if form == "table":
        return _text_table(table)
    if form == "csv":
        return _csv(table)
    made = document(table) if form == "json" else feature_collection(table)
    return json.dumps(made, ensure_ascii=False, allow_nan=False) + "\n"


def encode(table: pa.Table, form: str) -> bytes:
    """Return rows as a service sends them: ``json``, ``geojson``, or ``arrow``, an Arrow IPC stream.

    Raises
    ------
    InputError
        If GeoJSON is asked for and no column is a geometry.
    """
    if form == "arrow":
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        raw: bytes = sink.getvalue().to_pybytes()
        return raw
    return render(table, form).encode()


def save(table: pa.Table, form: str, path: Path) -> None:
    """Write rows to a file, which appears whole or not at all.

    Raises
    ------
    InputError
        If GeoJSON is asked for and no column is a geometry.
    StorageError
        If the file cannot be written.
    """
    if form == "parquet":
        output.replace_file(path, lambda draft: write_parquet(table, draft))
    else:
        text = render(table, form)
        output.replace_file(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def geometries(table: pa.Table) -> list[str]:
    """Return the names of the columns that are geometries."""
    return [field.name for field in table.schema if _is_geometry(field)]


def document(table: pa.Table) -> dict[str, Any]:
    """Return rows as one JSON object: columns with name and type, and a list a row; geometries are GeoJSON."""
    columns = [{"name": f.name, "type": "geometry" if _is_geometry(f) else str(f.type)} for f in table.schema]
    return {"columns": columns, "rows": _rows(table), "truncated": False}


def feature_collection(table: pa.Table) -> dict[str, Any]:
    """Return rows as a GeoJSON FeatureCollection of the first geometry, the other columns as properties.

    Raises
    ------
    InputError
        If no column is a geometry.
    """
    shapes = geometries(table)
    if not shapes:
        raise InputError(
            "no column is a geometry, so there is no GeoJSON of it; select `geometry` too, or ask for JSON."
        )
    at = table.column_names.index(shapes[0])
    names = [name for i, name in enumerate(table.column_names) if i != at]
    features = []
    for row in _rows(table):
        geometry = row.pop(at)
        properties = dict(zip(names, row, strict=True))
        feature = {"type": "Feature", "geometry": geometry, "properties": properties}
        features.append({**feature, "id": properties["id"]} if isinstance(properties.get("id"), str) else feature)
    return {"type": "FeatureCollection", "features": features}


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write rows as Parquet; as GeoParquet where a column is a geometry.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    plain = pa.table(dict(zip(_unique(table.column_names), table.columns, strict=True)))
    found = {name for name, field in zip(plain.column_names, table.schema, strict=True) if _is_geometry(field)}
    metadata = None
    if found:
        columns = {name: _geo_column(plain[name]) for name in plain.column_names if name in found}
        geo = {"version": schema.GEO_VERSION, "primary_column": next(iter(columns)), "columns": columns}
        metadata = {"geo": json.dumps(geo)}
    with storage_errors("write", path):
        pq.write_table(plain.replace_schema_metadata(metadata), path, compression="zstd")


def _geo_column(column: pa.ChunkedArray) -> dict[str, Any]:
    shapes = _shapes(column)
    types = sorted({shape.geom_type for shape in shapes if shape is not None})
    about: dict[str, Any] = {"encoding": "WKB", "geometry_types": types}
    bounds = shapely.total_bounds(shapes).tolist() if len(shapes) else []
    return {**about, "bbox": bounds} if bounds and all(map(math.isfinite, bounds)) else about


def _unique(names: list[str]) -> list[str]:
    """Return names of which no two are the same, as a file needs them: id, id_1."""
    out: list[str] = []
    for name in names:
        number, one = 0, name
        while one in out:
            number += 1
            one = f"{name}_{number}"
        out.append(one)
    return out


def _is_geometry(field: pa.Field) -> bool:
    named = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
    return "geoarrow.wkb" in {named, getattr(field.type, "extension_name", "")}


def _shapes(column: pa.ChunkedArray) -> Any:
    storage = column.cast(pa.binary()) if not isinstance(column.type, pa.BaseExtensionType) else _storage(column)
    return shapely.from_wkb(np.array([*storage.to_pylist(), None], dtype=object))[:-1]


def _storage(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)


def _rows(table: pa.Table) -> list[list[Any]]:
    """Return rows as lists of what JSON takes."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if _is_geometry(field):
            columns.append([_geojson(shape) for shape in _shapes(column)])
        else:
            columns.append(_values(field, column))
    return [list(row) for row in zip(*columns, strict=True)]


def _geojson(shape: Any) -> Any:
    if shape is None:
        return None
    shape = shapely.transform(shapely.orient_polygons(shape), lambda xy: np.round(xy, _DECIMALS))
    return json.loads(shapely.to_geojson(shape))


def _values(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    leaf = field.type
    while pa.types.is_list(leaf) or pa.types.is_fixed_size_list(leaf):
        leaf = leaf.value_type
    cells = field.name == "h3" or field.name.startswith("h3_")
    return [_json(value, cells, pa.types.is_float32(leaf)) for value in column.to_pylist()]


def _json(value: Any, cells: bool = False, single: bool = False) -> Any:
    """Return a value as JSON has it: bytes in base64, times in ISO 8601, no NaN.

    Parameters
    ----------
    value
        As Arrow gives it to Python.
    cells
        Whether integers are H3 cells, known by their hexadecimal text.
    single
        Whether floats are of single precision: seven digits say all there is.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        if cells:
            return f"{value:x}"
        return value if abs(value) <= _SAFE else str(value)  # JSON numbers lose the last digits
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.7g}") if single else value
    if isinstance(value, (bytes, memoryview)):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: _json(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(one, cells, single) for one in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)


def _plain(table: pa.Table) -> list[list[str]]:
    """Return rows as text: geometries as WKT, nothing as an empty cell."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if _is_geometry(field):
            columns.append([_wkt(shape) for shape in _shapes(column)])
        else:
            values = _values(field, column)
            columns.append(
                ["" if v is None else v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in values]
            )
    return [list(row) for row in zip(*columns, strict=True)]


def _wkt(shape: Any) -> str:
    return "" if shape is None else str(shapely.to_wkt(shape, rounding_precision=_DECIMALS))


def _csv(table: pa.Table) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(_plain(table))
    return out.getvalue()


def _text_table(table: pa.Table) -> str:
    if not table.column_names:
        return ""
    numbers = [pa.types.is_integer(f.type) or pa.types.is_floating(f.type) for f in table.schema]
    lines = [list(table.column_names), *_plain(table)]
    cut = [[c if len(c) <= _WIDEST else c[: _WIDEST - 1] + "…" for c in line] for line in lines]
    widths = [max(len(line[i]) for line in cut) for i in range(len(numbers))]
    return "".join(
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(line, widths, numbers, strict=True)
        ).rstrip()
        + "\n"
        for line in cut
    )
