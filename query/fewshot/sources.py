"""Label files and objects as people have them: shapes with a class, or ids with a class."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import shapely

from embedstore.errors import LabelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POINTS, POLYGONS = ("Point", "MultiPoint"), ("Polygon", "MultiPolygon")
PARQUET = (".parquet", ".geoparquet")
DEGREES = ("CRS84", "EPSG::4326", "EPSG:4326", "EPSG/0/4326")
KINDS = "a GeoJSON or GeoParquet file of points or polygons, or a Parquet, CSV or JSON file of ids"


@dataclass(frozen=True, eq=False)
class Shapes:
    """Labelled places.

    Parameters
    ----------
    geometries
        Shapely points and polygons in degrees, OGC:CRS84, shape (n,).
    classes
        One each.
    """

    geometries: NDArray[Any]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Ids:
    """Labelled chips.

    Parameters
    ----------
    classes
        The class of each id.
    """

    classes: dict[str, str]


def read(source: Any, column: str) -> Shapes | Ids:
    """Read labels.

    Parameters
    ----------
    source
        Path of a GeoJSON or GeoParquet file, or of a Parquet, CSV or JSON file of ids; a GeoJSON FeatureCollection;
        ``{id: class}``; or an Arrow table with a column ``id``.
    column
        The property or column that holds the class.

    Raises
    ------
    LabelError
        If it cannot be read, holds nothing, is not in degrees, lacks the column, or leaves one without a class.
    """
    if isinstance(source, pa.Table):
        return _from_table(source, column, "the table of labels")
    if isinstance(source, Mapping):
        return _from_json(source, column, "the labels")
    if not isinstance(source, (str, Path)):
        raise LabelError(f"labels cannot be read from {type(source).__name__}; give {KINDS}, or {{id: class}}.")
    path = Path(source)
    try:
        if path.suffix.lower() in PARQUET:
            return _from_table(pq.read_table(path), column, str(path))
        if path.suffix.lower() == ".csv":
            text = pyarrow.csv.ConvertOptions(column_types={"id": pa.string(), column: pa.string()})
            return _from_table(pyarrow.csv.read_csv(path, convert_options=text), column, str(path))
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise LabelError(f"the labels {path} cannot be read: {error}. Give {KINDS}.") from error
    return _from_json(held, column, str(path))


def _from_json(held: Any, column: str, name: str) -> Shapes | Ids:
    if not isinstance(held, Mapping):
        raise LabelError(f"{name} holds no GeoJSON FeatureCollection and no {{id: class}}; give one of them.")
    if "type" not in held:
        return _ids(list(held), list(held.values()), name)
    features = held.get("features")
    if held["type"] != "FeatureCollection" or not isinstance(features, list):
        raise LabelError(f"{name} is GeoJSON of type {held['type']!r}; labels are a FeatureCollection.")
    crs = held.get("crs")
    if isinstance(crs, Mapping):
        properties = crs.get("properties")
        _check_crs(str(properties.get("name") if isinstance(properties, Mapping) else None), name)
    if not all(isinstance(f, Mapping) for f in features):
        raise LabelError(f"{name} lists something that is no GeoJSON feature.")
    properties = [f.get("properties") or {} for f in features]
    if not all(isinstance(p, Mapping) for p in properties):
        raise LabelError(f"{name} lists a feature whose properties are no object.")
    known = sorted({key for p in properties for key in p})
    _check_column(column, known, name, empty=not features)
    shapes = [_shape(f.get("geometry"), i, name) for i, f in enumerate(features, 1)]
    return _shapes(shapes, [p.get(column) for p in properties], name)


def _shape(geometry: Any, number: int, name: str) -> Any:
    try:
        return None if geometry is None else shapely.from_geojson(json.dumps(geometry))
    except (shapely.errors.ShapelyError, TypeError, ValueError, RecursionError) as error:
        raise LabelError(f"feature {number} of {name} has no valid geometry: {error}.") from error


def _from_table(table: pa.Table, column: str, name: str) -> Shapes | Ids:
    _check_column(column, table.column_names, name)
    classes = table[column].to_pylist()
    geo = (table.schema.metadata or {}).get(b"geo")
    if geo is not None:
        return _from_geoparquet(table, geo, classes, name)
    if "id" not in table.column_names:
        raise LabelError(f"{name} has neither GeoParquet geometry nor a column id; give {KINDS}.")
    return _ids(table["id"].to_pylist(), classes, name)


def _from_geoparquet(table: pa.Table, geo: bytes, classes: list[Any], name: str) -> Shapes:
    try:
        described = json.loads(geo)
        primary = described["primary_column"]
        about = described["columns"][primary]
        crs = about.get("crs")  # absent: OGC:CRS84
        if isinstance(crs, Mapping):
            at = crs.get("id") or {}
            _check_crs(f"{at.get('authority')}:{at.get('code')}", name)
        return _shapes(shapely.from_wkb(np.array(table[primary].to_pylist(), object)).tolist(), classes, name)
    except (KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise LabelError(f"the GeoParquet geometry of {name} cannot be read: {error!r}. Write it as WKB.") from error


def _check_crs(crs: str, name: str) -> None:
    if not crs.endswith(DEGREES):
        raise LabelError(f"{name} has coordinates in {crs}; labels must be in degrees (OGC:CRS84). Reproject them.")


def _check_column(column: str, known: Sequence[str], name: str, *, empty: bool = False) -> None:
    if column not in known and not empty:
        named = ", ".join(known) or "none"
        raise LabelError(f"{name} has no column {column!r} to take classes from; its columns are: {named}.")


def _shapes(shapes: list[Any], classes: list[Any], name: str) -> Shapes:
    for number, shape in enumerate(shapes, 1):
        kind = "none" if shape is None or shape.is_empty else shape.geom_type
        if kind not in POINTS + POLYGONS:
            raise LabelError(f"feature {number} of {name} has geometry {kind}; labels are points and polygons.")
        west, south, east, north = shape.bounds
        if not (-90 <= south <= north <= 90 and -360 <= west <= east <= 360):
            raise LabelError(f"feature {number} of {name} lies outside the globe; coordinates are longitude, latitude.")
    return Shapes(np.array(shapes, object), _named(classes, name))


def _ids(ids: list[Any], classes: list[Any], name: str) -> Ids:
    given: dict[str, str] = {}
    for id_, class_ in zip(ids, _named(classes, name), strict=True):
        if not isinstance(id_, str):
            raise LabelError(f"{name} has {id_!r} for an id; ids are text of 32 hexadecimal digits.")
        if given.setdefault(id_, class_) != class_:
            raise LabelError(f"{name} labels chip {id_} {given[id_]!r} and {class_!r}; take one label away.")
    return Ids(given)


def _named(classes: list[Any], name: str) -> tuple[str, ...]:
    """Return classes as text; every label needs one."""
    if not classes:
        raise LabelError(f"{name} holds no label; give at least one of each of two classes.")
    named = [_text(c) for c in classes]
    if missing := [i for i, text in enumerate(named, 1) if not text]:
        raise LabelError(
            f"{len(missing)} of {len(named)} labels of {name} have no class (the first is number {missing[0]}); "
            "fill it in, or leave them out."
        )
    return tuple(named)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)) or isinstance(value, (list, dict)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a column of numbers with a gap comes as floats
    return str(value).strip()
