"""Tiny data in the layouts of the published sets."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from affine import Affine
from PIL import Image

from indexer.pretrain.modalities import OPTICAL

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

S2 = (*OPTICAL[:10], "B10", *OPTICAL[10:])


def tif(path: Path, pixels: NDArray[Any], names: tuple[str, ...] = (), nodata: float | None = None) -> None:
    """Write a GeoTIFF in degrees."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    where = {"crs": "EPSG:4326", "transform": Affine(1e-4, 0, -76.6, 0, -1e-4, 34.7)}
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype, nodata=nodata, **where
    ) as out:
        out.write(pixels)
        if names:
            out.descriptions = names


def jpeg(pixels: NDArray[Any]) -> bytes:
    """Return a picture of shape (h, w, 3) as JPEG."""
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def aid(data: Path, each: int = 12, size: int = 32) -> None:
    """Three classes of stripes of other widths."""
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(3), each)
    stripes = [(np.arange(size) // (1 + 2 * k) % 2) * 90.0 + 80 for k in kinds]
    pictures = [jpeg(s[None, :, None] + rng.normal(0, 25, (size, size, 3))) for s in stripes]
    table = {
        "label": [f"kind {k}" for k in kinds],
        "split": ["test" if i % 3 == 0 else "train" for i in range(len(kinds))],
        "jpeg": pictures,
    }
    (data / "chips").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), data / "chips/aid_96px.parquet")


def harvey(data: Path, count: int = 60, size: int = 32) -> None:
    """Bright chips before, dark ones after, at the same spots."""
    rng = np.random.default_rng(1)
    spots = np.column_stack([rng.uniform(-96, -95, count // 2), rng.uniform(29, 30, count // 2)]).repeat(2, axis=0)
    damaged = np.arange(count) % 2 == 0
    pictures = [jpeg(rng.normal(90 if d else 140, 20, (size, size, 3))) for d in damaged]
    labels = np.where(damaged, "damage", "no_damage").tolist()
    (data / "chips").mkdir(parents=True, exist_ok=True)
    table = {"lon": spots[:, 0], "lat": spots[:, 1], "label": labels, "jpeg": pictures}
    pq.write_table(pa.table(table), data / "chips/harvey_128px.parquet")


def fires(data: Path, count: int = 6, size: int = 96) -> None:
    """Half of each scene burnt: bright in B12 and dark in B08; every second one with true colour in front."""
    rng = np.random.default_rng(2)
    for i in range(count):
        burnt = np.zeros((size, size), bool)
        burnt[:, : size // 2] = True
        level = np.stack([300 + 0 * burnt, 400 + 0 * burnt, 500 + 0 * burnt, 3000 - 2000 * burnt, 1000 + 2000 * burnt])
        pixels = rng.normal(level, 60).clip(1).astype(np.uint16)
        if i % 2:
            pixels[:3] = (pixels[2::-1] / 2000 * 255).clip(1, 255).astype(np.uint16)
        name = data / f"segmentation/wildfire/F{i}_2020082{i}"
        tif(name.with_suffix(".tif"), pixels, ("B02", "B03", "B04", "B08", "B12"), 0)
        tif(name.with_name(f"{name.name}_mask.tif"), burnt[None].astype(np.uint8))


def floods(data: Path, size: int = 256) -> None:
    """Dark water in the western part of one image."""
    rng = np.random.default_rng(3)
    water = np.zeros((size, size), bool)
    water[:, : size // 3] = True
    folder = data / "multimodal/sen1floods11"
    names = tuple(b.replace("B0", "B") for b in S2)
    tif(
        folder / "S2/Spain_1_S2Hand.tif",
        rng.normal(1500 - 1000 * water, 80, (13, size, size)).astype(np.int16),
        names,
        0,
    )
    tif(
        folder / "S1/Spain_1_S1Hand.tif",
        rng.normal(-8 - 10 * water, 1, (2, size, size)).astype(np.float32),
        ("VV", "VH"),
    )
    label = water[None].astype(np.int16)
    label[0, 0, 0] = -1
    tif(folder / "Labels/Spain_1_LabelHand.tif", label)


def slovenia(data: Path, size: int = 100) -> None:
    """Forest in a chequerboard of blocks of 20 pixels, on two dates."""
    rng = np.random.default_rng(4)
    block = np.indices((size, size)) // 20
    cover = np.where(block.sum(axis=0) % 2, 2, 3).astype(np.uint8)
    tif(data / "scenes/slovenia_eopatch_LULC.tif", cover[None])
    for date in ("2015-07-11", "2015-07-31"):
        pixels = rng.normal(0.1 + 0.2 * (cover == 3), 0.01, (13, size, size)).astype(np.float32)
        tif(data / f"scenes/slovenia_eopatch_{date}_S2L1C_13b.tif", pixels, S2)


def world(data: Path, count: int = 12) -> None:
    """Chips each with a level of its own, and pairs of sensors that share it; dates that share places."""
    rng = np.random.default_rng(5)
    for i in range(count):
        chip = rng.normal(rng.uniform(500, 3000, (13, 1, 1)), 50, (13, 128, 128)).clip(1).astype(np.uint16)
        tif(data / f"multimodal/s2_utm/ROIs_{i:02}.tif", chip, S2)
        tif(data / f"multimodal/s1_s2/{i}_s2.tif", chip, S2)
        tif(data / f"multimodal/s1_s2/{i}_s1.tif", rng.normal(-1200, 99, (2, 128, 128)).astype(np.int16), ("VV", "VH"))
    ground = np.kron(rng.uniform(500, 2000, (13, 2, 2)), np.ones((64, 64)))
    for i in range(3):
        date = rng.normal(ground, 30).clip(1).astype(np.uint16)
        tif(data / f"series/s2_2018/date_{i}.tif", date, S2)
    tif(data / "series/s2_2018/date_cloud.tif", np.full((13, 128, 128), 9000, np.uint16), S2)


def dubai(data: Path, tiles: int = 3, each: int = 2, size: int = 128) -> None:
    """Tiles whose west is water (blue) and east vegetation (green), with an unlabelled edge."""
    rng = np.random.default_rng(6)
    mask = np.full((size, size), 2, np.uint8)
    mask[:, size // 2 :] = 4
    colour = np.where(mask[..., None] == 2, [40, 60, 180], [60, 170, 60])
    mask[:8] = 0
    folder = data / "segmentation/dubai"
    folder.mkdir(parents=True, exist_ok=True)
    for tile in range(tiles):
        for part in range(each):
            name = f"tile{tile + 1}_{part + 1:03}"
            (folder / f"{name}.jpg").write_bytes(jpeg(colour + rng.normal(0, 15, (size, size, 3))))
            Image.fromarray(mask).save(folder / f"{name}_mask.png")


def carolina(data: Path, size: int = 320) -> None:
    """A scene of four strips, and two polygons in each of them, of two classes."""
    rng = np.random.default_rng(7)
    bands = tuple(f"B{i:02}" for i in range(1, 9))
    strip = np.arange(size) // (size // 4) % 2
    level = (90 + 80 * strip)[None, None, :]
    pixels = rng.normal(level, 10, (8, size, size)).clip(1, 250).astype(np.uint8)
    tif(data / "scenes/rachelcarson_nc_20181013_S2L1C_8b_u8.tif", pixels, bands)
    features = []
    for number in range(4):
        for row in (60, 240):
            col = (number + 0.5) * size / 4
            west, north = -76.6 + 1e-4 * (col - 12), 34.7 - 1e-4 * (row - 12)
            east, south = west + 24e-4, north - 24e-4
            ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
            shape = {"type": "Polygon", "coordinates": [ring]}
            name = {"Classname": ("Water", "Sand")[number % 2]}
            features.append({"type": "Feature", "properties": name, "geometry": shape})
    (data / "labels").mkdir(parents=True, exist_ok=True)
    text = json.dumps({"type": "FeatureCollection", "features": features})
    (data / "labels/rachelcarson_landcover.geojson").write_text(text)
