"""`embedstore encode`: from a real scene to a store, again without doubling anything, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from embedstore.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.query.cli.conftest import Ran

HALF = "POLYGON ((13.33 45.70, 13.36 45.70, 13.36 45.80, 13.33 45.80, 13.33 45.70))"


@pytest.fixture
def encode(run: Callable[..., Ran], tmp_path: Path) -> Callable[..., Ran]:
    return lambda *arguments: run("encode", *arguments, "--store", tmp_path / "store", "--chip-size", 32)


def raster(path: Path, values: np.ndarray[Any, Any], **profile: Any) -> Path:
    settings: dict[str, Any] = {
        "driver": "GTiff",
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
        "crs": "EPSG:32633",
        "transform": from_origin(300_000, 5_000_000, 10, 10),
        **profile,
    }
    with rasterio.open(path, "w", **settings) as out:
        out.write(values)
    return path


def test_from_scene_to_search(encode: Callable[..., Ran], run: Callable[..., Ran], scene: Path, tmp_path: Path) -> None:
    ran = encode(scene, "--bands", "B02,B03,B04,B08", "--datetime", "2019-04-16", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["chips"] == 100
    again = encode(scene, "--bands", "B02,B03,B04,B08", "--datetime", "2019-04-16", "--json")
    assert json.loads(again.out)["chips"] == 0
    store = tmp_path / "store"
    assert Store.open(store).encoder.modalities[0].bands == ("B02", "B03", "B04", "B08")
    assert run("index", store).code == 0
    assert run("verify", store).code == 0
    hits = json.loads(run("search", store, "--at", "13.367,45.767", "--json").out)["hits"]
    assert len(hits) == 10
    assert hits[0]["score"] >= 0.999
    assert hits[0]["datetime"].startswith("2019-04-16")
    self_found = json.loads(run("search", store, "--id", hits[5]["id"], "--recall", "exact", "--json").out)
    assert self_found["hits"][0]["id"] == hits[5]["id"]


def test_a_chip_of_the_scene_finds_itself(run: Callable[..., Ran], store: Path, scene: Path, tmp_path: Path) -> None:
    from rasterio.windows import Window

    from query.demo import cut

    cut(scene, Window(96, 64, 32, 32), tmp_path / "chip.tif")
    hit = json.loads(run("search", store, "--chip", tmp_path / "chip.tif", "-k", 1, "--json").out)["hits"][0]
    assert (hit["inputs"][0]["col"], hit["inputs"][0]["row"]) == (96, 64)
    assert hit["score"] >= 0.999


def test_chips_that_cannot_be_asked_for(run: Callable[..., Ran], store: Path, tmp_path: Path) -> None:
    run("search", store, "--chip", tmp_path / "absent.tif").refused("absent.tif")
    (tmp_path / "text.tif").write_text("no raster")
    run("search", store, "--chip", tmp_path / "text.tif").refused("text.tif")
    rgb = np.random.default_rng(0).integers(1, 5000, (3, 32, 32)).astype(np.uint16)
    run("search", store, "--chip", raster(tmp_path / "rgb.tif", rgb)).refused("rgb.tif")
    run("search", store, "--chip", tmp_path).refused(str(tmp_path))


def test_an_area_and_a_stride(encode: Callable[..., Ran], scene: Path, tmp_path: Path) -> None:
    (tmp_path / "half.wkt").write_text(HALF)
    ran = encode(scene, "--aoi", tmp_path / "half.wkt", "--stride", 16, "--json")
    written = json.loads(ran.out)["chips"]
    assert 100 < written < 361
    lon = Store.open(tmp_path / "store").snapshot().pieces[0].segment.column("lon")
    assert (lon < 13.37).all()


def test_the_text_says_how_many_chips(encode: Callable[..., Ran], scene: Path) -> None:
    ran = encode(scene, "--bands", "B04")
    assert ran.out.startswith("encoded 100 chips")
    assert len(ran.out.splitlines()) == 1
    assert "100 were there already" in encode(scene).out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bands", "B02,B99"], "B99"),
        (["--encoder", "nonsense"], "nonsense"),
        (["--encoder", "timm:no_such_model"], "no_such_model"),
        (["--aoi", "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))"], "area of interest"),
        (["--aoi", "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"], "invalid"),
        (["--aoi", "absent.geojson"], "absent.geojson"),
        (["--stride", "0"], "stride"),
        (["--datetime", "yesterday"], "yesterday"),
    ],
)
def test_bad_options_are_refused_and_no_store_is_left(
    encode: Callable[..., Ran], scene: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    ran = encode(scene, *options)
    ran.refused(words, code=ran.code)
    assert ran.code in (1, 2)
    assert not (tmp_path / "store" / "_delta_log").exists()


@pytest.mark.parametrize("size", [0, -5, 100_000])
def test_bad_chip_sizes(run: Callable[..., Ran], scene: Path, tmp_path: Path, size: int) -> None:
    ran = run("encode", scene, "--store", tmp_path / "store", "--chip-size", size)
    ran.refused(str(size) if size else "chip size", code=ran.code)
    assert ran.code in (1, 2)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("fault", ["absent", "text", "truncated", "no crs", "nothing but nodata"])
def test_bad_scenes_are_refused_with_their_name(
    encode: Callable[..., Ran], scene: Path, tmp_path: Path, fault: str
) -> None:
    bad = tmp_path / "bad.tif"
    pixels = np.random.default_rng(0).integers(1, 5000, (3, 64, 64)).astype(np.uint16)
    if fault == "text":
        bad.write_text("no raster")
    elif fault == "truncated":
        bad.write_bytes(scene.read_bytes()[:20_000])
    elif fault == "no crs":
        raster(bad, pixels, crs=None)
    elif fault == "nothing but nodata":
        raster(bad, 0 * pixels, nodata=0)
    ran = encode(bad)
    ran.refused("bad.tif", code=ran.code)
    assert ran.code in (1, 2)


def test_a_store_of_another_encoder_is_left_alone(run: Callable[..., Ran], own_store: Path, scene: Path) -> None:
    before = Store.open(own_store)
    for options in (["--bands", "B02,B03"], ["--chip-size", 16], ["--encoder", "timm:resnet18"]):
        run("encode", scene, "--store", own_store, *options).refused("store", code=1)
    assert Store.open(own_store).version == before.version


def test_a_store_path_that_is_a_file(run: Callable[..., Ran], scene: Path, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    run("encode", scene, "--store", tmp_path / "store", "--bands", "B04").refused("is a file", code=1)
    assert (tmp_path / "store").read_text() == "a file"


def test_a_scene_that_fails_among_others_is_named_and_the_others_are_encoded(
    encode: Callable[..., Ran], scene: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.tif").write_text("no raster")
    ran = encode(tmp_path / "bad.tif", scene, "--bands", "B04", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["chips"] == 100
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("error: ")
    assert "bad.tif" in ran.err


def test_an_interrupted_run_stops_at_once_and_resumes(scene: Path, tmp_path: Path) -> None:
    arguments = ["encode", str(scene), "--store", str(tmp_path / "store"), "--chip-size", "32", "--stride", "8",
                 "--bands", "B04"]  # fmt: skip
    command = [sys.executable, "-c", f"from query.cli import main; main({arguments!r})"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        while not (tmp_path / "store" / "_delta_log").is_dir():
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.splitlines() == [line for line in err.splitlines() if line.startswith("interrupted")]
    subprocess.run(command, check=True, capture_output=True)
    assert Store.open(tmp_path / "store").rows == 37 * 37


def test_no_store_is_wrong_usage(run: Callable[..., Ran], scene: Path) -> None:
    run("encode", scene).refused("--store")
    run("encode", "--store", "s").refused("SCENE")
