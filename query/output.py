"""Hits as people and programs take them: a text table, JSON, GeoJSON (RFC 7946), GeoParquet 1.1."""

from __future__ import annotations

import json
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from embedstore import schema
from embedstore.errors import InputError, storage_errors
from query import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from query.hits import Hits

FORMATS = ("table", "json", "geojson", "geoparquet")
_BY_SUFFIX = {".json": "json", ".geojson": "geojson", ".parquet": "geoparquet", ".geoparquet": "geoparquet"}
_DECIMALS = 7
"""Decimals of a degree in GeoJSON: about a centimetre."""


def choose_format(name: str | None, path: Path | None) -> str:
    """Return the format asked for by name; without one, by the suffix of the file; a table otherwise.

    Raises
    ------
    InputError
        If there is no such format, or GeoParquet has no file to go to.
    """
    return choose(FORMATS, _BY_SUFFIX, name, path)


def choose(formats: Sequence[str], by_suffix: Mapping[str, str], name: str | None, path: Path | None) -> str:
    """Choose among some formats as :func:`choose_format` does; one whose name ends in parquet needs a file."""
    chosen = name or by_suffix.get(path.suffix.lower() if path else "", "table")
    if chosen not in formats:
        raise InputError(f"there is no format {chosen!r}; choose one of {', '.join(formats)}.")
    if chosen.endswith("parquet") and path is None:
        raise InputError("Parquet is binary and needs a file to go to; add -o F.parquet.")
    return chosen


def render(hits: Hits, form: str, explanations: pa.Table | None = None) -> str:
    """Return hits as text in one of the text formats, ending in a newline.

    Parameters
    ----------
    hits
        What was found.
    form
        ``table``, ``json`` or ``geojson``.
    explanations
        Of the same hits, :data:`query.explain.EXPLAINED`, to be told beside them.
    """
    if form == "table":
        return text_table(_columns(hits, explanations))
    make = document if form == "json" else feature_collection
    indent = 2 if explanations is None else None  # a grid takes a line for each of its numbers
    return json.dumps(make(hits, explanations), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def save(hits: Hits, form: str, path: Path, explanations: pa.Table | None = None) -> None:
    """Write hits, and their explanations as :func:`render` does, to a file, which appears whole or not at all.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    if form == "geoparquet":
        replace_file(path, lambda draft: _write_geoparquet(_columns(hits, explanations), draft))
    else:
        text = render(hits, form, explanations)
        replace_file(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a draft beside `path`, then put it in place in one step.

    Raises
    ------
    StorageError
        If the folder is not there or the disk refuses.
    """
    with storage_errors("write", path):
        if path.exists() and not path.is_file() and not path.is_dir():  # a pipe or /dev/stdout cannot be replaced
            write(path)
            return
        with _draft(path) as draft:
            write(draft)
            draft.replace(path)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _columns(hits: Hits, explanations: pa.Table | None) -> pa.Table:
    table = hits.to_arrow(geometry=True)
    return table if explanations is None else explained.beside(table, explanations)


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return hits as plain data that JSON takes, best first; without geometry and thumbnail."""
    plain = table.drop_columns([n for n in ("geometry", "bbox", "thumbnail") if n in table.column_names])
    return [{"rank": i, **{k: _json_value(k, v) for k, v in row.items()}} for i, row in enumerate(plain.to_pylist(), 1)]


def _json_value(name: str, value: Any) -> Any:
    if name == "explain":
        return explained.plain(value)
    if isinstance(value, float):
        # Scores and fractions are float32: seven digits say all there is.
        return round(value, 7) if name in {"score", "valid_fraction"} else value
    if isinstance(value, list):
        return [{k: _json_value(k, v) for k, v in item.items()} for item in value]
    if name == "h3" and value is not None:
        return f"{value:x}"  # JSON numbers lose a 64-bit cell
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def document(hits: Hits, explanations: pa.Table | None = None) -> dict[str, Any]:
    """Return hits and report as one JSON object."""
    return {"hits": rows(_columns(hits, explanations)), "report": hits.report.to_dict()}


def feature_collection(hits: Hits, explanations: pa.Table | None = None) -> dict[str, Any]:
    """Return hits as a GeoJSON FeatureCollection: footprints, their columns, and the report as a foreign member.

    The geometry of a hit that is explained is what of it matches, null if nothing does.
    """
    table = hits.to_arrow(geometry=True)
    shapes, properties = _footprints(table), rows(table)
    if explanations is not None:
        told = explanations.to_pylist()
        shapes = explained.areas(shapes, told)
        properties = [{**row, "explain": explained.summary(one)} for row, one in zip(properties, told, strict=True)]
    features = [
        {"type": "Feature", "id": row["id"], "geometry": shape, "properties": row}
        for shape, row in zip(geometries(shapes), properties, strict=True)
    ]
    return {"type": "FeatureCollection", "features": features, "report": hits.report.to_dict()}


def geometries(shapes: NDArray[Any]) -> list[Any]:
    """Return shapes in degrees as GeoJSON geometries, None for those that are empty."""
    tidy = shapely.transform(shapely.orient_polygons(shapes), lambda xy: np.round(xy, _DECIMALS))
    return [None if shape.is_empty else json.loads(shapely.to_geojson(shape)) for shape in tidy]


def _footprints(table: pa.Table) -> Any:
    return shapely.from_wkb(np.array(table["geometry"].to_pylist(), dtype=object))


def _write_geoparquet(table: pa.Table, path: Path) -> None:
    """Write hits as GeoParquet; `thumbnail` and `inputs` come along."""
    shapes = _footprints(table)
    west, south, east, north = shapely.total_bounds(shapes).tolist() if len(shapes) else (-180.0, -90.0, 180.0, 90.0)
    geo = schema.geo_key((west, south, east, north), sorted({s.geom_type for s in shapes}))
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path, compression="zstd")


_HEAD = ("rank", "score", "id", "lon", "lat", "date", "item")


def text_table(table: pa.Table) -> str:
    """Return hits as aligned text: rank, score, id, lon, lat, date, item; in per cent what matches, if explained."""
    lines = [_HEAD + ("match",) * ("explain" in table.column_names)]
    for rank, row in enumerate(table.to_pylist(), 1):
        date = row["datetime"].date().isoformat() if row["datetime"] else "-"
        items = dict.fromkeys(_item(part) for part in row["inputs"])
        lines.append(
            (
                str(rank),
                f"{row['score']:.4f}",
                row["id"],
                f"{row['lon']:.5f}",
                f"{row['lat']:.5f}",
                date,
                ", ".join(items) or "-",
                *((explained.percent(row["explain"]),) if "explain" in row else ()),
            )
        )
    head = lines[0]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    left = {"id", "date", "item"}
    return "".join(
        "  ".join(
            cell.ljust(w) if name in left else cell.rjust(w) for name, cell, w in zip(head, line, widths, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _item(part: dict[str, Any]) -> str:
    """Return what to call an input: its item, or the name of the file where the item is a digest of it."""
    item, href = part["item"] or "-", part["href"]
    return str(href).rpartition("/")[2] if item.startswith("sha256:") and href else str(item)
