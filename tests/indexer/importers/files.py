"""Small files in the layouts of others."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
import shapely
from affine import Affine

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS, DIMENSION = 12, 8
EMB = {
    "model": {"id": "softcon", "version": "2.0.0", "source": "https://example.org/softcon"},
    "start_datetime": "2023-01-01T00:00:00Z",
    "end_datetime": "2024-01-01T00:00:00Z",
    "embedding": {"dim": DIMENSION, "quantization": "None"},
}


def vectors(rows: int = ROWS, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, DIMENSION)).astype(np.float32)


def footprints(rows: int = ROWS, side: float = 0.003) -> list[bytes]:
    boxes = [shapely.box(10 + 0.01 * i, 45, 10 + 0.01 * i + side, 45 + side) for i in range(rows)]
    return shapely.to_wkb(np.array(boxes, object)).tolist()


def write(path: Path, columns: dict[str, Any], footer: dict[str, Any] | None = None, group: int = 5) -> Path:
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    keys = {k: json.dumps(v) for k, v in {"geo": geo, **(footer or {})}.items()}
    pq.write_table(pa.table(columns).replace_schema_metadata(keys), path, row_group_size=group)
    return path


def lists(values: NDArray[np.float32]) -> pa.Array:
    return pa.array(values.tolist(), pa.list_(pa.float32()))


def earth_index(path: Path, rows: int = ROWS, emb: dict[str, Any] | None = None, **changes: Any) -> Path:
    columns = {
        "id": [f"tile-{i}" for i in range(rows)],
        "embedding": pa.FixedSizeListArray.from_arrays(pa.array(vectors(rows).ravel()), DIMENSION),
        "geometry": pa.array(footprints(rows), pa.binary()),
    }
    return write(path, {k: v for k, v in {**columns, **changes}.items() if v is not None}, {"emb": emb or EMB})


def clay_v0(path: Path, **changes: Any) -> Path:
    columns = {
        "index": np.arange(ROWS),
        "source_url": [f"s3://tiles/claytile_{i:04}.tif" for i in range(ROWS)],
        "date": [date(2022, 6, 10)] * ROWS,
        "embeddings": lists(vectors()),
        "geometry": footprints(side=0.05),
    }
    return write(path, {k: v for k, v in {**columns, **changes}.items() if v is not None})


def clay_v1(path: Path, **changes: Any) -> Path:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(vectors())
    return clay_v0(path, **{"index": None, "embeddings": tensors, "source_model": ["clay-v1.5"] * ROWS, **changes})


def planet(path: Path, **changes: Any) -> Path:
    """One place on twelve days, of which the second has no data; the CRS is declared wrongly, as in the wild."""
    values = vectors().tolist()
    values[1] = None
    columns = {
        "datetime": [datetime(2018, 8, 1 + i, tzinfo=UTC) for i in range(ROWS)],
        "geometry": footprints(1, side=0.0096) * ROWS,
        "chip_size": [224] * ROWS,
        "clear_percent": [100] * ROWS,
        "nodata_percent": [25] * ROWS,
        "embedding": pa.array(values, pa.list_(pa.float32())),
    }
    crs = {"type": "ProjectedCRS", "name": "WGS 84 / Pseudo-Mercator", "id": {"authority": "EPSG", "code": 3857}}
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB", "crs": crs}}}
    return write(path, {k: v for k, v in {**columns, **changes}.items() if v is not None}, {"geo": geo})


def major_tom(path: Path, **changes: Any) -> Path:
    columns = {
        "unique_id": [f"{i:032x}" + "0" * 32 for i in range(ROWS)],
        "embedding": pa.array([[v] for v in vectors().tolist()], pa.list_(pa.list_(pa.float32()))),
        "timestamp": ["20200106T100319"] * ROWS,
        "product_id": ["S2B_MSIL2A_20200106T100319"] * ROWS,
        "grid_cell": ["500U_100R"] * ROWS,
        "geometry": footprints(side=0.02),
        "pixel_bbox": [[200 * i, 0, 200 * i + 224, 224] for i in range(ROWS)],
    }
    return write(path, {k: v for k, v in {**columns, **changes}.items() if v is not None})


def unit_vectors(height: int, width: int, dimension: int = 64, seed: int = 1) -> NDArray[np.float64]:
    """Vectors of length one for each pixel, shape (dimension, height, width)."""
    drawn = np.random.default_rng(seed).normal(size=(dimension, height, width))
    return drawn / np.linalg.norm(drawn, axis=0)


def alphaearth(path: Path, values: NDArray[np.float64] | None = None, south_up: bool = True, **profile: Any) -> Path:
    """A raster of 64 bands over Umbria, quantised as AlphaEarth's are."""
    values = unit_vectors(20, 24) if values is None else values
    stored = np.round(np.sign(values) * np.sqrt(np.abs(values)) * 127.5).clip(-127, 127)
    stored[:, 0, 0] = -128
    height, width = values.shape[1:]
    turned = Affine(10, 0, 300_000, 0, 10, 4_800_000) if south_up else Affine(10, 0, 300_000, 0, -10, 4_800_200)
    made = {"dtype": "int8", "nodata": -128, "crs": "EPSG:32633", "transform": turned, **profile}
    with rasterio.open(path, "w", driver="GTiff", count=64, height=height, width=width, **made) as out:
        out.write(stored.astype(made["dtype"]))
        out.descriptions = [f"A{i:02}" for i in range(64)]
    return path


def tessera(folder: Path, stored: NDArray[np.int8], scales: NDArray[np.float32], mask: bool = True) -> Path:
    """A tile of pixels in the year's folder, with its scales and its land mask in their places."""
    tile = folder / "global_0.1_degree_representation" / "2024" / "grid_12.45_43.25"
    tile.mkdir(parents=True)
    path = tile / "grid_12.45_43.25.npy"
    np.save(path, stored)
    np.save(tile / "grid_12.45_43.25_scales.npy", scales)
    if mask:
        masks = folder / "global_0.1_degree_tiff_all"
        masks.mkdir()
        place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 300_000, 0, -10, 4_800_000), "dtype": "uint8"}
        height, width = stored.shape[:2]
        with rasterio.open(
            masks / "grid_12.45_43.25.tiff", "w", driver="GTiff", count=1, height=height, width=width, **place
        ) as out:
            out.write(np.ones((1, height, width), np.uint8))
    return path
