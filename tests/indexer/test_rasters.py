from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from embedstore.errors import BandError, InputError, RasterError
from indexer import acquisition
from indexer.bands import normalise
from indexer.rasters import open_raster
from tests.indexer.scenes import UTM, noise, write

if TYPE_CHECKING:
    from pathlib import Path


def test_a_scene_says_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "S2_20190416T101030_x.tif", noise(), names=["B2", "b03", "B4, red", "B8A"], nodata=0)
    raster = open_raster(path)
    assert raster.bands.names == ("B02", "B03", "B04", "B8A")
    assert (raster.height, raster.width, raster.gsd, raster.nodata) == (160, 192, 10.0, 0)
    assert raster.datetime == datetime(2019, 4, 16, 10, 10, 30, tzinfo=UTC)


def test_identity_is_of_the_content_never_of_the_path(tmp_path: Path) -> None:
    first = write(tmp_path / "a.tif", noise())
    shutil.copy(first, tmp_path / "b.tif")
    other = write(tmp_path / "c.tif", noise(seed=1))
    items = [open_raster(p).item for p in (first, tmp_path / "b.tif", other)]
    assert items[0] == items[1] != items[2]
    assert items[0].startswith("sha256:")
    assert len(items[0]) == 71


def test_files_that_belong_to_an_image_are_of_its_identity(tmp_path: Path) -> None:
    """Where it lies, or what counts, may be mended beside it; statistics, which viewers write, change nothing."""
    with rasterio.open(write(tmp_path / "whole.tif", noise())) as source:
        profile = source.profile | {"driver": "ENVI"}
        pixels = source.read()
    for key in ("tiled", "blockxsize", "blockysize", "compress", "interleave"):
        profile.pop(key, None)
    image = tmp_path / "image.dat"
    with rasterio.open(image, "w", **profile) as target:
        target.write(pixels)
    first = open_raster(image).item
    with rasterio.open(image) as source:
        source.stats(indexes=[1])
    (tmp_path / "image.dat.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert open_raster(image).item == first
    header = tmp_path / "image.hdr"
    moved = header.read_text().replace("5000000", "5000640")
    assert moved != header.read_text()
    header.write_text(moved)
    raster = open_raster(image)
    assert raster.item != first
    assert raster.transform.f == 5_000_640
    with pytest.warns(NotGeoreferencedWarning):
        world = write(tmp_path / "plain.tif", noise(), transform=None)
    (tmp_path / "plain.tfw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    before = open_raster(world).item
    (tmp_path / "plain.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><Metadata><MDI key='STATISTICS_MEAN'>1</MDI></Metadata></PAMRasterBand>"
        "</PAMDataset>"
    )
    assert open_raster(world).item == before
    (tmp_path / "plain.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><Scale>2</Scale></PAMRasterBand></PAMDataset>"
    )
    assert open_raster(world).item != before
    (tmp_path / "plain.tif.aux.xml").unlink()
    (tmp_path / "plain.tfw").write_text("10\n0\n0\n-10\n500005\n5000635\n")
    assert open_raster(world).item != before


@pytest.mark.parametrize(
    ("given", "normal"),
    [("B1", "B01"), ("B8A", "B8A"), ("b08", "B08"), ("B12", "B12"), ("B4, red 665 nm", "B04"), ("SR_B4", "SR_B4")],
)
def test_band_names(given: str, normal: str) -> None:
    assert normalise(given) == normal


def test_colours_name_bands_only_if_the_file_says_so(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.tif", noise(dtype="uint8"), names=(), photometric="MINISBLACK", alpha="no")
    coloured = write(tmp_path / "colour.tif", noise(dtype="uint8"), names=(), photometric="RGB", alpha="no")
    with rasterio.open(coloured, "r+") as target:
        target.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
    assert open_raster(plain).bands.names == ("1", "2", "3", "4")
    assert open_raster(coloured).bands.names == ("R", "G", "B", "N")


@pytest.mark.parametrize(
    ("name", "tags", "expected"),
    [
        ("x_2018-10-13.tif", {}, datetime(2018, 10, 13, tzinfo=UTC)),
        ("madagascar_27_01_2020_L8.tif", {}, datetime(2020, 1, 27, tzinfo=UTC)),
        ("x_20180101.tif", {"TIFFTAG_DATETIME": "2019:02:03 04:05:06"}, datetime(2019, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("x.tif", {"ACQUISITIONDATETIME": "2019-02-03T04:05:06+02:00"}, datetime(2019, 2, 3, 2, 5, 6, tzinfo=UTC)),
        ("m_4709963_se_14.tif", {}, None),
        ("x_20189999.tif", {"datetime": "long ago"}, None),
    ],
)
def test_time_comes_from_tags_before_the_name(
    tmp_path: Path, name: str, tags: dict[str, str], expected: datetime | None
) -> None:
    path = write(tmp_path / name, noise(), tags=tags)
    assert open_raster(path).datetime == expected
    assert open_raster(path, acquisition.parse("2001-02-03")).datetime == datetime(2001, 2, 3, tzinfo=UTC)


def test_a_time_that_is_none() -> None:
    with pytest.raises(InputError, match="no date"):
        acquisition.parse("soon")


@pytest.mark.parametrize(
    ("crs", "transform", "gsd"),
    [
        ("EPSG:4326", Affine(1e-4, 0, 13, 0, -1e-4, 0.008), 11.1),
        ("EPSG:3857", Affine(20, 0, 0, 0, -20, 8_400_000), 10.0),
        ("EPSG:2263", Affine(10, 0, 980_000, 0, -10, 200_000), 3.05),
        ("EPSG:3031", Affine(100, 0, -9_600, 0, -100, 8_000), 102.8),
        ("EPSG:32633", UTM @ Affine.rotation(30), 10.0),
    ],
)
def test_ground_sample_distance_in_any_crs(tmp_path: Path, crs: str, transform: Affine, gsd: float) -> None:
    raster = open_raster(write(tmp_path / "x.tif", noise(), crs=crs, transform=transform))
    assert raster.gsd == pytest.approx(gsd, rel=0.01)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_pixels_are_read_as_they_are(tmp_path: Path, dtype: str) -> None:
    pixels = noise(dtype=dtype)
    with open_raster(write(tmp_path / "x.tif", pixels)).reader(["B08", "B02"]) as reader:
        got, valid = reader.read(10, 20, 30, 40)
    assert got.dtype == np.float32
    assert np.array_equal(got, pixels[[3, 0], 10:40, 20:60].astype(np.float32))
    assert valid.all()


def test_scale_and_offset_are_applied(tmp_path: Path) -> None:
    pixels = noise(bands=2)
    path = write(tmp_path / "S2_N0510_.tif", pixels)
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5, 2.0), (0.0, -3.0)
    with open_raster(path).reader(["B02", "B03"]) as reader:
        got, _ = reader.read(0, 0, 8, 8)
    assert np.allclose(got[0], pixels[0, :8, :8] * 0.5)
    assert np.allclose(got[1], pixels[1, :8, :8] * 2.0 - 3)


@pytest.mark.parametrize(
    ("name", "tags", "shifted"),
    [
        ("S2A_MSIL2A_20220301_N0400_R022_T33TUL.tif", {}, True),
        ("S2A_MSIL2A_20210301_N0301_R022_T33TUL.tif", {}, False),
        ("x.tif", {"PROCESSING_BASELINE": "05.09"}, True),
        ("x_N0510_R1.tif", {"PROCESSING_BASELINE": "02.14"}, False),
        ("x.tif", {"PRODUCT_URI": "S2A_MSIL2A_20230301T100021_N0509_R122_T33TUL.SAFE"}, True),
        ("x_N4500_E013.tif", {}, False),
    ],
)
def test_sentinel_2_offset_since_baseline_4(tmp_path: Path, name: str, tags: dict[str, str], shifted: bool) -> None:
    pixels = noise() + np.uint16(900)
    with open_raster(write(tmp_path / name, pixels, tags=tags)).reader(["B02"]) as reader:
        got, _ = reader.read(0, 0, 16, 16)
    stored = pixels[0, :16, :16].astype(np.float32)
    assert np.array_equal(got[0], np.maximum(stored - 1000, 0) if shifted else stored)


@pytest.mark.parametrize("names", [("red", "green", "blue", "nir"), ("swir16", "rededge2", "nir08", "coastal"), ()])
def test_the_shift_is_of_bands_by_any_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = write(tmp_path / "x.tif", noise(), names=names, tags={"PROCESSING_BASELINE": "05.10"})
    assert open_raster(path).bands.shift == (1000.0,) * 4
    classes = write(tmp_path / "y.tif", noise(bands=2), names=("SCL", "red"), tags={"PROCESSING_BASELINE": "05.10"})
    assert open_raster(classes).bands.shift == (0.0, 1000.0)


def test_a_pixel_counts_if_every_band_has_it(tmp_path: Path) -> None:
    pixels = noise(dtype="float32")
    pixels[1, 3, 4], pixels[2, 5, 6], pixels[0, 7, 8], pixels[3, 1, 1] = np.nan, np.inf, -9999, -9999
    with open_raster(write(tmp_path / "x.tif", pixels, nodata=-9999)).reader(["B02", "B03", "B04"]) as reader:
        got, valid = reader.read(0, 0, 16, 16)
    assert sorted(zip(*np.nonzero(~valid), strict=True)) == [(3, 4), (5, 6), (7, 8)]
    assert np.isfinite(got).all()


def test_masks_and_alpha_count(tmp_path: Path) -> None:
    mask = np.full((160, 192), 255, np.uint8)
    mask[:8] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        masked = write(tmp_path / "mask.tif", noise(), mask=mask)
    pixels = noise(dtype="uint8")
    pixels[3] = mask
    alpha = write(tmp_path / "alpha.tif", pixels, names=(), photometric="RGB", alpha="unspecified")
    with rasterio.open(alpha, "r+") as target:
        target.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    for path, names in ((masked, ("B02", "B03", "B04", "B08")), (alpha, ("R", "G", "B"))):
        raster = open_raster(path)
        assert raster.bands.names == names
        with raster.reader(names) as reader:
            _, valid = reader.read(0, 0, 16, 16)
        assert not valid[:8].any()
        assert valid[8:].all()


def test_bands_by_name_or_number(tmp_path: Path) -> None:
    raster = open_raster(write(tmp_path / "x.tif", noise()))
    assert raster.bands.select(["4", "B2"], "x").names == ("B08", "B02")
    with pytest.raises(BandError, match=r"no band 'B99'; it has B02, B03, B04, B08"):
        raster.reader(["B99"])
    with pytest.raises(BandError, match="each once"):
        raster.reader(["B02", "1"])


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(RasterError, match="no file"):
        open_raster(tmp_path / "absent.tif")
    with pytest.raises(RasterError, match="cannot be opened"):
        open_raster(tmp_path / "text.tif")
    with pytest.raises(RasterError, match="no CRS"):
        open_raster(write(tmp_path / "a.tif", noise(), crs=None))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "b.tif", noise(), transform=Affine.identity())
    with pytest.raises(RasterError, match="no geotransform"):
        open_raster(path)
