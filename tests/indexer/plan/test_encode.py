"""Encoding a plan: all of it, once, whatever vanished or was interrupted on the way."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from rasterio.warp import transform as warp

from embedstore.errors import EncoderMismatchError, PlanError, RasterError
from embedstore.store import Store
from indexer.encoders import registry
from indexer.plan import encode, file, make
from indexer.plan.open import open_unit
from tests.indexer.plan import world
from tests.indexer.scenes import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SPRING = "2024-03-01/2024-05-31"


def planned(folder: Path, items: Sequence[dict[str, Any]], **more: Any) -> Path:
    catalogue = world.collection_file(folder / "items.json", items)
    out = folder / "plan.parquet"
    make.plan(world.around(items, 0.01), catalogue, SPRING, out, **{"chip_size": 8, **more})
    return out


def held(store: Path) -> list[str]:
    tables = [pq.ParquetFile(path).read(["id"]) for path in store.glob("h3_cell=*/*.parquet")]
    return [one for table in tables for one in table["id"].to_pylist()]


@pytest.mark.parametrize(
    ("lon", "lat", "west", "east"),
    [(12.0, 45.8, "EPSG:32632", "EPSG:32633"), (180.0, -16.5, "EPSG:32760", "EPSG:32701")],
    ids=["utm zone border", "antimeridian"],
)
def test_what_was_planned_is_encoded_once(tmp_path: Path, lon: float, lat: float, west: str, east: str) -> None:
    items = []
    for name, crs, shift in (("w", west, -640), ("e", east, -320)):
        (x,), (y,) = warp("OGC:CRS84", crs, [lon], [lat])
        items += world.tiling(tmp_path, 1, 2, step=48, size=96, crs=crs, name=name, west=x + shift, north=y)
    plan = planned(tmp_path, items)
    report = encode.encode_plan(plan, tmp_path / "store")
    chips = file.read(plan).chips
    assert (report.chips, report.already_there, report.scenes_failed) == (chips, 0, ())
    ids = held(tmp_path / "store")
    assert len(ids) == len(set(ids)) == chips
    expected = [i for unit in file.units(plan) for block in unit.expected().blocks() for i in block.ids]
    assert sorted(ids) == sorted(expected)
    again = encode.encode_plan(plan, tmp_path / "store")
    assert (again.chips, again.already_there) == (0, chips)


def test_units_one_by_one_give_the_same_table_and_one_commit_each(tmp_path: Path) -> None:
    plan = planned(tmp_path, world.tiling(tmp_path, 2, 2, step=48, size=64))
    units = file.units(plan)
    encode.encode_plan(plan, tmp_path / "together")
    store = encode.open_store(tmp_path / "apart", units, "rcf")
    assert store.encoder == Store.open(tmp_path / "together").encoder
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    before = store.version
    outcomes = [encode.encode_unit(unit, store, encoder) for unit in [*units, units[0]]]
    assert [o.chips for o in outcomes] == [*(u.chips for u in units), 0]
    assert outcomes[-1].already_there == units[0].chips
    store.refresh()
    assert store.version == before + len(units)
    assert sorted(held(tmp_path / "apart")) == sorted(held(tmp_path / "together"))


def test_a_run_that_was_interrupted_goes_on_without_opening_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path, world.tiling(tmp_path, 2, 2, step=48, size=64))
    units = file.units(plan)
    store = encode.open_store(tmp_path / "store", units, "rcf")
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    encode.encode_units(units[:2], store, encoder)
    opened = []
    monkeypatch.setattr(encode, "open_unit", lambda unit, folder: opened.append(unit) or open_unit(unit, folder))
    told: list[tuple[int, int]] = []
    report = encode.encode_plan(plan, tmp_path / "store", progress=lambda done, total: told.append((done, total)))
    assert opened == list(units[2:])
    chips = file.read(plan).chips
    assert report.already_there == sum(u.chips for u in units[:2])
    assert report.chips + report.already_there == chips == len(set(held(tmp_path / "store")))
    assert told[-1] == (chips, chips)


def test_a_store_keeps_its_bands(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 1, 2, step=48, size=64)
    plan = planned(tmp_path, items)
    first, *_ = open_unit(file.units(plan)[0], tmp_path).raster.bands.names
    store = tmp_path / "store"
    chips = encode.encode_plan(plan, store, bands=[first]).chips
    assert encode.encode_plan(plan, store, bands=["1"]).already_there == chips, "by number"
    assert encode.encode_plan(plan, store).already_there == chips
    with pytest.raises(EncoderMismatchError, match=f"bands .* made with {first};"):
        encode.encode_plan(plan, store, bands=["2"])


def test_scenes_that_vanished_are_listed_and_the_rest_is_done(tmp_path: Path) -> None:
    items = world.tiling(tmp_path, 2, 2, step=48, size=64)
    plan = planned(tmp_path, items)
    gone = tmp_path / "t01-optical.tif"
    kept = gone.read_bytes()
    gone.unlink()
    report = encode.encode_plan(plan, tmp_path / "store")
    missing = sum(u.chips for u in file.units(plan) if u.sources[0].item.endswith("t01"))
    assert report.chips == file.read(plan).chips - missing
    ((_, message),) = report.scenes_failed
    assert "stac:made/t01" in message
    assert "there is no file" in message
    gone.write_bytes(kept)
    later = encode.encode_plan(plan, tmp_path / "store")
    assert (later.chips, later.scenes_failed) == (missing, ())


def test_scenes_that_moved_or_broke_are_listed(tmp_path: Path) -> None:
    plan = planned(tmp_path, world.tiling(tmp_path, 3, 1, step=64, size=64))
    world.item(tmp_path, "t00", west=500_010)
    (tmp_path / "t01-optical.tif").write_bytes(b"no raster")
    report = encode.encode_plan(plan, tmp_path / "store")
    messages = sorted(message for _, message in report.scenes_failed)
    assert len(messages) == 2
    assert "does not lie where the plan says" in messages[0]
    assert "cannot be opened" in messages[1]
    assert report.chips == 64


def test_no_scene_is_left_to_learn_from(tmp_path: Path) -> None:
    plan = planned(tmp_path, [world.item(tmp_path, "one")])
    (tmp_path / "one-optical.tif").unlink()
    with pytest.raises(RasterError, match="there is no file"):
        encode.encode_plan(plan, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_plan_for_another_encoder_or_chip_size(tmp_path: Path) -> None:
    items = [world.item(tmp_path, "one")]
    plan = planned(tmp_path, items)
    encode.encode_plan(plan, tmp_path / "store")
    with pytest.raises(EncoderMismatchError, match=r"chip size 16, and the store .* was made with 8"):
        encode.encode_plan(planned(tmp_path, items, chip_size=16), tmp_path / "store")
    with pytest.raises(EncoderMismatchError, match="encoder timm:resnet18"):
        encode.encode_plan(planned(tmp_path, items, encoder="timm:resnet18"), tmp_path / "store")


def test_a_plan_of_another_version_and_what_is_no_plan(tmp_path: Path) -> None:
    plan = planned(tmp_path, [world.item(tmp_path, "one")])
    table = pq.read_table(plan)
    said = json.loads(table.schema.metadata[file.KEY])
    newer = {**table.schema.metadata, file.KEY: json.dumps({**said, "version": 2}).encode()}
    pq.write_table(table.replace_schema_metadata(newer), tmp_path / "newer.parquet")
    pq.write_table(table.replace_schema_metadata({}), tmp_path / "none.parquet")
    for name, words in (
        ("newer", "format 2, and this release reads format 1"),
        ("none", "is Parquet, but no plan"),
        ("missing", "cannot be read"),
    ):
        with pytest.raises(PlanError, match=words):
            encode.encode_plan(tmp_path / f"{name}.parquet", tmp_path / "store")


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    plan = planned(tmp_path, [world.item(tmp_path, "one")])
    good = plan.read_bytes()
    random = np.random.default_rng(0)
    for at in random.integers(0, len(good), 150).tolist():
        broken = bytearray(good)
        broken[at] ^= 1 << int(random.integers(8))
        plan.write_bytes(broken)
        with pytest.raises(PlanError):
            file.read(plan)


def test_bands_of_their_own_files_are_stacked_whatever_their_grids(tmp_path: Path) -> None:
    item = world.item(tmp_path, "one", assets=("red", "nir"), bands=1)
    coarse = world.item(tmp_path, "coarse", assets=("swir",), bands=1, size=32, gsd=20)
    (x,), (y,) = warp("EPSG:32633", "EPSG:32632", [500_000], [5_000_000])
    turned = world.item(
        tmp_path, "turned", assets=("vv",), bands=1, crs="EPSG:32632", west=x - 300, north=y + 300, size=160
    )
    item["assets"] |= {**coarse["assets"], **turned["assets"]}
    plan = planned(tmp_path, [item], modalities=["optical=red,nir,swir,vv"])
    (unit, *_) = file.units(plan)
    opened = open_unit(unit, tmp_path)
    assert opened.raster.bands.names == ("red", "nir", "swir", "vv")
    assert opened.raster.href == item["assets"]["red"]["href"]
    assert opened.raster.item == "stac:made/one"
    with opened.raster.reader(["nir", "swir", "vv"]) as reader:
        read, valid = reader.read(0, 0, 64, 64)
    assert (read[0] == world.pixels(tmp_path / "one-nir.tif")[0]).all()
    assert valid.all()
    twice = world.pixels(tmp_path / "coarse-swir.tif")[0].astype(float).repeat(2, axis=0).repeat(2, axis=1)
    assert np.corrcoef(read[1].ravel(), twice.ravel())[0, 1] > 0.8
    assert 100 < read[2].mean() < 150
    report = encode.encode_plan(plan, tmp_path / "store")
    assert (report.chips, report.scenes_failed) == (64, ())


def test_masks_of_stacked_files_count(tmp_path: Path) -> None:
    item = world.item(tmp_path, "one", assets=("red", "nir"), bands=1)
    for name, columns in (("red", slice(0, 32)), ("nir", slice(16, 40))):
        mask = np.full((64, 64), 255, np.uint8)
        mask[:, columns] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / f"one-{name}.tif", "r+") as scene:
            scene.write_mask(mask)
    (unit, *_) = file.units(planned(tmp_path, [item], modalities=["optical=red,nir"]))
    raster = open_unit(unit, tmp_path).raster
    with raster.reader(raster.bands.names) as reader:
        got, valid = reader.read(0, 0, 64, 64)
    assert (~valid[:, :40]).all()
    assert valid[:, 40:].all()
    stored = np.concatenate([world.pixels(tmp_path / f"one-{name}.tif") for name in ("red", "nir")])
    np.testing.assert_array_equal(got[:, :, 40:], stored[:, :, 40:])


def test_beyond_a_warped_raster_there_is_no_data(tmp_path: Path) -> None:
    lead = world.item(tmp_path, "lead", bands=1, assets=("a", "b"))
    write(
        tmp_path / "half.tif",
        np.full((1, 64, 32), 7, "uint8"),
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        names=(),
    )
    lead["assets"]["b"]["href"] = str(tmp_path / "half.tif")
    (unit, *_) = file.units(planned(tmp_path, [lead], modalities=["optical=a,b"]))
    with open_unit(unit, tmp_path).raster.reader(["b"]) as reader:
        read, valid = reader.read(0, 0, 64, 64)
    assert (read[0][:, :31] == 7).all()
    assert valid[:, :31].all()
    assert not valid[:, 33:].any()


def test_outcomes_add_up() -> None:
    one = encode.Outcome(1, 2, 3, (("a", "b"),))
    assert one + encode.Outcome(10, 20, 30) == encode.Outcome(11, 22, 33, (("a", "b"),))
    assert dataclasses.is_dataclass(one)
