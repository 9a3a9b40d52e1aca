"""The README's tour on real imagery, command by command, each a process of its own; then the map of what they made."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas
import pytest
import shapely
from rasterio.windows import Window

from indexer import demo_scene
from query.demo import cut
from tests.web.conftest import click_map, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

MORE = os.environ.get("EMBEDSTORE_TEST_DATA", "")
"""A folder with scenes and labels that may not be shipped: the coast of North Carolina and its land cover."""
COAST, COVERS = "scenes/rachelcarson_nc_20181013_S2L1C_8b_u8.tif", "labels/rachelcarson_landcover.geojson"
TOWN, LAGOON = (13.371, 45.768), (13.372, 45.737)
PLACES = {"town": [TOWN, (13.3665, 45.7655)], "water": [LAGOON, (13.36, 45.7345), (13.385, 45.736)]}


def embedstore(folder: Path, *arguments: object) -> str:
    """Run one command in a folder and return what it printed."""
    command = [sys.executable, "-c", "from query.cli import main; main()", *map(str, arguments)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@contextmanager
def served(folder: Path, store: str) -> Iterator[str]:
    """Serve a store by the command itself and give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from query.cli import main; main()", "serve", store, "--port", str(port)]
    environment = {**os.environ, "EMBEDSTORE_JOBS_FOLDER": str(folder / "jobs")}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            while not answers(port):
                assert process.poll() is None, "the service ended before it listened"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    """Return whether somebody listens there."""
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def point(place: tuple[float, float], name: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": place},
        "properties": {"class": name},
    }


def test_from_a_scene_to_the_map(tmp_path: Path, browser: Browser, dist: Path) -> None:
    assert dist.is_dir()
    embedstore(
        tmp_path, "encode", demo_scene.path(), "--store", "italy", "--bands", "B02,B03,B04,B08", "--chip-size", 32
    )
    embedstore(tmp_path, "index", "italy")

    cut(demo_scene.path(), Window(320, 224, 32, 32), tmp_path / "chip.tif")
    hits = json.loads(embedstore(tmp_path, "search", "italy", "--chip", "chip.tif", "-k", 12, "--format", "json"))[
        "hits"
    ]
    assert [hit["rank"] for hit in hits] == list(range(1, 13))
    assert hits[0]["score"] > 0.999

    box = shapely.box(13.33, 45.74, 13.41, 45.80)
    embedstore(
        tmp_path,
        "sql",
        "italy",
        f"SELECT n.score, e.id, e.geometry FROM nearest(chip_vector('{hits[0]['id']}'), 50) n "
        f"JOIN embeddings e USING (id, h3_cell) WHERE ST_Intersects(e.geometry, ST_GeomFromText('{box.wkt}')) "
        "ORDER BY score DESC",
        "-o",
        "near.parquet",
    )
    near = geopandas.read_parquet(tmp_path / "near.parquet")
    assert 0 < len(near) < 50
    assert near["id"][0] == hits[0]["id"]
    assert near.intersects(box).all()

    labels = [point(place, name) for name, places in PLACES.items() for place in places]
    (tmp_path / "labels.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": labels}))
    asked = ("--labels", "labels.geojson", "--label-column", "class", "-o", "classes.parquet")
    embedstore(tmp_path, "classify", "italy", *asked)
    classes = geopandas.read_parquet(tmp_path / "classes.parquet")
    assert len(classes) == json.loads(embedstore(tmp_path, "info", "italy", "--json"))["rows"]
    assert set(classes["class"]) == set(PLACES)

    with served(tmp_path, "italy") as address:
        page = browser.new_page(viewport={"width": 1024, "height": 640}, bypass_csp=True)
        page.goto(address)
        settle(page)
        click_map(page, *TOWN)
        page.locator(".tile[data-id]").first.wait_for()
        assert page.locator(".tile[data-id]").count() == 24
        page.close()


@pytest.mark.skipif(not MORE, reason="EMBEDSTORE_TEST_DATA names no folder with the coast and its labels")
def test_land_cover_of_a_coast_from_a_few_polygons(tmp_path: Path) -> None:
    embedstore(tmp_path, "encode", Path(MORE, COAST), "--store", "coast", "--chip-size", 8, "--stride", 4)
    asked = ("--labels", Path(MORE, COVERS), "--label-column", "Classname", "-o", "classes.parquet", "--json")
    told = json.loads(embedstore(tmp_path, "classify", "coast", *asked))
    assert told["evaluation"]["spatial"]["accuracy"]["value"] > 0.8
    classes = geopandas.read_parquet(tmp_path / "classes.parquet")
    assert classes["class"].value_counts().index[0] == "Subtidal Haline"  # most of the scene is sea
