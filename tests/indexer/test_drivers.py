"""Which of GDAL's drivers may look at a file: none that follows what it says to other files, and no bomb."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from embedstore.errors import RasterError
from indexer import remote
from indexer.encode import encode
from indexer.rasters import open_raster
from tests.hostile import rasters
from tests.indexer.scenes import noise, write

if TYPE_CHECKING:
    from pathlib import Path

OTHERS = rasters.of_other_formats()
BOMBS = {
    "a million by a million pixels": rasters.tiff(10**6, 10**6),
    "a million by a million pixels in rows": rasters.tiff(10**6, 10**6, strips=10**6),
    "rows without end": rasters.tiff(2**31 - 1, 2**31 - 1),
    "more bands than bytes": rasters.tiff(32, 32, samples=60_000),
    "directories in a circle": rasters.circle(big=False),
    "directories of BigTIFF in a circle": rasters.circle(big=True),
}
LARGEST = 1 << 20
"""KiB that this process may have held: a bomb takes all that there is."""


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".jp2"])
@pytest.mark.parametrize("what", OTHERS)
def test_a_scene_is_what_its_name_says(tmp_path: Path, what: str, suffix: str) -> None:
    path = tmp_path / f"scene{suffix}"
    path.write_bytes(OTHERS[what])
    with pytest.raises(RasterError, match=r"scene|blocks"):
        open_raster(path)


def test_a_virtual_raster_shows_other_files_only_under_its_own_name(tmp_path: Path) -> None:
    scene = write(tmp_path / "honest.tif", noise())
    for name in ("virtual.vrt", "virtual.tif"):
        (tmp_path / name).write_bytes(rasters.vrt(str(scene)))
    assert open_raster(tmp_path / "virtual.vrt").bands.names == ("1",)
    with pytest.raises(RasterError, match=r"virtual\.tif cannot be opened"):
        open_raster(tmp_path / "virtual.tif")


@pytest.mark.parametrize(
    "name",
    [
        "MEM:::DATAPOINTER=4096,PIXELS=32,LINES=32",
        "DERIVED_SUBDATASET:LOGAMPLITUDE:scene.tif",
        "GTIFF_DIR:1:scene.tif",
        "NETCDF:scene.nc:band",
        "HDF5:scene.h5://band",
        "/vsicurl/http://127.0.0.1:9/scene.tif",
        "/vsizip/scene.zip/scene.tif",
        "WMS:http://127.0.0.1:9/?SERVICE=WMS",
        "PG:host=127.0.0.1",
        "<VRTDataset/>",
        "vrt://scene.tif?bands=1",
    ],
)
def test_a_name_that_means_something_to_gdal_is_a_path_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(tmp_path / "scene.tif", noise())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RasterError, match="there is no file"):
        open_raster(name)


def test_elsewhere_two_drivers_may_look() -> None:
    named = {name: remote.driver(remote.named(f"https://example.org/a{name}")) for name in (".vrt", ".nc", "", ".JP2")}
    assert named == {".vrt": "GTiff", ".nc": "GTiff", "": "GTiff", ".JP2": "JP2OpenJPEG"}


@pytest.mark.parametrize("what", BOMBS)
def test_a_bomb_is_an_error_and_takes_no_memory(tmp_path: Path, what: str) -> None:
    path = tmp_path / "scene_20190416.tif"
    path.write_bytes(BOMBS[what])
    assert path.stat().st_size < 1000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RasterError, match="scene_20190416"):
        encode([path], tmp_path / "store", chip_size=32)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < LARGEST
