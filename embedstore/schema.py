"""The table's columns, and the `geo` and `emb` keys in the footer of each file.

Sources: GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0), and the proposed embeddings extension of STAC
0.0.1 (https://geoembeddings.org), whose fields the ``emb`` key carries.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from embedstore.spec import EncoderSpec

PARTITION = "h3_cell"
GEO_VERSION = "1.1.0"
EMB_VERSION = "0.0.1"

TIME = pa.timestamp("us", tz="UTC")
BBOX = pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")])
INPUT = pa.struct(
    [
        ("modality", pa.string()),
        ("item", pa.string()),
        ("href", pa.string()),
        ("row", pa.int32()),
        ("col", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("datetime", TIME),
    ]
)

FILE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("geometry", pa.binary(), nullable=False),
        pa.field("bbox", BBOX, nullable=False),
        pa.field("h3", pa.int64(), nullable=False),
        pa.field("datetime", TIME),
        pa.field("datetime_end", TIME),
        pa.field("inputs", pa.list_(pa.field("element", INPUT)), nullable=False),
        pa.field("modalities", pa.int32(), nullable=False),
        pa.field("valid_fraction", pa.float32(), nullable=False),
        pa.field("thumbnail", pa.binary()),
        pa.field("embedding", pa.list_(pa.field("element", pa.float32())), nullable=False),
    ]
)
"""Columns of a data file. The partition column stands in the folder's name, as Hive has it."""

TABLE = FILE.append(pa.field(PARTITION, pa.string()))
"""Columns of the table, as a reader of the Delta log sees them."""

CHIPS = pa.schema([field for field in FILE if field.name not in {"bbox", "h3"}])
"""What an append takes. The table derives ``bbox`` and ``h3`` from the footprint, so that they cannot disagree."""


def geo_key(bounds: tuple[float, float, float, float], types: list[str]) -> dict[str, Any]:
    """Return the ``geo`` footer of a file.

    Parameters
    ----------
    bounds
        West, south, east, north of all footprints, in degrees.
    types
        Geometry types present, sorted.
    """
    return {
        "version": GEO_VERSION,
        "primary_column": "geometry",
        "columns": {
            "geometry": {
                "encoding": "WKB",
                "geometry_types": types,
                "bbox": list(bounds),
                "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
            }
        },
    }


def emb_key(encoder: EncoderSpec) -> dict[str, Any]:
    """Return the ``emb`` footer of a file: what its vectors are and which model made them."""
    return {
        "version": EMB_VERSION,
        "emb:type": "chip",
        "emb:dimensions": encoder.dimension,
        "data_type": "float32",
        "gsd": encoder.gsd,
        "emb:chip_layout": {"layout_type": "regular_grid", "chip_size": [encoder.chip_size] * 2},
        "emb:quantization": {"method": "mantissa rounded to 10 bits", "original_dtype": "float32"},
        "emb:preprocessing": {"version": encoder.preprocessing},
        "model": {"id": encoder.name, "fingerprint": encoder.fingerprint, "weights_sha256": encoder.weights_sha256},
    }


def footer(geo: dict[str, Any], emb: dict[str, Any]) -> dict[bytes, bytes]:
    """Return the key-value metadata of a file."""
    return {b"geo": json.dumps(geo).encode(), b"emb": json.dumps(emb).encode()}
