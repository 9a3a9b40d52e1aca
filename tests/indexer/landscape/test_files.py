from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pystac
import pytest
import rasterio

from embedstore.errors import SpecError, StorageError
from indexer.items import open_item
from indexer.landscape import SIZE, Landscape, files
from indexer.pretrain.modalities import CLASSES, CLIMATE, PIXELS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    folder = tmp_path_factory.mktemp("simulated") / "scenes"
    return folder, files.write(folder, "gamma", 1, (4, 9))


def test_files_hold_what_the_tile_holds(written: tuple[Path, list[Path]]) -> None:
    _, items = written
    _, row, col, _ = items[1].stem.split("-")
    tile = Landscape("gamma").tile(int(row), int(col), (9,))
    found = open_item(items[1], (*PIXELS, *CLASSES))
    for name, values in {**tile.pixels, **tile.scenes[0].pixels}.items():
        raster = found[name]
        assert raster.bands.names == PIXELS[name]
        with raster.reader(PIXELS[name]) as reader:
            read, valid = reader.read(0, 0, SIZE, SIZE)
        assert valid.all()
        assert np.allclose(read, values, atol=files.LAYERS[name].scale / 1.9), name
    for name, codes in tile.classes.items():
        with rasterio.open(found[name].path) as source:
            assert (source.read(1) == codes).all()
    assert found["sar"].crs == "EPSG:32643"
    assert found["optical"].gsd == pytest.approx(10, rel=0.01)
    assert str(found["optical"].datetime)[:7] == "2021-09"


def test_rasters_are_cloud_optimized(written: tuple[Path, list[Path]]) -> None:
    folder, _ = written
    rasters = sorted(folder.rglob("*.tif"))
    assert len(rasters) == 4 + 2 * 3
    for path in rasters:
        with rasterio.open(path) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert "simulator" in source.tags()["SIMULATED"]


def test_stac_is_valid(written: tuple[Path, list[Path]]) -> None:
    folder, items = written
    for path in [*items, folder / "collection.json"]:
        assert json.loads(path.read_bytes())["stac_version"] == "1.0.0"
        made = pystac.read_file(str(path))
        made.stac_extensions = []  # their schemas are on the network, those of the core are at hand
        assert made.validate()
    collection = pystac.Collection.from_file(str(folder / "collection.json"))
    assert [i.id for i in collection.get_items(recursive=True)] == [i.stem for i in items]


def test_an_item_tells_what_pretraining_wants(written: tuple[Path, list[Path]]) -> None:
    item = json.loads(written[1][0].read_bytes())
    assert set(item["assets"]) == {*PIXELS, *CLASSES}
    said = item["properties"]
    assert len(said["embedstore:values"]["climate"]) == len(CLIMATE)
    assert np.hypot(*said["embedstore:values"]["month"]) == pytest.approx(1, abs=1e-4)
    assert said["embedstore:labels"] == {"biome": 12, "ecoregion": 814}
    assert "not exist" in said["description"]
    west, south, east, north = item["bbox"]
    ring = np.array(item["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    assert (west, south) == tuple(ring.min(axis=0))
    assert (east, north) == tuple(ring.max(axis=0))
    winding = np.sum((np.roll(ring[:-1, 0], -1) - ring[:-1, 0]) * (np.roll(ring[:-1, 1], -1) + ring[:-1, 1]))
    assert winding < 0  # anticlockwise, as GeoJSON wants it


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("omega", 1, (4,)), "no region"),
        (("alpha", 0, (4,)), "not 0"),
        (("alpha", 1, ()), "months"),
        (("alpha", 1, (4, 4)), "each once"),
        (("alpha", 1, (0,)), "no month 0"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, arguments: tuple[str, int, tuple[int, ...]], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        files.write(tmp_path, *arguments)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(StorageError, match="taken"):
        files.write(tmp_path / "taken", "alpha", 1, (4,))
