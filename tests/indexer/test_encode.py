from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio.shutil
import shapely
from affine import Affine

from embedstore.errors import (
    BandError,
    EncoderMismatchError,
    GeometryError,
    InputError,
    NotAStoreError,
    RasterError,
)
from embedstore.store import Store
from indexer import chips, commits, pipeline
from indexer.encode import encode
from indexer.encoders import registry
from indexer.query_chip import encode_chip
from indexer.rasters import Reader, open_raster
from tests.indexer.scenes import UTM, noise, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("scene") / "x_20190416.tif", noise(), nodata=0)


def ids(store: Path) -> list[str]:
    import duckdb

    found = duckdb.sql(f"select id from read_parquet('{store}/h3_cell=*/*.parquet') order by id").fetchall()
    return [i for (i,) in found]


def column(store: Path, sql: str) -> list[Any]:
    import duckdb

    return [
        v
        for (v,) in duckdb.sql(f"select {sql} from read_parquet('{store}/h3_cell=*/*.parquet') order by id").fetchall()
    ]


def test_a_scene_becomes_rows(scene: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = encode([scene], tmp_path / "s", chip_size=32, progress=lambda done, total: seen.append((done, total)))
    assert (report.chips, report.skipped_empty, report.already_there, report.scenes_failed) == (30, 0, 0, ())
    assert seen[-1] == (30, 30)
    assert Store.open(tmp_path / "s").verify() == []
    raster = open_raster(scene)
    assert column(tmp_path / "s", "inputs[1].item") == [raster.item] * 30
    assert set(column(tmp_path / "s", "strftime(datetime::timestamp, '%Y-%m-%d')")) == {"2019-04-16"}
    assert set(column(tmp_path / "s", "valid_fraction")) == {1.0}
    vectors = np.array(column(tmp_path / "s", "embedding"), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(30), abs=1e-3)
    assert all(t[:4] == b"RIFF" and t[8:12] == b"WEBP" for t in column(tmp_path / "s", "thumbnail"))


def test_a_stored_vector_is_that_of_its_window(scene: Path, tmp_path: Path) -> None:
    encode([scene], tmp_path / "s", chip_size=32, stride=20)
    store = Store.open(tmp_path / "s")
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    stored = np.array(column(store.path, "embedding"), np.float32)
    places = zip(column(store.path, "inputs[1].row"), column(store.path, "inputs[1].col"), strict=True)
    with open_raster(scene).reader(store.encoder.modalities[0].bands) as reader:
        for vector, (row, col) in zip(stored, places, strict=True):
            pixels, valid = reader.read(row, col, 32, 32)
            fresh = encoder.encode({"optical": pixels[None]}, valid[None])[0]
            assert fresh @ vector > 0.999


def test_two_runs_give_the_same_ids_and_the_second_reads_nothing(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode([scene], tmp_path / "a", chip_size=32)
    encode([scene], tmp_path / "b", chip_size=32)
    assert ids(tmp_path / "a") == ids(tmp_path / "b")
    monkeypatch.setattr(Reader, "stored", None)
    report = encode([scene], tmp_path / "a")
    assert (report.chips, report.already_there) == (0, 30)


def test_an_interrupt_while_the_threads_start_leaves_none_waiting(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "AHEAD", 0)  # the reader soon waits for a lane
    monkeypatch.setattr(pipeline, "BATCH_BYTES", 1)
    start, started = threading.Thread.start, list[threading.Thread]()

    def interrupted(self: threading.Thread) -> None:
        if self.name.startswith("lane-"):
            raise KeyboardInterrupt
        start(self)
        if self.name.startswith("reader-"):
            started.append(self)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encode([scene], tmp_path / "s", chip_size=32)
    assert started
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()


def test_an_interrupted_run_goes_on_where_it_stopped(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chips, "BLOCK", 2)
    monkeypatch.setattr(commits, "PAUSE", 0)
    append, appended = Store.append_units, []

    def power_cut(self: Store, units: Any) -> int:
        if len(appended) == 3:
            raise KeyboardInterrupt
        appended.append(append(self, units))
        return appended[-1]

    monkeypatch.setattr(Store, "append_units", power_cut)
    with pytest.raises(KeyboardInterrupt):
        encode([scene], tmp_path / "s", chip_size=32)
    monkeypatch.setattr(Store, "append_units", append)
    kept = sum(appended)
    assert 0 < kept == len(ids(tmp_path / "s")) < 30
    pixels = 0
    stored = Reader.stored

    def counting(self: Reader, *window: int) -> Any:
        nonlocal pixels
        pixels += window[2] * window[3]
        return stored(self, *window)

    monkeypatch.setattr(Reader, "stored", counting)
    report = encode([scene], tmp_path / "s")
    assert (report.chips, report.already_there) == (30 - kept, kept)
    assert pixels == (30 - kept) * 32 * 32
    encode([scene], tmp_path / "whole", chip_size=32)
    assert ids(tmp_path / "s") == ids(tmp_path / "whole")


def test_overlapping_chips_read_no_pixel_twice(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode([scene], tmp_path / "s", chip_size=32)
    pixels, stored = 0, Reader.stored

    def counting(self: Reader, *window: int) -> Any:
        nonlocal pixels
        pixels += window[2] * window[3]
        return stored(self, *window)

    monkeypatch.setattr(Reader, "stored", counting)
    report = encode([scene], tmp_path / "s", stride=8)
    assert report.chips + report.already_there == 17 * 21
    assert report.already_there == 30
    assert pixels == 160 * 192


def test_deleted_chips_come_back(scene: Path, tmp_path: Path) -> None:
    encode([scene], tmp_path / "s", chip_size=32)
    store = Store.open(tmp_path / "s")
    store.delete(ids=ids(store.path)[:4])
    assert encode([scene], store.path).chips == 4


def test_chips_without_data_are_counted(tmp_path: Path) -> None:
    pixels = noise()
    pixels[:, :64] = 0
    pixels[:, 64:80] = 0
    report = encode([write(tmp_path / "x.tif", pixels, nodata=0)], tmp_path / "s", chip_size=32)
    assert (report.chips, report.skipped_empty) == (18, 12)
    assert sorted(set(column(tmp_path / "s", "valid_fraction"))) == [0.5, 1.0]
    assert set(column(tmp_path / "s", "datetime is null")) == {True}


def test_the_first_scene_tells_the_pixels_of_a_new_store(tmp_path: Path) -> None:
    """Whatever the order of their contents, by which samples are drawn."""
    fine = [write(tmp_path / f"{seed}.tif", noise(seed=seed)) for seed in range(3)]
    coarse = [
        write(tmp_path / f"c{seed}.tif", noise(seed=9 + seed), transform=UTM @ Affine.scale(3)) for seed in range(3)
    ]
    gsd = open_raster(fine[0]).gsd
    for number, scenes in enumerate(([*fine, *coarse], [*coarse, *fine])):
        report = encode(scenes, tmp_path / f"s{number}", chip_size=32)
        assert Store.open(tmp_path / f"s{number}").encoder.gsd == pytest.approx(gsd * (3 if number else 1))
        assert {path for path, _ in report.scenes_failed} == {str(path) for path in (fine if number else coarse)}


def test_a_scene_without_data_is_an_error(scene: Path, tmp_path: Path) -> None:
    blank = write(tmp_path / "blank.tif", np.zeros_like(noise()), nodata=0)
    with pytest.raises(RasterError, match="holds a pixel of data"):
        encode([blank], tmp_path / "s", chip_size=32)
    assert not (tmp_path / "s").exists()
    encode([scene], tmp_path / "s", chip_size=32)
    with pytest.raises(RasterError, match=r"30 chips of .*blank\.tif holds a pixel"):
        encode([blank], tmp_path / "s")


def test_a_scene_whose_chips_with_data_are_there_already_is_none_without_data(tmp_path: Path) -> None:
    """Only those without are looked at again, once a deletion has renamed the units of work."""
    scenes = []
    for seed in (1, 2):
        pixels = noise(seed=seed)
        pixels[:, :96] = 0
        scenes.append(write(tmp_path / f"{seed}.tif", pixels, nodata=0))
    encode(scenes, tmp_path / "s", chip_size=32)
    store = Store.open(tmp_path / "s")
    store.delete(ids=ids(store.path)[:1])
    report = encode(scenes, tmp_path / "s")
    assert (report.chips, report.already_there, report.scenes_failed) == (1, 23, ())


def truncated(tmp_path: Path) -> Path:
    whole = write(tmp_path / "whole.tif", noise(seed=5, height=640, width=640))
    path = tmp_path / "torn.tif"
    rasterio.shutil.copy(whole, path, driver="COG", blocksize=128, overviews="NONE")  # its directory stands in front
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 3 // 4])
    return path


def test_a_torn_scene_loses_no_other(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.sample.CHIPS", 4)
    torn = truncated(tmp_path)
    encode([scene], tmp_path / "s", chip_size=32)
    other = write(tmp_path / "other.tif", noise(seed=9))
    report = encode([torn, other], tmp_path / "s")
    assert report.chips == 30
    assert [p for p, _ in report.scenes_failed] == [str(torn)]
    assert "torn.tif cannot be read" in report.scenes_failed[0][1]
    with pytest.raises(RasterError, match=r"torn.tif cannot be read"):
        encode([torn], tmp_path / "s")


def test_a_missing_scene_loses_no_other(scene: Path, tmp_path: Path) -> None:
    report = encode([tmp_path / "absent.tif", scene, scene], tmp_path / "s", chip_size=32)
    assert report.chips == 30
    assert "no file" in report.scenes_failed[0][1]
    assert "absent.tif" in str(report)
    with pytest.raises(InputError, match="no scenes"):
        encode([], tmp_path / "s")


def test_the_store_keeps_its_encoder(scene: Path, tmp_path: Path) -> None:
    store = tmp_path / "s"
    encode([scene], store, chip_size=32, bands=["B04", "B03"])
    for wrong in (
        {"encoder": "timm:test_convnext@random"},
        {"chip_size": 64},
        {"bands": ["B03", "B04"]},
    ):
        with pytest.raises(EncoderMismatchError, match="the store was made with"):
            encode([scene], store, **wrong)  # type: ignore[arg-type]
    encode([scene], store, encoder="rcf", chip_size=32, bands=["3", "2"])
    coarse = write(tmp_path / "coarse.tif", noise(), transform=UTM @ Affine.scale(3))
    with pytest.raises(EncoderMismatchError, match="pixels of 30 m"):
        encode([coarse], store)
    with pytest.raises(BandError, match="no band 'B04'"):
        encode([write(tmp_path / "y.tif", noise(), names=["a", "b", "c", "d"])], store)


def test_bad_requests(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(BandError, match="no band 'B99'"):
        encode([scene], tmp_path / "s", bands=["B99"])
    with pytest.raises(RasterError, match="--chip-size 160"):
        encode([scene], tmp_path / "s", chip_size=200)
    with pytest.raises(GeometryError, match="no chip of"):
        encode([scene], tmp_path / "s", aoi=(0, 0, 1, 1), chip_size=32)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotAStoreError, match="is a file"):
        encode([scene], tmp_path / "file", chip_size=32)


def test_an_area_limits_what_is_encoded(scene: Path, tmp_path: Path) -> None:
    raster = open_raster(scene)
    lon, lat = raster.lonlat(np.array([0.0, 96]), np.array([64.0, 0]))
    aoi = (float(lon[0]) - 1e-3, float(lat[0]), float(lon[1]), float(lat[1]) + 1e-3)
    report = encode([scene], tmp_path / "s", chip_size=32, aoi=aoi)
    assert report.chips == 6
    shapes = shapely.from_wkb(column(tmp_path / "s", "geometry"))
    assert shapely.covers(shapely.box(*aoi).buffer(1e-3), shapes).all()


def test_the_first_error_stops_everything(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode([scene], tmp_path / "s", chip_size=32)

    def full(*_: object) -> int:
        raise MemoryError("full")

    monkeypatch.setattr(pipeline.Batch, "add", full)
    with pytest.raises(MemoryError, match="full"):
        encode([scene], tmp_path / "s", stride=8)


def test_a_store_made_meanwhile_is_used(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode([scene], tmp_path / "theirs", chip_size=32)
    make = registry.make

    def slow(*args: Any) -> Any:
        spec = make(*args)
        shutil.copytree(tmp_path / "theirs", tmp_path / "s")
        return spec

    monkeypatch.setattr(registry, "make", slow)
    report = encode([scene], tmp_path / "s", chip_size=32)
    assert (report.chips, report.already_there) == (0, 30)


def test_a_chip_file_is_encoded_like_the_store(scene: Path, tmp_path: Path) -> None:
    encode([scene], tmp_path / "s", chip_size=32, bands=["B02", "B08"])
    store = Store.open(tmp_path / "s")
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    whole = noise()
    cut = write(tmp_path / "cut.tif", whole[[3, 1, 0], 32:64, 64:96], names=["B8", "x", "B2"], nodata=0, tiled=False)
    vector = encode_chip(cut, encoder)
    place = [
        (r, c) == (32, 64)
        for r, c in zip(column(store.path, "inputs[1].row"), column(store.path, "inputs[1].col"), strict=True)
    ]
    stored = np.array(column(store.path, "embedding"), np.float32)[place][0]
    assert vector.shape == (1, store.encoder.dimension)
    assert vector[0] @ stored > 0.9999
    larger = write(tmp_path / "larger.tif", whole[:, 16:80, 48:112], tiled=False)
    assert encode_chip(larger, encoder)[0] @ stored > 0.9999
    small = write(tmp_path / "small.tif", whole[:, :20, :20], tiled=False)
    with pytest.raises(RasterError, match="20 x 20 pixels; this store's encoder takes chips of 32"):
        encode_chip(small, encoder)
    with pytest.raises(BandError, match="no band 'B08'"):
        encode_chip(write(tmp_path / "rgb.tif", whole[:3], tiled=False), encoder)
