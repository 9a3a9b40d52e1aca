"""Chips as the service shows them: GeoJSON features, rows of JSON, Arrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import shapely

from query import output

if TYPE_CHECKING:
    from collections.abc import Iterable

DECIMALS = 7
"""Of a degree in GeoJSON: about a centimetre."""


class Links:
    """The addresses of one collection's chips.

    Parameters
    ----------
    root
        Path under which the service is mounted, "" for none.
    collection
        Its id.
    """

    def __init__(self, root: str, collection: str) -> None:
        self.collection = f"{root}/collections/{quote(collection, safe='')}"

    def item(self, id_: str) -> str:
        """Return the path of a chip."""
        return f"{self.collection}/items/{id_}"

    def thumbnail(self, id_: str) -> str:
        """Return the path of a chip's picture."""
        return f"{self.collection}/items/{id_}/thumbnail"


def plain_rows(table: pa.Table, links: Links) -> list[dict[str, Any]]:
    """Return rows as plain data, each with the scene it is of and its thumbnail's path; the best, if any, first."""
    found = output.rows(table)
    for row in found:
        for one in row.get("inputs", ()):
            if one["href"] and "://" not in one["href"]:
                one["href"] = one["href"].rpartition("/")[2]  # folders of this machine are nobody's business
        row["item"] = _item(row.get("inputs", ()))
        row["thumbnail"] = links.thumbnail(row["id"])
    return found


def _item(inputs: Iterable[dict[str, Any]]) -> str | None:
    """Return the scene that a chip is of, or the first of several."""
    return next((str(one["item"]) for one in inputs if one.get("item")), None)


def features(table: pa.Table, links: Links) -> list[dict[str, Any]]:
    """Return rows that have a footprint as GeoJSON features; what is not of the chip itself stays behind."""
    shapes = shapely.orient_polygons(shapely.from_wkb(np.array(table["geometry"].to_pylist(), dtype=object)))
    shapes = shapely.transform(shapes, lambda xy: np.round(xy, DECIMALS))
    made = []
    for shape, bounds, row in zip(shapes, shapely.bounds(shapes).tolist(), plain_rows(table, links), strict=True):
        row.pop("inputs", None)
        if "score" not in row:
            row.pop("rank")
        made.append(
            {
                "type": "Feature",
                "id": row["id"],
                "bbox": bounds,
                "geometry": json.loads(shapely.to_geojson(shape)),
                "properties": row,
                "links": [{"rel": "self", "type": "application/geo+json", "href": links.item(row["id"])}],
            }
        )
    return made


def arrow_stream(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream; a column `geometry` of WKB says so in GeoArrow's words."""
    if "geometry" in table.column_names:
        at = table.column_names.index("geometry")
        if not (table.schema.field(at).metadata or {}).get(b"ARROW:extension:name"):
            told = {"ARROW:extension:name": "geoarrow.wkb", "ARROW:extension:metadata": '{"crs":"OGC:CRS84"}'}
            table = table.set_column(at, pa.field("geometry", pa.binary(), metadata=told), table["geometry"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
