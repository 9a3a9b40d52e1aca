"""Small valid files, one folder a target: what is mutated."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indexer import build
from indexer.encoders import model_file
from indexer.plan import make as plan
from query.api import keys
from tests.embedstore import make
from tests.hostile import bodies, forms, rasters, statements
from tests.indexer import clip_model, scenes
from tests.indexer.importers import files
from tests.indexer.plan import world

if TYPE_CHECKING:
    from pathlib import Path

    from tests.hostile.case import Case


def make_all(root: Path) -> None:
    """Make every seed, and the store that the index's targets and the service open."""
    store = _store(root / "store")
    _keep(root, "data", store.glob("h3_cell=*/*.parquet"), most=4)
    _keep(root, "codebook.faiss", (store / "_index").rglob("codebook.faiss"), most=1)
    for name in ("lists.faiss", "rows.arrow", "manifest.json"):
        _keep(root, name, [_lists(store) / name], most=1)
    _keep(root, "moves", (store / "_index" / "moves").glob("*.arrow"), most=1)
    _keep(root, "segments", [p for p in _lists(store).iterdir() if p.is_file()], most=20)
    _imports(root)
    _rasters(root)
    _json(root, "labels", [*_labels()])
    _json(root, "areas", [{"type": "Polygon", "coordinates": [bodies.ring(40)]}, *(f["geometry"] for f in _stac(root))])
    _json(root, "stac", [{"type": "FeatureCollection", "features": _stac(root)}, _stac(root)[0]])
    _texts(root, "where", [_asked(case)["where"] for case in statements.CONDITIONS if len(case.body) < 500])
    _texts(root, "sql", [_asked(c)["sql"] for c in statements.STATEMENTS if c.status == 400 and len(c.body) < 500])
    _texts(root, "where", CONDITIONS * 8)
    _texts(root, "sql", [one.format(id=make.chip_id(1)) for one in HONEST] * 8)
    _json(root, "requests", [{"to": case.path, "body": _asked(case)} for case in _requests()])
    _keys(root)
    _models(root)
    plans(root)


CONDITIONS = (
    "valid_fraction > 0.9 AND year(datetime) = 2019",
    "lon BETWEEN 1 AND 2 OR hex(id) LIKE 'a%'",
    "datetime >= '2019-01-01' AND datetime_end IS NOT NULL AND lat NOT IN (1, 2, 3)",
    "abs(round(lon * 2) % 2) = CASE WHEN lat > 45 THEN 1 ELSE 0 END",
)
HONEST = (
    "SELECT id, score FROM nearest(chip_vector('{id}'), 3)",
    "WITH n AS (SELECT * FROM nearest(chip_vector('{id}'), 5)) SELECT id FROM n JOIN embeddings USING (id)",
    "SELECT h3_cell, count(*) FROM embeddings_in(ST_MakeEnvelope(10, 45, 12, 47)) GROUP BY ALL ORDER BY ALL",
    "SELECT id, rank() OVER (PARTITION BY h3_cell ORDER BY datetime) FROM embeddings QUALIFY rank() OVER () < 3",
    "SELECT unnest(list_transform([3, 1, 2], lambda x: x + 1)) AS x ORDER BY x LIMIT 2",
    "SELECT ST_AsText(ST_Buffer(geometry, 0.1)) FROM embeddings LIMIT 1",
    "SELECT h3_polygon_to_cells(ST_MakeEnvelope(10, 45, 10.1, 45.1), 7) FROM embeddings LIMIT 1",
)


def _store(path: Path) -> Path:
    """Make a store with an index of lists, a flat segment, and a map of moved rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FLAT_ROWS", 300)
        patch.setattr("indexer.questions.QUERIES", 32)
        patch.setattr("indexer.calibrate.INTO_STRETCHES", 8)
        patch.setattr("indexer.calibrate.TIMED", 2)
        store = make.store(path)
        store.append(make.chips(list(range(600))))
        build.build(path)
        store.append(make.chips(list(range(600, 640))))
        store.delete(ids=[make.chip_id(3), make.chip_id(602)])
    return path


def _lists(store: Path) -> Path:
    """Return the folder of the segment that has lists."""
    return next(p for p in (store / "_index" / "segments").iterdir() if (p / "lists.faiss").exists())


def _keep(root: Path, target: str, paths: Any, most: int) -> None:
    (root / target).mkdir(exist_ok=True)
    for path in sorted(paths)[:most]:
        (root / target / path.name).write_bytes(path.read_bytes())


def _json(root: Path, target: str, held: list[Any]) -> None:
    _texts(root, target, [json.dumps(one) for one in held])


def _texts(root: Path, target: str, texts: Any) -> None:
    folder = root / target
    folder.mkdir(exist_ok=True)
    for text in texts:
        (folder / f"{len(list(folder.iterdir())):03}").write_bytes(text.encode("utf-8", "surrogatepass"))


def _asked(case: Case) -> Any:
    return json.loads(case.body.decode().replace("@id", make.chip_id(1)))


def _requests() -> list[Case]:
    """Return requests in JSON: wrong ones, which are near to right ones."""
    known = (*bodies.NUMBERS, *bodies.AREAS, *bodies.LABELS, *statements.CONDITIONS)
    return [case for case in known if len(case.body) < 2000 and "/sql" not in case.path]


def _labels() -> list[Any]:
    point = {"type": "Point", "coordinates": [11.0, 46.0]}
    area = {"type": "Polygon", "coordinates": [[[10, 45], [12, 45], [12, 47], [10, 47], [10, 45]]]}
    both = [{"type": "Feature", "geometry": g, "properties": {"class": n}} for n, g in (("a", point), ("b", area))]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    return [
        {"type": "FeatureCollection", "features": both},
        {"type": "FeatureCollection", "features": both, "crs": crs},
        {make.chip_id(i): "ab"[i % 2] for i in range(4)},
    ]


def _stac(root: Path) -> list[dict[str, Any]]:
    (root / "scenes").mkdir(exist_ok=True)
    return world.tiling(root / "scenes", 2, 1, step=48, size=64)


def _imports(root: Path) -> None:
    folder = root / "imports"
    folder.mkdir()
    for name in ("earth_index", "clay_v0", "clay_v1", "planet", "major_tom"):
        getattr(files, name)(folder / f"{name}.parquet")
    arrays = root / "arrays"
    arrays.mkdir()
    np.save(arrays / "vectors.npy", files.vectors(12))
    np.save(arrays / "places.npy", np.column_stack([np.linspace(10, 11, 12), np.linspace(45, 46, 12)]))
    pq.write_table(
        pa.table({"lon": np.linspace(10, 11, 12), "lat": np.linspace(45, 46, 12)}), arrays / "places.parquet"
    )
    (arrays / "places.csv").write_text("lon,lat,id\n" + "".join(f"1{i % 10},4{i % 10},x{i}\n" for i in range(12)))


def _rasters(root: Path) -> None:
    chips = [rasters.geotiff(), rasters.geotiff(COMPRESS="DEFLATE", PREDICTOR=2), rasters.geotiff(BIGTIFF="YES")]
    chips += [rasters.geotiff(side=64, tiled=True, blockxsize=16, blockysize=16, COMPRESS="LZW")]
    chips += [rasters.geotiff(bands=3, dtype="uint8", COMPRESS="JPEG"), rasters.tiff(32, 32), rasters.png(32, 32)]
    chips += [forms.leading_elsewhere()]
    (root / "uploads").mkdir()
    for number, raw in enumerate(chips):
        (root / "uploads" / f"{number}.tif").write_bytes(raw)
    folder = root / "local"
    folder.mkdir()
    scenes.write(folder / "plain.tif", scenes.noise(height=64, width=64), nodata=0)
    scenes.write(folder / "tagged.tif", scenes.noise(height=64, width=64), tags={"PROCESSING_BASELINE": "05.09"})
    scenes.write(folder / "float.tif", scenes.noise(height=64, width=64, dtype="float32"), compress="zstd", predictor=3)


def _keys(root: Path) -> None:
    (root / "keys").mkdir()
    file = root / "keys" / "keys.json"
    keys.add(file, "one", days=30)
    keys.add(file, "two", "write", rate=5, budget=100)


def _models(root: Path) -> None:
    (root / "models").mkdir()
    path = clip_model.drawn(root / "models" / "clip.safetensors")
    _json(root, "cards", [model_file.describe(path)])


def plans(root: Path) -> None:
    (root / "plans").mkdir()
    items = _stac(root)
    source = world.collection_file(root / "scenes" / "items.json", items)
    out = root / "plans" / "plan.parquet"
    plan.plan(world.around(items, 0.01), source, "2024-03-01/2024-05-31", out, chip_size=8)
