from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import obstore
import pytest
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from benchmarks.loopback import BUCKET, Loopback
from embedstore import cloud
from embedstore.errors import RasterError
from embedstore.store import Store
from indexer import remote
from indexer.encode import encode
from indexer.rasters import open_raster
from query import Engine
from tests.indexer.scenes import noise, write
from tests.remote.http_server import Fault, Web, web

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 640


def cog(seed: int = 0, compress: str = "deflate") -> bytes:
    values = np.random.default_rng(seed).integers(1, 4000, (3, SIDE, SIDE), dtype="uint16")
    with MemoryFile() as memory:
        with memory.open(
            driver="COG",
            width=SIDE,
            height=SIDE,
            count=3,
            dtype="uint16",
            crs="EPSG:32633",
            transform=from_origin(4e5, 5e6, 10, 10),
            blocksize=128,
            compress=compress,
        ) as scene:
            scene.write(values)
        return bytes(memory.read())


@pytest.fixture(scope="module")
def whole() -> bytes:
    return cog()


@pytest.fixture
def server(whole: bytes, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    for name, value in (("GDAL_HTTP_TIMEOUT", "1"), ("GDAL_HTTP_MAX_RETRY", "3"), ("GDAL_HTTP_RETRY_DELAY", "0.05")):
        monkeypatch.setitem(remote.OPTIONS, name, value)
    with web() as server:
        server.files[f"/{request.node.name}.tif"] = whole  # GDAL remembers URLs
        yield server


def scene(server: Web) -> str:
    return server.url + next(iter(server.files))


def test_a_scene_is_encoded_where_it_lies_as_it_is_here(server: Web, whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "here.tif").write_bytes(whole)
    encode([tmp_path / "here.tif"], tmp_path / "here", chip_size=32, stride=160)
    server.asked.clear()
    encode([scene(server)], tmp_path / "there", chip_size=32, stride=160)
    assert len(server.asked) < 25, "few reads"
    here, there = (Store.open(tmp_path / name) for name in ("here", "there"))
    assert there.rows == here.rows == 16
    vectors = [s.snapshot().pieces[0].segment.take_vectors(np.arange(16)) for s in (here, there)]
    lon = [s.snapshot().pieces[0].segment.column("lon") for s in (here, there)]
    order = [
        np.lexsort((s.snapshot().pieces[0].segment.column("lat"), x)) for s, x in zip((here, there), lon, strict=True)
    ]
    assert (vectors[0][order[0]] == vectors[1][order[1]]).all()
    snapshot = there.snapshot()
    (name, *_), (row, *_) = snapshot.place(snapshot.pieces[0], np.arange(1))
    id_ = snapshot.pieces[0].segment.column("id")[0].tobytes().hex()
    read = snapshot.fetch([name], np.array([row]), ["inputs"], [id_])["inputs"][0].as_py()[0]
    assert read["href"] == scene(server)
    assert read["item"].startswith("range:")


@pytest.mark.parametrize(
    "fault", [Fault(2, status=503), Fault(1, cut=True), Fault(1, sleep=1.5)], ids=["503", "cut", "slow"]
)
def test_bad_answers_are_asked_again(server: Web, whole: bytes, fault: Fault) -> None:
    raster = open_raster(scene(server))
    server.faults = [fault]
    with MemoryFile(whole) as memory, memory.open() as right, raster.reader(raster.bands.names) as reader:
        stored, valid = reader.stored(500, 300, 100, 200)
        assert (stored == right.read()[:, 500:600, 300:500]).all()
        assert valid.all()
    assert fault.count == 0


def test_a_server_that_stays_down_is_an_error(server: Web) -> None:
    raster = open_raster(scene(server))
    with raster.reader(raster.bands.names) as reader:
        server.faults = [Fault(10_000, status=503)]
        with pytest.raises(RasterError, match=r"cannot be read: .*does the server answer"):
            reader.stored(500, 300, 100, 200)
    with pytest.raises(RasterError, match=r"other\.tif"):
        open_raster(f"{server.url}/other.tif")


def test_what_is_not_there_or_not_whole_or_no_raster(server: Web, whole: bytes) -> None:
    with pytest.raises(RasterError, match=r"there is no file http://.*nowhere.tif \(404\)"):
        open_raster(f"{server.url}/nowhere.tif")
    server.files["/short.tif"] = whole[: len(whole) // 2]
    raster = open_raster(f"{server.url}/short.tif")
    with raster.reader(raster.bands.names) as reader, pytest.raises(RasterError, match="cannot be read"):
        reader.stored(0, 0, SIDE, SIDE)
    server.files["/page.html"] = b"<html>" * 100
    with pytest.raises(RasterError, match=r"page\.html cannot be read"):
        open_raster(f"{server.url}/page.html")


@pytest.mark.parametrize("number", [401, 403, 404])
def test_a_number_in_a_name_is_no_answer_of_the_server(server: Web, number: int) -> None:
    server.files[f"/{number}/of-{number}.tif"] = b"no raster" * 100
    with pytest.raises(RasterError, match=rf"of-{number}\.tif cannot be read"):
        open_raster(f"{server.url}/{number}/of-{number}.tif")


def test_no_driver_that_follows_what_a_file_says(server: Web, tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    secret.write_bytes(cog(1))
    vrt = f"""<VRTDataset rasterXSize="4" rasterYSize="4"><SRS>EPSG:32633</SRS>
    <GeoTransform>4e5,10,0,5e6,0,-10</GeoTransform><VRTRasterBand dataType="UInt16"><SimpleSource>
    <SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"""
    server.files["/trap.tif"] = vrt.encode()
    with pytest.raises(RasterError, match=r"trap\.tif cannot be read"):
        open_raster(f"{server.url}/trap.tif")


def test_a_signature_is_used_and_never_shown(server: Web, whole: bytes) -> None:
    server.files["/signed.tif?sig=very%2Fsecret"] = whole
    raster = open_raster(Path(f"{server.url}/signed.tif?sig=very%2Fsecret"))
    assert "secret" not in str(raster)
    assert remote.href(raster.path) == f"{server.url}/signed.tif"
    server.files.clear()
    with pytest.raises(RasterError) as refused, raster.reader(raster.bands.names) as reader:
        reader.stored(500, 300, 100, 200)
    assert "secret" not in str(refused.value)


def test_identity_is_of_content(server: Web, whole: bytes) -> None:
    server.files |= {"/a.tif": whole, "/b.tif": whole, "/c.tif": cog(2)}
    a, b, c = (remote.identity(Path(f"{server.url}/{name}.tif")) for name in "abc")
    assert a == b != c
    server.faults = [Fault(1, status=503), Fault(1, cut=True)]
    assert remote.identity(Path(f"{server.url}/a.tif")) == a
    server.ranges = False
    with pytest.raises(RasterError, match="gives no parts"):
        remote.identity(Path(f"{server.url}/a.tif"))


def test_pixels_that_are_not_compressed_are_of_the_identity(server: Web, tmp_path: Path) -> None:
    """Their blocks have the same places and lengths whatever is in them."""
    items = []
    for seed in (1, 2):
        pixels = np.ones((1, 4096, 1024), np.uint16)
        pixels[:, 1500:3000] = noise(1, 1500, 1024, seed=seed)  # both ends of the files are alike
        path = write(tmp_path / f"{seed}.tif", pixels, compress="none", tiled=False)
        server.files[f"/{seed}.tif"] = path.read_bytes()
        items.append(open_raster(f"{server.url}/{seed}.tif").item)
        assert open_raster(f"{server.url}/{seed}.tif").item == items[-1]
    whole = [server.files[f"/{seed}.tif"] for seed in (1, 2)]
    assert whole[0][: remote.HEAD] == whole[1][: remote.HEAD]
    assert items[0] != items[1]


def test_a_scene_in_s3_into_a_store_in_s3(s3: Loopback, uri: str, whole: bytes) -> None:
    obstore.put(cloud.Address("s3", BUCKET, "").connect(), "scenes/S2A_20190416.tif", whole)
    raster = open_raster(Path(f"s3://{BUCKET}/scenes/S2A_20190416.tif"))
    assert raster.datetime is not None
    s3.asked()
    report = encode([f"s3://{BUCKET}/scenes/S2A_20190416.tif"], Path(uri), chip_size=32, stride=160)
    assert report.chips == 16
    again = encode([f"s3://{BUCKET}/scenes/S2A_20190416.tif"], uri, chip_size=32, stride=160)
    assert (again.chips, again.already_there) == (0, 16)
    with Engine(uri) as engine:
        some = engine.snapshot.pieces[0].segment.column("id")[0].tobytes().hex()
        assert len(engine.search(id=some, k=3)) == 3
    with pytest.raises(RasterError, match=r"no file s3://bucket/scenes/none\.tif"):
        open_raster(f"s3://{BUCKET}/scenes/none.tif")


def test_paths_that_are_urls() -> None:
    assert remote.url("scene.tif") is None
    assert remote.url(Path("/data/scene.tif")) is None
    assert remote.url(Path("s3://bucket/a/b.tif")) == "s3://bucket/a/b.tif"
    assert remote.gdal_name(Path("s3://bucket/a/b.tif")) == "/vsis3/bucket/a/b.tif"
    assert remote.href("a.tif") == str(Path("a.tif").absolute())
