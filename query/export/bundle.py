"""Chips as a map that needs no service: the page as it was built, and chips, vectors and pictures beside it.

Any server of static files will do. The page scores every vector in the browser, so that a bundle is for a few thousand
chips of one place, and not for a continent.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore.errors import InputError, LimitError
from embedstore.segment_rows import matrix
from query.export import chips as source
from query.export.parquet import footprints
from query.output import geometries

if TYPE_CHECKING:
    from query.rows import Rows

MOST = 20_000
"""Chips of one bundle: 20 MB of vectors of 256 dimensions."""
DIST = Path(__file__).parents[1] / "web" / "dist"
PAGE = "bundle.html"
_COLUMNS = ("id", "geometry", "datetime", "thumbnail", "embedding")


def write(chips: Rows, folder: Path, name: str) -> None:
    """Write a bundle into an empty folder.

    Raises
    ------
    LimitError
        If there are too many chips.
    InputError
        If there are none, or this installation came without the map.
    """
    if not len(chips):
        raise InputError("no chip passes the filter, and a map of nothing shows nothing; widen it.")
    if len(chips) > MOST:
        raise LimitError(
            f"{len(chips):,} chips are too many for a browser, which gets all vectors; narrow the filter to {MOST:,}, "
            "or serve the store with `embedstore serve`."
        )
    _copy_page(folder)
    data = folder / "data"
    data.mkdir()
    features: list[dict[str, Any]] = []
    lon, lat = chips.column("lon"), chips.column("lat")
    with (data / "vectors.f32").open("wb") as vectors, (data / "pictures.bin").open("wb") as pictures:
        for block in source.blocks(chips, _COLUMNS):
            vectors.write(matrix(block["embedding"], chips.snapshot.encoder.dimension).astype("<f4").tobytes())
            plain = block.drop_columns(["geometry", "embedding"]).to_pylist()
            for shape, row in zip(geometries(footprints(block)), plain, strict=True):
                picture = row["thumbnail"] or b""
                n = len(features)
                told = {
                    "row": n,
                    "id": row["id"],
                    "lon": round(float(lon[n]), 6),
                    "lat": round(float(lat[n]), 6),
                    "datetime": row["datetime"].isoformat() if row["datetime"] else None,
                    "picture": [pictures.tell(), len(picture)],
                }
                pictures.write(picture)
                features.append({"type": "Feature", "geometry": shape, "properties": told})
    _write(data / "chips.geojson", {"type": "FeatureCollection", "features": features})
    encoder = chips.snapshot.encoder
    about = {
        "title": name.replace("_", " "),
        "model": encoder.name,
        "fingerprint": encoder.fingerprint,
        "dimension": encoder.dimension,
        "chips": len(chips),
        "bounds": [float(v) for v in (np.min(lon), np.min(lat), np.max(lon), np.max(lat))],
    }
    _write(data / "about.json", about)


def _copy_page(folder: Path) -> None:
    """Copy the page and what it needs of the built map: the files that it names, and those that they name."""
    if not (DIST / PAGE).is_file():
        raise InputError("this installation has no map to export; install embedstore from a wheel, or build query/web.")
    names = {path.name for path in (DIST / "assets").iterdir()}
    needed: set[str] = set()
    waiting = [DIST / PAGE]
    while waiting:
        text = waiting.pop().read_bytes()
        named = {name for name in names - needed if name.encode() in text}
        needed |= named
        waiting += [DIST / "assets" / name for name in named]
    (folder / "assets").mkdir()
    for name in needed:
        shutil.copyfile(DIST / "assets" / name, folder / "assets" / name)
    shutil.copyfile(DIST / PAGE, folder / "index.html")
    shutil.copyfile(DIST / "licenses.md", folder / "licenses.md")


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")), encoding="utf-8")
