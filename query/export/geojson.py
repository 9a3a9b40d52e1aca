"""Chips as GeoJSON (RFC 7946): footprints and plain columns, without vectors and pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from query.export import chips as source
from query.export.parquet import footprints
from query.output import geometries, rows

if TYPE_CHECKING:
    from pathlib import Path

    from query.rows import Rows


def write(chips: Rows, path: Path) -> None:
    """Write a FeatureCollection, one feature a line."""
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type":"FeatureCollection","features":[')
        separator = "\n"
        for block in source.blocks(chips, source.PLAIN):
            for shape, row in zip(geometries(footprints(block)), rows(block), strict=True):
                del row["rank"]
                feature = {"type": "Feature", "id": row["id"], "geometry": shape, "properties": row}
                file.write(separator + json.dumps(feature, ensure_ascii=False, allow_nan=False, separators=(",", ":")))
                separator = ",\n"
        file.write("\n]}\n")
