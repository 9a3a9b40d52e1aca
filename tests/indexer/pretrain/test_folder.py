"""Scenes of a folder as a source: placed, in reflectance, in channels; and what is no scene is refused."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from embedstore.errors import RasterError, SpecError
from indexer import demo_scene
from indexer.pretrain.modalities import CLASSES, OPTICAL, PIXELS
from indexer.pretrain.sources import folder as module
from indexer.pretrain.sources.folder import Folder
from tests.indexer.scenes import UTM, noise, write

if TYPE_CHECKING:
    from pathlib import Path

    from indexer.pretrain.sources.batch import Batch

BANDS = ("B02", "B03", "B04", "B08")
ALL = {**PIXELS, **dict.fromkeys(CLASSES, ("class",))}


def draw(path: Path, count: int = 8, size: int = 16, dates: int = 1, seed: int = 0) -> tuple[Batch, ...]:
    return Folder(path).draw(count, size, dates, np.random.default_rng(seed))


def plain(path: Path, side: int = 96, **settings: Any) -> Path:
    """Digital numbers that say where they stand: row and column of the scene."""
    row, col = np.mgrid[:side, :side]
    pixels = np.stack([1000 + row, 1000 + col, np.full_like(row, 3000), 1000 + row]).astype(np.uint16)
    settings = {"names": BANDS, "tags": {"datetime": "2019-04-16"}, "scale": 0.0001} | settings
    scale = settings.pop("scale")
    write(path, pixels, **settings)
    if scale:
        with rasterio.open(path, "r+") as file:
            file.scales = (scale,) * len(pixels)
    return path


def item(folder: Path, name: str = "tile", when: str = "2021-07-15T10:00:00Z", **changes: Any) -> Path:
    """An Item with all modalities, each raster's numbers by its band."""
    folder.mkdir(exist_ok=True)
    assets = {}
    for number, (modality, bands) in enumerate(ALL.items()):
        side = 48
        if modality in CLASSES:
            pixels = np.arange(side * side).reshape(1, side, side).astype(np.uint8) % len(CLASSES[modality])
            pixels[0, 0, :] = 255
        else:
            pixels = np.full((len(bands), side, side), 0.1 * number + 0.05, np.float32)
            pixels += np.arange(len(bands), dtype=np.float32)[:, None, None] / 100
        nodata = 255 if modality in CLASSES else np.nan
        write(folder / f"{name}_{modality}.tif", pixels, names=bands, nodata=nodata)
        assets[modality] = {"href": f"./{name}_{modality}.tif"}
    assets["thumbnail"] = {"href": "thumb.png"}
    said = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "properties": {
            "datetime": when,
            "embedstore:values": {"climate": [*range(11), None]},
            "embedstore:labels": {"biome": 3},
        },
        "assets": assets,
    }
    said.update(changes)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(said))
    return path


def test_chips_of_a_plain_scene_are_reflectances_at_their_place(tmp_path: Path) -> None:
    plain(tmp_path / "scene.tif")
    (batch,) = draw(tmp_path)
    pixels = batch.pixels["optical"]
    assert pixels.shape == (8, 12, 16, 16)
    assert pixels.dtype == np.float32
    have = [OPTICAL.index(b) for b in BANDS]
    lack = [i for i in range(12) if i not in have]
    assert np.isnan(pixels[:, lack]).all()
    assert pixels[:, 3] == pytest.approx(np.full((8, 16, 16), 0.3))
    # The first band holds the row, the second the column, and both lead to the centre.
    row = pixels[:, OPTICAL.index("B02"), 0, 0] * 10_000 - 1000
    col = pixels[:, OPTICAL.index("B03"), 0, 0] * 10_000 - 1000
    x, y = transform("OGC:CRS84", "EPSG:32633", batch.lon, batch.lat)
    assert x == pytest.approx(500_000 + (col + 8) * 10, abs=0.2)
    assert y == pytest.approx(5_000_000 - (row + 8) * 10, abs=0.2)
    assert len(set(zip(row.round(), col.round(), strict=True))) > 1
    assert batch.gsd == 10
    assert batch.values["month"] == pytest.approx(np.tile([np.sin(2 * np.pi / 3), np.cos(2 * np.pi / 3)], (8, 1)))
    assert batch.values["lat"][:, 0] == pytest.approx(np.sin(np.radians(batch.lat)))
    assert batch.labels == {}


def test_the_same_generator_gives_the_same_chips_and_another_gives_others(tmp_path: Path) -> None:
    plain(tmp_path / "scene.tif")
    folder = Folder(tmp_path)
    draws = [folder.draw(8, 16, 1, np.random.default_rng(s))[0].pixels["optical"] for s in (1, 2, 1)]
    assert np.array_equal(draws[0], draws[2], equal_nan=True)
    assert not np.array_equal(draws[0], draws[1], equal_nan=True)
    elsewhere = pickle.loads(pickle.dumps(folder)).draw(8, 16, 1, np.random.default_rng(1))[0].pixels["optical"]  # noqa: S301
    assert np.array_equal(draws[0], elsewhere, equal_nan=True)


def test_tiles_that_are_forgotten_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain(tmp_path / "scene.tif")
    monkeypatch.setattr(module, "TILE", 32)
    whole = draw(tmp_path, count=32, seed=3)[0].pixels["optical"]
    monkeypatch.setattr(module, "KEPT", 100_000)
    assert np.array_equal(draw(tmp_path, count=32, seed=3)[0].pixels["optical"], whole, equal_nan=True)
    monkeypatch.setattr(module, "KEPT", 1)
    assert np.array_equal(draw(tmp_path, count=32, seed=3)[0].pixels["optical"], whole, equal_nan=True)
    rows = whole[:, OPTICAL.index("B02"), 0, 0] * 10_000 - 1000
    assert rows.max() > 64, "the last tile is drawn from"


def test_no_data_is_nan_in_its_own_band(tmp_path: Path) -> None:
    pixels = noise(4, 64, 64).astype(np.uint16) * 10
    pixels[2, :40] = 0
    write(tmp_path / "x.tif", pixels, names=BANDS, nodata=0)
    (tmp_path / "scenes.json").write_text('{"scale": {"*": 0.0001}}')
    (batch,) = draw(tmp_path, 4, 64)
    assert np.isnan(batch.pixels["optical"][:, 3, :40]).all()
    assert not np.isnan(batch.pixels["optical"][:, 3, 40:]).any()
    assert not np.isnan(batch.pixels["optical"][:, 1]).any()


def test_chips_without_data_are_not_drawn(tmp_path: Path) -> None:
    pixels = noise(4, 96, 96).astype(np.uint16) * 10
    pixels[:, :, 40:] = 0
    write(tmp_path / "x.tif", pixels, names=BANDS, nodata=0)
    (tmp_path / "scenes.json").write_text('{"scale": {"*": 0.0001}}')
    (batch,) = draw(tmp_path, 32)
    assert (np.isfinite(batch.pixels["optical"][:, 1]).mean((1, 2)) >= 0.5).all()
    with pytest.raises(RasterError, match="hardly to be found"):
        draw(tmp_path, 32, 96)


def test_a_scene_in_degrees_is_drawn_in_square_pixels_of_ten_metres(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").symlink_to(demo_scene.path())
    folder = Folder(tmp_path)
    (batch,) = folder.draw(8, 32, 1, np.random.default_rng(0))
    assert batch.gsd == 10
    assert 0 < np.nanmedian(batch.pixels["optical"]) < 0.5
    assert not np.isnan(batch.pixels["optical"]).any()
    (place,) = folder._places
    with rasterio.open(demo_scene.path()) as file:
        whole = file.bounds
    lon, lat = place.grid.lonlat(np.array([0.0, place.grid.shape[0]]), np.array([0.0, place.grid.shape[1]]))
    assert lon == pytest.approx([whole.left, whole.right], abs=2e-4)
    assert lat == pytest.approx([whole.top, whole.bottom], abs=2e-4)
    assert place.grid.shape == (960, 1677)  # 689 x 1200 pixels of 13.9 x 14.0 m


def test_items_give_every_modality(tmp_path: Path) -> None:
    item(tmp_path / "items")
    (batch,) = draw(tmp_path, 4, 16)
    assert batch.pixels.keys() == PIXELS.keys()
    for number, (name, bands) in enumerate(PIXELS.items()):
        expected = 0.1 * number + 0.05 + np.arange(len(bands)) / 100
        assert batch.pixels[name].mean((0, 2, 3)) == pytest.approx(expected, abs=1e-5), name
    assert batch.classes.keys() == CLASSES.keys()
    assert batch.classes["land_cover"].max() == len(CLASSES["land_cover"]) - 1
    assert batch.classes["land_cover"].dtype == np.int64
    assert batch.values["climate"][:, :11] == pytest.approx(np.tile(np.arange(11), (4, 1)))
    assert np.isnan(batch.values["climate"][:, 11]).all()
    assert batch.labels["biome"].tolist() == [3] * 4


def test_no_class_is_minus_one(tmp_path: Path) -> None:
    item(tmp_path)
    (batch,) = draw(tmp_path, 2, 48)
    assert (batch.classes["land_cover"][:, 0] == -1).all()
    assert (batch.classes["land_cover"][:, 1:] >= 0).all()


def test_scenes_of_one_grid_are_dates_of_one_place(tmp_path: Path) -> None:
    for month in (1, 4, 7):
        item(tmp_path, f"m{month}", f"2021-{month:02}-15T00:00:00Z")
    plain(tmp_path / "elsewhere.tif", transform=UTM @ Affine.translation(500, 0))
    first, second = draw(tmp_path, 32, 16, dates=2)
    assert np.array_equal(first.lon, second.lon)
    months = np.stack([b.values["month"][:, 0] for b in (first, second)])
    assert (months[0] != months[1]).all()
    assert len(np.unique(months[0].round(3))) == 3, "any of the dates comes first"
    assert (first.labels["biome"] == 3).all(), "the place of one date has no pair"
    with pytest.raises(SpecError, match="4 scenes"):
        draw(tmp_path, dates=4)


def test_what_one_scene_lacks_is_missing_for_its_chips(tmp_path: Path) -> None:
    item(tmp_path / "items")
    plain(tmp_path / "plain.tif", side=48, transform=UTM @ Affine.translation(500, 0))
    (batch,) = draw(tmp_path, 32)
    bare = np.isnan(batch.pixels["sar"]).all((1, 2, 3))
    assert 0 < bare.sum() < 32
    assert np.array_equal(bare, batch.labels["biome"] == -1)
    assert np.array_equal(bare, np.isnan(batch.values["climate"]).all(1))
    assert np.array_equal(bare, (batch.classes["land_cover"] == -1).all((1, 2)))


def test_its_description_tells_what_it_holds(tmp_path: Path) -> None:
    plain(tmp_path / "a.tif")
    (tmp_path / "scenes.json").write_text('{"attribution": "contains modified Copernicus Sentinel data 2019"}')
    said = Folder(tmp_path).describe()
    assert "1 scenes of 1 places (optical)" in said
    assert "2019-04-16" in said
    assert said.endswith("contains modified Copernicus Sentinel data 2019")
    plain(tmp_path / "b.tif", transform=UTM @ Affine.translation(500, 0))
    assert Folder(tmp_path).describe() != said


def test_what_was_simulated_is_said_to_be(tmp_path: Path) -> None:
    plain(tmp_path / "a.tif", transform=UTM @ Affine.translation(500, 0))
    item(tmp_path, properties={"datetime": "2021-07-15T00:00:00Z", "embedstore:simulator": "1"})
    assert "2 scenes of 2 places" in Folder(tmp_path).describe()
    assert "1 of them simulated" in Folder(tmp_path).describe()


def test_numbers_that_cannot_be_reflectance_are_refused(tmp_path: Path) -> None:
    plain(tmp_path / "raw.tif", scale=None)
    with pytest.raises(RasterError, match=r"raw.tif reach 3000, .* scenes.json"):
        Folder(tmp_path)
    (tmp_path / "scenes.json").write_text('{"scale": {"r*.tif": 0.00000001}}')
    with pytest.raises(RasterError, match="reach 3e-05"):
        Folder(tmp_path)
    (tmp_path / "scenes.json").write_text('{"scale": {"r*.tif": 0.0001, "*": 7}}')
    assert np.nanmax(draw(tmp_path)[0].pixels["optical"]) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "cannot be understood"),
        ('{"scales": {}}', "scales"),
        ('{"scale": {"*": "much"}}', "much"),
        ('{"scale": {"*": -1}}', "above 0"),
    ],
)
def test_a_side_file_that_makes_no_sense(tmp_path: Path, said: str, words: str) -> None:
    plain(tmp_path / "x.tif")
    (tmp_path / "scenes.json").write_text(said)
    with pytest.raises(RasterError, match=words):
        Folder(tmp_path)


def test_folders_without_scenes(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="no folder"):
        Folder(tmp_path / "absent")
    with pytest.raises(RasterError, match="holds no scenes"):
        Folder(tmp_path)
    (tmp_path / "catalog.json").write_text('{"type": "Catalog", "stac_version": "1.0.0"}')
    plain(tmp_path / "x.tif")
    (tmp_path / "scenes.json").write_text('{"leave_out": ["x*"]}')
    with pytest.raises(RasterError, match="holds no scenes"):
        Folder(tmp_path)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"names": ("a", "b", "c", "d")}, "none of the bands"),
        ({"crs": None}, "does not say where"),
        ({"transform": Affine(60, 0, 500_000, 0, -60, 5_000_000)}, "pixels of 60"),
        ({"nodata": 1000, "side": 1, "scale": 1e-4}, ""),
    ],
    ids=["names", "crs", "gsd", "small"],
)
def test_scenes_that_cannot_be_used_are_named(tmp_path: Path, settings: dict[str, Any], words: str) -> None:
    plain(tmp_path / "bad.tif", **settings)
    if not words:
        with pytest.raises(SpecError, match="at least 16 x 16"):
            draw(tmp_path)
        return
    with pytest.raises(RasterError, match=f"bad.tif.*{words}"):
        Folder(tmp_path)


def test_a_damaged_scene(tmp_path: Path) -> None:
    path = plain(tmp_path / "bad.tif")
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(RasterError, match=r"bad.tif"):
        draw(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assets": {}}, "no asset"),
        ({"assets": {"sar": {}}}, "href"),
        ({"assets": {"sar": {"href": "absent.tif"}}}, "absent.tif"),
        ({"properties": {"datetime": "someday"}}, "someday"),
        ({"properties": {"embedstore:values": {"climate": [1]}}}, "climate of 1"),
        ({"properties": {"embedstore:labels": {"biome": 14}}}, "biome 14"),
        ({"properties": {"embedstore:labels": {"mood": 1}}}, "mood"),
    ],
)
def test_items_that_make_no_sense(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    item(tmp_path, **changes)
    with pytest.raises(RasterError, match=words):
        Folder(tmp_path)


def test_assets_must_lie_on_one_grid(tmp_path: Path) -> None:
    item(tmp_path)
    write(tmp_path / "tile_sar.tif", np.ones((4, 40, 40), np.float32), names=PIXELS["sar"])
    with pytest.raises(RasterError, match=r"one grid; tile_sar.tif"):
        Folder(tmp_path)


def test_a_class_that_there_is_not(tmp_path: Path) -> None:
    item(tmp_path)
    write(tmp_path / "tile_land_cover.tif", np.full((1, 48, 48), 80, np.uint8), names=("class",))
    with pytest.raises(RasterError, match="class 80; land_cover has 11"):
        draw(tmp_path)


def test_simulated_scenes_come_back_as_they_were_made(tmp_path: Path) -> None:
    from indexer.landscape import Landscape, files

    tile = Landscape("alpha").tile(3, 5, (7,))
    files.write_tile(tmp_path, tile)
    (batch,) = draw(tmp_path, 1, 256)
    for name, values in {**tile.pixels, **tile.scenes[0].pixels}.items():
        assert np.allclose(batch.pixels[name][0], values, atol=0.006), name
    for name, classes in tile.classes.items():
        assert np.array_equal(batch.classes[name][0], classes)
    assert batch.values["climate"].shape == (1, 12)
    assert batch.labels == {name: np.array([number]) for name, number in tile.labels.items()}
