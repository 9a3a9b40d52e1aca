"""Scenes whose numbers are in other units than the store's are refused; dark, bright and empty ones are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio

from embedstore.errors import RasterError
from indexer.encode import encode
from query import Engine
from tests.indexer.scenes import noise, write

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DIGITAL = 20 * noise().astype(np.float32)
"""Digital numbers of Sentinel-2 over land: about 2,400."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    encode([write(tmp_path / "first.tif", DIGITAL.astype(np.uint16))], tmp_path / "s", chip_size=32)
    return tmp_path / "s"


def _other(tmp_path: Path, pixels: NDArray[np.generic]) -> Path:
    return write(tmp_path / "other.tif", pixels)


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (DIGITAL / 10_000, "about 0.2"),
        (DIGITAL * 10_000, "about 2.3"),
        (noise(seed=3).astype(np.uint8), "are bytes and reach 255"),
    ],
)
def test_other_units_are_refused(store: Path, tmp_path: Path, pixels: NDArray[np.generic], says: str) -> None:
    other = _other(tmp_path, pixels)
    with pytest.raises(RasterError, match=f"other units.*B02.*{says}.*scale"):
        encode([other], store)
    engine = Engine(store)
    assert len(engine.snapshot.pieces) == 1
    with pytest.raises(RasterError, match="other units"):
        engine.search(chip=other)


def test_a_refused_scene_loses_no_other(store: Path, tmp_path: Path) -> None:
    other, good = _other(tmp_path, DIGITAL / 10_000), write(tmp_path / "good.tif", noise(seed=5) * 20)
    report = encode([other, good], store)
    assert report.chips == 30
    assert [scene for scene, _ in report.scenes_failed] == [str(other)]


@pytest.mark.parametrize(
    "pixels",
    [
        (DIGITAL / 30).astype(np.uint16),
        (DIGITAL * 12).astype(np.uint16),
        np.stack([*(DIGITAL[:3] / 500), DIGITAL[3]]).astype(np.float32),
        np.stack([*np.zeros_like(DIGITAL[:3]), DIGITAL[3]]).astype(np.uint16),
        np.zeros_like(DIGITAL, np.uint16),
    ],
    ids=["water", "snow", "one band as usual", "three bands of zeros", "zeros alone"],
)
def test_unusual_scenes_are_taken(store: Path, tmp_path: Path, pixels: NDArray[np.generic]) -> None:
    assert encode([_other(tmp_path, pixels)], store).chips == 30


def test_a_scale_in_the_file_makes_them_the_same(store: Path, tmp_path: Path) -> None:
    other = _other(tmp_path, noise(seed=3).astype(np.uint8))
    with rasterio.open(other, "r+") as target:
        target.scales = (20.0,) * 4
    assert encode([other], store).chips == 30


def test_decibels_are_not_power(tmp_path: Path) -> None:
    decibels = (noise(2) / 10 - 25).astype(np.float32)
    power = 10 ** (decibels / 10)
    for name, first, second in (("db", decibels, power), ("power", power, decibels)):
        store = tmp_path / name
        encode([write(tmp_path / f"{name}1.tif", first, names=("VV", "VH"))], store, chip_size=32)
        with pytest.raises(RasterError, match="other units"):
            encode([write(tmp_path / f"{name}2.tif", second, names=("VV", "VH"))], store)


def test_heights_have_no_usual_size(tmp_path: Path) -> None:
    mountains = (noise(1) * 10).astype(np.float32)
    for number, lowland in enumerate((mountains / 1000, -mountains / 100, noise(1, seed=4).astype(np.uint8))):
        store = tmp_path / f"s{number}"
        encode([write(tmp_path / f"m{number}.tif", mountains, names=("elevation",))], store, chip_size=32)
        assert encode([write(tmp_path / f"l{number}.tif", lowland, names=("elevation",))], store).chips == 30


def test_a_scene_is_judged_by_its_first_window_with_enough_data(tmp_path: Path) -> None:
    """Neither undeclared zeros before it nor a few odd pixels at its edge decide."""
    wide = 20 * noise(height=64, width=1536).astype(np.float32)
    encode([write(tmp_path / "first.tif", wide.astype(np.uint16))], tmp_path / "s", chip_size=32)
    dark = wide / 10_000
    dark[:, :, :512] = 0
    with pytest.raises(RasterError, match="other units"):
        encode([write(tmp_path / "dark.tif", dark)], tmp_path / "s")
    odd = wide.copy()
    odd[:, :, :512] = 0
    odd[:, 0, 0] = 3
    assert encode([write(tmp_path / "odd.tif", odd.astype(np.uint16), nodata=0)], tmp_path / "s").chips


def test_bands_of_bytes_beside_those_wanted_do_not_count(store: Path, tmp_path: Path) -> None:
    write(tmp_path / "classes.tif", noise(1).astype(np.uint8), names=("SCL",))
    write(tmp_path / "image.tif", (noise(seed=7) * 20).astype(np.uint16))
    parts = [
        f"""<VRTRasterBand dataType="{kind}" band="{band}"><Description>{name}</Description><SimpleSource>
        <SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>{at}</SourceBand></SimpleSource>
        </VRTRasterBand>"""
        for band, (kind, name, file, at) in enumerate(
            [
                ("Byte", "SCL", "classes.tif", 1),
                *(("UInt16", n, "image.tif", i) for i, n in enumerate(("B02", "B03", "B04", "B08"), 1)),
            ],
            1,
        )
    ]
    both = tmp_path / "both.vrt"
    both.write_text(
        f"""<VRTDataset rasterXSize="192" rasterYSize="160"><SRS>EPSG:32633</SRS>
        <GeoTransform>500000,10,0,5000000,0,-10</GeoTransform>{"".join(parts)}</VRTDataset>"""
    )
    assert encode([both], store).chips == 30
