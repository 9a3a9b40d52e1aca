"""Several modalities of one place as one chip."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from affine import Affine

from embedstore.errors import BandError, EncoderMismatchError, RasterError
from embedstore.store import Store
from indexer.chips import ChipPlan
from indexer.encode import encode
from indexer.encoders import registry
from indexer.items import open_item
from indexer.pretrain.recipes.clip import TOWERS
from indexer.query_chip import encode_chip
from indexer.rasters import Reader, open_raster
from query.engine import Engine
from tests.indexer import clip_model
from tests.indexer.scenes import UTM, noise, write
from tests.indexer.test_encode import column, ids

if TYPE_CHECKING:
    from pathlib import Path

SIZE = clip_model.SIZE.image
HEIGHT, WIDTH = 48, 64  # 3 x 4 chips


def layer(folder: Path, name: str, seed: int = 0, holes: Any = None, **options: Any) -> Path:
    pixels = noise(len(TOWERS[name]), HEIGHT, WIDTH, "float32", seed)
    if holes is not None:
        pixels[:, *holes] = -1
    return write(folder / f"{name}.tif", pixels, names=TOWERS[name], nodata=-1, **options)


def item(folder: Path, hrefs: dict[str, str], **properties: Any) -> Path:
    path = folder / "item.json"
    said = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "place",
        "properties": {"datetime": "2019-04-16T10:00:00Z", **properties},
        "assets": {name: {"href": href} for name, href in hrefs.items()},
    }
    path.write_text(json.dumps(said))
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    return f"clip@{clip_model.drawn(tmp_path / 'm.safetensors')}"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An item whose radar has no data in the first row of chips, and whose colour has none in half a chip."""
    layer(tmp_path, "optical", 1, np.s_[:SIZE, : SIZE // 2])
    layer(tmp_path, "sar", 2, np.s_[:SIZE, :])
    layer(tmp_path, "coherence", 3)
    hrefs = {"coherence": "coherence.tif", "sar": "./sar.tif", "optical": str(tmp_path / "optical.tif")}
    return item(tmp_path, {"thumbnail": "gone.png", **hrefs})


def test_an_item_becomes_chips_that_know_what_they_have(place: Path, model: str, tmp_path: Path) -> None:
    report = encode([place], tmp_path / "s", encoder=model)
    assert (report.chips, report.skipped_empty) == (12, 0)
    store = Store.open(tmp_path / "s")
    assert [m.name for m in store.encoder.modalities] == ["optical", "sar", "coherence"]
    assert store.verify() == []
    rows = column(store.path, "inputs[1].row")
    assert column(store.path, "modalities") == [0b101 if row == 0 else 0b111 for row in rows]
    assert column(store.path, "[i.modality for i in inputs]") == [["optical", "sar", "coherence"]] * 12
    assert {len(set(items)) for items in column(store.path, "[i.item for i in inputs]")} == {3}
    assert column(store.path, "inputs[3].row") == rows
    at = list(zip(rows, column(store.path, "inputs[2].col"), strict=True))
    fractions = dict(zip(at, column(store.path, "valid_fraction"), strict=True))
    assert fractions.pop((0, 0)) == 0.75  # half of the colour, all of the coherence
    assert set(fractions.values()) == {1.0}
    assert set(column(store.path, "strftime(datetime::timestamp, '%Y-%m-%d')")) == {"2019-04-16"}
    assert all(t[8:12] == b"WEBP" for t in column(store.path, "thumbnail"))
    again = encode([place], tmp_path / "s")
    assert (again.chips, again.already_there) == (0, 12)


def test_a_stored_vector_is_that_of_its_windows(place: Path, model: str, tmp_path: Path) -> None:
    encode([place], tmp_path / "s", encoder=model)
    store = Store.open(tmp_path / "s")
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    stored = np.array(column(store.path, "embedding"), np.float32)
    places = zip(column(store.path, "inputs[1].row"), column(store.path, "inputs[1].col"), strict=True)
    rasters = open_item(place, TOWERS)
    for vector, (row, col) in zip(stored, places, strict=True):
        pixels = {}
        for name, raster in rasters.items():
            with raster.reader(TOWERS[name]) as reader:
                chip, valid = reader.read(row, col, SIZE, SIZE)
            chip[:, ~valid] = np.nan
            pixels[name] = chip[None]
        fresh = encoder.encode(pixels, np.ones((1, SIZE, SIZE), bool))[0]
        assert fresh @ vector > 0.999


def test_a_raster_of_one_tower_is_encoded_and_told_by_its_bit(place: Path, model: str, tmp_path: Path) -> None:
    beside = UTM @ Affine.translation(500, 0)
    radar = noise(4, HEIGHT, WIDTH, "float32", 9)
    alone = write(tmp_path / "alone.tif", radar, names=TOWERS["sar"], transform=beside)
    encode([place], tmp_path / "s", encoder=model)
    assert encode([alone], tmp_path / "s").chips == 12
    assert sorted(column(tmp_path / "s", "modalities")) == [2] * 12 + [5] * 4 + [7] * 8
    encode([alone], tmp_path / "own", encoder=model)
    assert [m.name for m in Store.open(tmp_path / "own").encoder.modalities] == ["sar"]
    assert set(column(tmp_path / "own", "modalities")) == {1}
    with Engine(tmp_path / "s") as engine:
        hits = engine.search(chip=alone, k=30, where="modalities = 7")
        assert len(hits) == 8
        assert len(engine.search(chip=alone, k=30, where="modalities & 2 = 2")) == 20
        assert len(engine.search(chip=alone, k=30, where="modalities = 2")) == 12


def test_one_raster_may_hold_several_modalities(model: str, tmp_path: Path) -> None:
    names = [*TOWERS["optical"], *TOWERS["coherence"]]
    pixels = noise(7, HEIGHT, WIDTH, "float32")
    encode([write(tmp_path / "x.tif", pixels, names=names)], tmp_path / "s", encoder=model)
    assert [m.name for m in Store.open(tmp_path / "s").encoder.modalities] == ["optical", "coherence"]
    assert set(column(tmp_path / "s", "modalities")) == {3}
    assert set(column(tmp_path / "s", "inputs[1].item = inputs[2].item")) == {True}


def test_some_bands_of_a_tower_serve(model: str, tmp_path: Path) -> None:
    pixels = noise(3, HEIGHT, WIDTH, "float32")
    scene = write(tmp_path / "x.tif", pixels, names=["B08", "B03", "B04"])
    encode([scene], tmp_path / "s", encoder=model)
    assert Store.open(tmp_path / "s").encoder.modalities[0].bands == ("B04", "B03")
    encode([scene], tmp_path / "red", encoder=model, bands=["B04"])
    assert Store.open(tmp_path / "red").encoder.modalities[0].bands == ("B04",)
    with pytest.raises(BandError, match="has no band 'B03'"):
        encode([write(tmp_path / "y.tif", pixels[:1], names=["B04"])], tmp_path / "s")
    with pytest.raises(BandError, match="missing: B04,B03,B02"):
        encode([write(tmp_path / "z.tif", pixels, names=["x", "y", "z"])], tmp_path / "z", encoder=model)


def test_an_encoder_of_one_modality_takes_its_asset(place: Path, tmp_path: Path) -> None:
    encode([place], tmp_path / "s", chip_size=SIZE)
    assert column(tmp_path / "s", "[i.modality for i in inputs]") == [["optical"]] * 12
    encode([tmp_path / "optical.tif"], tmp_path / "plain", chip_size=SIZE, datetime="2019-04-16T10:00:00Z")
    assert ids(tmp_path / "s") == ids(tmp_path / "plain")


def test_a_chip_without_any_modality_is_left_out(model: str, tmp_path: Path) -> None:
    for name in ("optical", "sar"):
        layer(tmp_path, name, 1, np.s_[:SIZE, :])
    where = item(tmp_path, {"optical": "optical.tif", "sar": "sar.tif"})
    report = encode([where], tmp_path / "s", encoder=model)
    assert (report.chips, report.skipped_empty) == (8, 4)


def test_an_item_is_a_chip_to_ask_with(place: Path, model: str, tmp_path: Path) -> None:
    encode([place], tmp_path / "s", encoder=model)
    store = Store.open(tmp_path / "s")
    encoder = registry.load(store.encoder_folder, store.encoder, "cpu")
    stored = np.array(column(store.path, "embedding"), np.float32)
    at = list(zip(column(store.path, "inputs[1].row"), column(store.path, "inputs[1].col"), strict=True))
    (tmp_path / "cut").mkdir()
    for name in TOWERS:
        with open_item(place, [name])[name].reader(TOWERS[name]) as reader:
            pixels, _ = reader.read(16, 32, SIZE, SIZE)
        write(tmp_path / "cut" / f"{name}.tif", pixels, names=TOWERS[name], tiled=False)
    cut = item(tmp_path / "cut", {name: f"{name}.tif" for name in TOWERS})
    assert encode_chip(cut, encoder)[0] @ stored[at.index((16, 32))] > 0.999
    radar = encode_chip(tmp_path / "cut" / "sar.tif", encoder)
    assert radar[0] @ stored[at.index((16, 32))] < 0.999


def test_times_of_assets_are_kept(model: str, tmp_path: Path) -> None:
    layer(tmp_path, "optical")
    layer(tmp_path, "sar", tags={"DATETIME": "2019-04-18T05:00:00Z"})
    where = item(tmp_path, {"optical": "optical.tif", "sar": "sar.tif"}, datetime=None)
    said = json.loads(where.read_text())
    said["assets"]["optical"]["datetime"] = "2019-04-16T10:00:00Z"
    where.write_text(json.dumps(said))
    encode([where], tmp_path / "s", encoder=model)
    when = "strftime({}::timestamp, '%m-%d')".format
    assert set(column(tmp_path / "s", when("datetime"))) == {"04-16"}
    assert set(column(tmp_path / "s", when("datetime_end"))) == {"04-18"}
    assert set(column(tmp_path / "s", when("inputs[2].datetime"))) == {"04-18"}
    encode([where], tmp_path / "t", encoder=model, datetime="2020-01-02")
    assert set(column(tmp_path / "t", when("inputs[2].datetime"))) == {"01-02"}


def test_a_span_is_dated_by_its_beginning_and_not_by_its_file(tmp_path: Path) -> None:
    layer(tmp_path, "optical", tags={"TIFFTAG_DATETIME": "2024:05:05 10:00:00"})
    span = {"start_datetime": "2019-04-01T00:00:00Z", "end_datetime": "2019-04-30T00:00:00Z"}
    where = item(tmp_path, {"optical": "optical.tif"}, datetime=None, **span)
    (raster,) = open_item(where, ["optical"]).values()
    assert str(raster.datetime)[:10] == "2019-04-01"


def test_a_scene_of_none_of_the_modalities_is_refused(tmp_path: Path) -> None:
    layer(tmp_path, "optical")
    plan = ChipPlan(open_raster(tmp_path / "optical.tif"), "optical", 32, 32)
    with pytest.raises(BandError, match="has optical; what is asked for is sar"):
        plan.only(["sar"])


@pytest.mark.parametrize(
    "other",
    [
        {"transform": UTM @ Affine.translation(1, 0)},
        {"transform": UTM @ Affine.scale(1.001)},
        {"crs": "EPSG:32634"},
    ],
)
def test_different_grids_are_refused(other: dict[str, Any], model: str, tmp_path: Path) -> None:
    layer(tmp_path, "optical")
    layer(tmp_path, "sar", **other)
    where = item(tmp_path, {"optical": "optical.tif", "sar": "sar.tif"})
    with pytest.raises(RasterError, match=r"'optical' and 'sar' of the item .*item\.json lie on different grids"):
        encode([where], tmp_path / "s", encoder=model)


def test_other_sizes_are_refused(model: str, tmp_path: Path) -> None:
    layer(tmp_path, "optical")
    write(tmp_path / "sar.tif", noise(4, HEIGHT, WIDTH + 1, "float32"), names=TOWERS["sar"])
    with pytest.raises(RasterError, match="65 x 48 pixels"):
        encode([item(tmp_path, {"optical": "optical.tif", "sar": "sar.tif"})], tmp_path / "s", encoder=model)


@pytest.mark.parametrize(
    ("assets", "message"),
    [
        ({}, "no asset named optical or sar or coherence; it has none"),
        ({"visual": {"href": "optical.tif"}}, "it has visual"),
        ({"sar": {"href": "gone.tif"}}, r"'sar' of the item .* cannot be used: there is no file .*gone\.tif"),
        ({"sar": {}}, "has no href"),
        ({"sar": "sar.tif"}, "has no href"),
        ({"sar": {"href": "ftp://example.com/sar.tif"}}, "is at ftp://"),
        ({"sar": {"href": "item.json"}}, "and a raster"),
        ({"sar": {"href": "sar.tif", "datetime": "soon"}}, "'soon' is no date"),
    ],
)
def test_assets_that_lead_nowhere_are_refused(assets: Any, message: str, model: str, tmp_path: Path) -> None:
    layer(tmp_path, "sar")
    where = item(tmp_path, {})
    where.write_text(json.dumps(json.loads(where.read_text()) | {"assets": assets}))
    with pytest.raises(RasterError, match=message):
        encode([where], tmp_path / "s", encoder=model)
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"type": "Feature", "assets": []}', '"Feature"', "\x00"])
def test_what_is_no_item_is_refused(text: str, model: str, tmp_path: Path) -> None:
    where = tmp_path / "item.json"
    where.write_text(text)
    with pytest.raises(RasterError, match=r"is no JSON|is no STAC Item"):
        encode([where], tmp_path / "s", encoder=model)
    with pytest.raises(RasterError, match="no item"):
        encode([tmp_path / "absent.json"], tmp_path / "s", encoder=model)


def test_file_urls_are_paths(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    layer(tmp_path / "a b", "sar")
    where = item(tmp_path, {"sar": (tmp_path / "a b" / "sar.tif").as_uri()})
    assert open_item(where, ["sar"])["sar"].width == WIDTH


def test_bands_are_not_chosen_of_several_modalities(place: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(BandError, match="holds optical and sar and coherence"):
        encode([place], tmp_path / "s", encoder=model, bands=["B04"])


def test_a_bad_item_loses_no_other(place: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad").mkdir()
    bad = item(tmp_path / "bad", {"sar": "gone.tif"})
    report = encode([bad, place], tmp_path / "s", encoder=model)
    assert (report.chips, [p for p, _ in report.scenes_failed]) == (12, [str(bad)])
    (tmp_path / "late").mkdir()
    for name in TOWERS:
        layer(tmp_path / "late", name, 7, transform=UTM @ Affine.translation(0, 300))
    late = item(tmp_path / "late", {name: f"{name}.tif" for name in TOWERS})
    stored = Reader.stored

    def torn(self: Reader, *window: int) -> Any:
        if self.path == tmp_path / "late" / "coherence.tif":
            raise RasterError("coherence.tif is torn")
        return stored(self, *window)

    monkeypatch.setattr(Reader, "stored", torn)
    with pytest.raises(RasterError, match="torn"):
        encode([late], tmp_path / "s")
    with pytest.raises(EncoderMismatchError, match="made with encoder"):
        encode([place], tmp_path / "s", encoder="rcf")
