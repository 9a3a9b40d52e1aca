"""A continent that is not there: planned, encoded on Ray by two workers, killed on the way, resumed, indexed, searched.

``python -m benchmarks.continent --tiles 2000 --json F``. Scenes are tiles of 512 x 512 pixels of 10 m and four bands in
five UTM zones, some of them across the antimeridian, 256 chips of 32 pixels each. A server on this machine renders a
tile when it is asked for: a seeded sum of waves, so that rendering costs little beside encoding. ``embedstore`` runs as
its users run it, and is killed (SIGKILL) at equal steps of the way.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import rasterio
import shapely
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.warp import transform as warp

from benchmarks import report
from embedstore import footprint
from embedstore.store import Store
from indexer.plan import file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

SIDE, GSD, CHIP = 512, 10, 32
BANDS = ("B02", "B03", "B04", "B08")
EDGE = SIDE * GSD
CORNERS = ((0, 0), (0, SIDE), (SIDE, SIDE), (SIDE, 0))
REGIONS = (
    (32632, 600_000, 5_300_000),
    (32633, 300_000, 5_300_000),
    (32634, 300_000, 5_000_000),
    (32701, 180_000, 8_500_000),
    (32760, 790_000, 8_000_000),
)
"""EPSG code, and the north-western corner in metres. The last begins west of the 180th meridian and ends east of it."""
ACROSS = {32760: 8}
"""Columns of tiles, where the meridian is to be crossed; else as many as rows."""
POLL = 1.0
EMBEDSTORE = (sys.executable, "-W", "ignore", "-c", "from query.cli import main; main()")


def names(tiles: int) -> list[str]:
    """Return the names of tiles, dealt out to the regions: ``<EPSG>_<row>_<column>``."""
    out = []
    for number, (epsg, _, _) in enumerate(REGIONS):
        here = tiles // len(REGIONS) + (number < tiles % len(REGIONS))
        across = ACROSS.get(epsg, max(1, round(here**0.5)))
        out += [f"{epsg}_{i // across}_{i % across}" for i in range(here)]
    return out


def grid(name: str) -> tuple[int, Affine]:
    """Return EPSG code and transform of a tile."""
    epsg, row, column = map(int, name.split("_"))
    west, north = next((w, n) for code, w, n in REGIONS if code == epsg)
    return epsg, Affine(GSD, 0, west + column * EDGE, 0, -GSD, north - row * EDGE)


@lru_cache(64)
def render(name: str) -> bytes:
    """Return a tile as a tiled GeoTIFF."""
    epsg, transform = grid(name)
    random = np.random.default_rng([int(part) for part in name.split("_")])
    at = np.arange(SIDE) / SIDE
    pixels = np.empty((len(BANDS), SIDE, SIDE), np.uint16)
    for band in pixels:
        field = np.full((SIDE, SIDE), 4000.0)
        for _ in range(6):
            (y, x), (p, q), height = random.uniform(1, 60, 2), random.uniform(0, 7, 2), random.uniform(100, 500)
            field += height * np.outer(np.sin(y * at + p), np.sin(x * at + q))
        band[:] = field + random.integers(0, 256, SIDE)
    profile = {"driver": "GTiff", "count": len(BANDS), "width": SIDE, "height": SIDE, "dtype": "uint16", "tiled": True}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=f"EPSG:{epsg}", transform=transform, blockxsize=256, blockysize=256) as target:
            target.write(pixels)
            for i, band_name in enumerate(BANDS, 1):
                target.set_band_description(i, band_name)
        return bytes(memory.read())


class Handler(BaseHTTPRequestHandler):
    """Answers ``GET /<name>.tif``, whole or in part."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a tile, or the part of it that is asked for."""
        body = render(self.path.strip("/").removesuffix(".tif"))
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first = int(part[1]) if part else 0
        stop = min(int(part[2]) + 1, len(body)) if part and part[2] else len(body)
        self.send_response(206 if part else 200)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{stop - 1}/{len(body)}")
        self.send_header("Content-Length", str(stop - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(body[first:stop])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Readers that hang up are no news."""

    def handle_error(self, *_: Any) -> None:
        """Say nothing."""


def catalogue(tiles: int, server: str, folder: Path) -> tuple[Path, Path]:
    """Write an ItemCollection of the tiles and the area that they cover; return both paths."""
    features, shapes = [], []
    for name in names(tiles):
        epsg, transform = grid(name)
        x, y = zip(*(transform * corner for corner in CORNERS), strict=True)
        shape = footprint.ring(*warp(f"EPSG:{epsg}", "OGC:CRS84", x, y))
        shapes.append(shape.buffer(0.01))
        asset = {"href": f"{server}/{name}.tif", "roles": ["data"], "bands": [{"name": b} for b in BANDS]}
        features.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": name,
                "collection": "made",
                "geometry": shapely.geometry.mapping(shape),
                "bbox": list(shape.bounds),
                "properties": {
                    "datetime": "2024-06-01T10:00:00Z",
                    "proj:code": f"EPSG:{epsg}",
                    "proj:shape": [SIDE, SIDE],
                    "proj:transform": list(transform)[:6],
                },
                "links": [],
                "assets": {"optical": asset},
            }
        )
    items, area = folder / "items.json", folder / "area.geojson"
    items.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    whole = shapely.intersection(shapely.union_all(shapes), shapely.box(-180, -90, 180, 90))
    area.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(whole)}))
    return items, area


class Run:
    """``embedstore`` in a process of its own, whose memory and that of its children is sampled."""

    def __init__(self, *arguments: str) -> None:
        self.began = time.monotonic()
        self.samples: list[tuple[float, float]] = []
        self._process = subprocess.Popen([*EMBEDSTORE, *arguments], stdout=subprocess.PIPE, text=True)
        self._family = [psutil.Process(self._process.pid)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def _sample(self) -> None:
        while not self._stop.wait(POLL):
            total = 0
            try:
                self._family = [self._family[0], *self._family[0].children(recursive=True)]
            except psutil.Error:
                continue
            for process in self._family:
                try:
                    total += process.memory_full_info().uss
                except psutil.Error:
                    continue
            self.samples.append((time.monotonic() - self.began, total / 1e9))

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut does, and wait for what it leaves behind."""
        self._process.send_signal(signal.SIGKILL)
        self.end()
        for orphan in psutil.wait_procs(self._family[1:], timeout=30)[1]:
            orphan.kill()

    def end(self) -> str:
        """Wait for it; return what it wrote."""
        out, _ = self._process.communicate()
        self._stop.set()
        self._thread.join()
        return out

    def result(self) -> dict[str, Any]:
        """Wait for it; return its JSON."""
        out = self.end()
        if self._process.returncode:
            raise SystemExit(f"embedstore failed: {out}")
        body: dict[str, Any] = json.loads(out)
        return body


def rows_of(store: Path) -> int:
    """Return how many chips are committed."""
    return sum(f.rows for f in Store.open(store).table.files()) if Store.exists(store) else 0


def encode(plan: Path, store: Path, chips: int, kills: int) -> tuple[list[Run], dict[str, Any]]:
    """Encode a plan on Ray, killed at equal steps; return all runs and what the last one said."""
    arguments = ("encode", "--plan", str(plan), "--store", str(store), "--engine", "ray", "--json")
    runs = []
    for number in range(1, kills + 1):
        runs.append(Run(*arguments))
        while runs[-1].running and rows_of(store) < chips * number / (kills + 1):
            time.sleep(POLL)
        if not runs[-1].running:
            runs[-1].result()  # it was done before its time
            break
        runs[-1].kill()
    runs.append(Run(*arguments))
    return runs, runs[-1].result()


def checked(store: Path, chips: int) -> dict[str, float]:
    """Check ids and places of what is stored; return what was found."""
    import pyarrow.parquet as pq

    opened = Store.open(store)
    tables = [pq.ParquetFile(store / f.path).read(["id", "geometry"]) for f in opened.table.files()]
    ids = np.concatenate([t["id"].to_numpy() for t in tables])
    shapes = shapely.from_wkb(np.concatenate([t["geometry"].to_numpy() for t in tables]))
    assert len(ids) == len(np.unique(ids)) == chips, (len(ids), len(np.unique(ids)), chips)
    across = int((shapely.get_num_geometries(shapes) > 1).sum())
    return {"rows": len(ids), "unique_ids": len(np.unique(ids)), "across_180": across}


def searched(store: Path) -> dict[str, float]:
    """Ask for neighbours of stored vectors; return the median time and whether each found itself."""
    from query import Engine

    with Engine(store) as engine:
        ids = engine.sql("SELECT id FROM embeddings USING SAMPLE 100")["id"].to_pylist()
        took, found = [], 0
        for one in ids:
            began = time.perf_counter()
            hits = engine.search(id=one, k=10)
            took.append(time.perf_counter() - began)
            found += len(hits.to_arrow()) == 10
    return {"search_p50_ms": 1e3 * float(np.median(took)), "answers_of_ten": found / len(ids)}


def flatness(samples: NDArray[np.float64]) -> dict[str, float]:
    """Return the most memory, and how much more the last third of a run took than the middle third, in GB."""
    third = max(1, len(samples) // 3)
    middle, last = samples[third : 2 * third], samples[2 * third :]
    return {"peak_gb": float(samples.max()), "growth_gb": float(np.median(last) - np.median(middle))}


def serve() -> Iterator[str]:
    """Start the server in a process of its own; yield its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.continent", "--serve"], stdout=subprocess.PIPE, text=True
    ) as it:
        assert it.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(it.stdout.readline())}"
        finally:
            it.terminate()


def main() -> None:
    """Run all of it and report."""
    parser = report.parser(__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tiles", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        server = Server(("127.0.0.1", 0), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()
    from contextlib import contextmanager

    server_here: AbstractContextManager[str] = contextmanager(serve)()
    with tempfile.TemporaryDirectory(prefix="embedstore-bench-") as temporary, server_here as address, rasterio.Env():
        folder = Path(temporary)
        items, area = catalogue(options.tiles, address, folder)
        plan, store = folder / "plan.parquet", folder / "store"
        began = time.monotonic()
        planned = Run(
            *("plan", "--aoi", str(area), "--stac", str(items), "--datetime", "2024-05-01/2024-07-31"),
            *("--chip-size", str(CHIP), "--period", "all", "-o", str(plan), "--json"),
        ).result()
        planning = time.monotonic() - began
        chips, units = file.read(plan).chips, len(file.units(plan))
        began = time.monotonic()
        runs, said = encode(plan, store, chips, options.kills)
        encoding = time.monotonic() - began
        began = time.monotonic()
        index = Run("index", str(store), "--engine", "ray", "--json")
        built = index.result()
        indexing = time.monotonic() - began
        figures = {
            "tiles": options.tiles,
            "units": units,
            "chips_planned": chips,
            "plan_s": planning,
            "encode_s": encoding,
            "chips_per_second": chips / encoding,
            "kills": len(runs) - 1,
            "chips_of_last_run": said["chips"],
            "already_there": said["already_there"],
            "index_s": indexing,
            "recall": built["recall"],
            **checked(store, chips),
            **searched(store),
            **flatness(np.array([gb for _, gb in runs[-1].samples])),
            "faults": len(planned["faults"]),
        }
        trace: list[dict[str, object]] = [
            {"run": i, "seconds": round(s), "resident_gb": round(gb, 3)}
            for i, run in enumerate(runs)
            for s, gb in run.samples[:: max(1, len(run.samples) // 20)]
        ]
        report.write("a simulated continent on Ray", trace, figures, options.json)


if __name__ == "__main__":
    main()
