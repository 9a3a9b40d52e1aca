"""Uploaded chips: the same vector as from a file, and nothing that a hostile one can reach."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from query.demo import cut
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient
    from httpx import Response

    from query import Engine

BANDS = ("B02", "B03", "B04", "B08")


def geotiff(
    bands: int = 4, side: int = 32, dtype: str = "uint16", names: tuple[str, ...] = BANDS, **more: Any
) -> bytes:
    with MemoryFile() as memory:
        place = from_origin(13.3, 45.7, 1e-4, 1e-4)
        with memory.open(
            driver="GTiff", width=side, height=side, count=bands, dtype=dtype, transform=place, crs=4326, **more
        ) as out:
            out.write(np.full((bands, side, side), 900, dtype))
            out.scales = (1e-4,) * bands
            for number, name in enumerate(names[:bands], 1):
                out.set_band_description(number, name)
        return bytes(memory.read())


def send(client: TestClient, raw: bytes, query: str = "{}", name: str = "chip.tif") -> Response:
    return client.post(f"{C}/search", files={"file": (name, raw)}, data={"query": query})


def test_a_chip_finds_what_the_engine_finds(client: TestClient, engine: Engine, scene: Path, tmp_path: Path) -> None:
    chip = tmp_path / "chip.tif"
    cut(scene, rasterio.windows.Window(64, 96, 32, 32), chip)
    answer = send(client, chip.read_bytes(), json.dumps({"k": 3}))
    assert answer.status_code == 200, answer.text
    hits = engine.search(chip=chip, k=3)
    assert [hit["id"] for hit in answer.json()["hits"]] == hits.ids
    assert answer.json()["hits"][0]["score"] > 0.999


def test_a_chip_joins_other_examples_and_filters(
    client: TestClient, engine: Engine, ids: list[str], tmp_path: Path
) -> None:
    chip = tmp_path / "chip.tif"
    chip.write_bytes(geotiff())
    asked = {"positives": ids[:2], "negatives": ids[50:51], "where": "valid_fraction > 0.5", "k": 4}
    same = engine.search(chip=chip, like=ids[:2], unlike=ids[50:51], where="valid_fraction > 0.5", k=4)
    assert [hit["id"] for hit in send(client, chip.read_bytes(), json.dumps(asked)).json()["hits"]] == same.ids


def test_big_tiff_is_taken_too(client: TestClient) -> None:
    assert send(client, geotiff(BIGTIFF="YES")).status_code == 200


def test_a_png_needs_the_bands_too(client: TestClient) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (32, 32), "green").save(picture, "PNG")
    answer = send(client, picture.getvalue(), name="chip.png")
    assert answer.status_code == 400
    assert "has no band 'B02'" in answer.json()["detail"]


@pytest.fixture
def tripwire() -> Iterator[tuple[int, threading.Event]]:
    """A port of this machine, and whether somebody connected to it."""
    touched = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                try:
                    server.accept()[0].close()
                    touched.set()
                except TimeoutError:
                    continue

        watching = threading.Thread(target=watch)
        watching.start()
        yield server.getsockname()[1], touched
        done.set()
        watching.join()


def vrt(source: str) -> bytes:
    return (
        '<VRTDataset rasterXSize="32" rasterYSize="32"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def test_virtual_rasters_and_remote_ones_are_refused(
    client: TestClient, scene: Path, tripwire: tuple[int, threading.Event]
) -> None:
    port, touched = tripwire
    url = f"http://127.0.0.1:{port}/a.tif"
    hostile = [
        vrt(str(scene)),
        vrt(f"/vsicurl/{url}"),
        b"II*\0" + vrt(f"/vsicurl/{url}"),
        b"\x89PNG\r\n\x1a\n" + vrt(f"/vsicurl/{url}"),
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{url}</ServerUrl></Service></GDAL_WMS>".encode(),
        f"/vsicurl/{url}".encode(),
        b"PK\x03\x04" + b"\0" * 60,
        b"GRIB" + b"\0" * 60,
        b"\x89HDF\r\n\x1a\n" + b"\0" * 60,
        b"%PDF-1.7",
        b"",
        b"II",
    ]
    for raw in hostile:
        for name in ("chip.tif", "chip.vrt", "../../chip.tif", f"/vsicurl/{url}", "a\0b"):
            answer = send(client, raw, name=name)
            assert answer.status_code in {400, 415, 422}, (raw[:20], answer.text)
            assert "Traceback" not in answer.text
            assert "/tmp" not in answer.text  # noqa: S108 - a folder that must not be told
    assert not touched.is_set()


def test_a_tiff_reads_no_file_beside_it(
    client: TestClient, tripwire: tuple[int, threading.Event], tmp_path: Path
) -> None:
    """Metadata inside a TIFF can name other files to GDAL; whatever it names, it is not read."""
    port, touched = tripwire
    chip = tmp_path / "chip.tif"
    chip.write_bytes(geotiff())
    with rasterio.open(chip, "r+") as out:
        out.update_tags(ns="xml:VRT", VRT=vrt(f"/vsicurl/http://127.0.0.1:{port}/a.tif").decode())
        out.update_tags(SOURCE="/etc/passwd")
    assert send(client, chip.read_bytes()).status_code == 200
    for url in (f"/vsicurl/http://127.0.0.1:{port}/a.tif", f"http://127.0.0.1:{port}/a.tif", "/etc/a.tif"):
        with rasterio.open(chip, "r+") as out:
            out.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=url)
        answer = send(client, chip.read_bytes())
        assert answer.status_code == 400
        assert "names other files" in answer.json()["detail"]
    assert not touched.is_set()


# rasterio itself stumbles over messages of GDAL that quote bytes of the file
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_file_is_refused(client: TestClient) -> None:
    raw = geotiff(side=64, COMPRESS="DEFLATE")
    random = np.random.default_rng(3)
    assert send(client, raw[: len(raw) // 2]).status_code in {200, 400}
    for _ in range(60):
        bad = bytearray(raw)
        for at in random.integers(4, len(raw), 6):
            bad[at] = random.integers(0, 256)
        answer = send(client, bytes(bad))
        assert answer.status_code in {200, 400, 413}, answer.text


def bomb() -> bytes:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def test_limits_of_pixels_bands_and_bytes(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    limits = {"max_upload_pixels": 64 * 64, "max_upload_bands": 5, "max_upload_decoded_bytes": 50_000}
    with serve(store, **limits, max_upload_bytes=200_000) as client:
        assert send(client, geotiff()).status_code == 200
        for raw, words in (
            (geotiff(side=65), "65 x 65 pixels"),
            (geotiff(bands=6), "6 bands"),
            (geotiff(side=64, dtype="float64", COMPRESS="DEFLATE"), "once decoded"),
            (bomb(), "60000 x 60000 pixels"),
            (b"II*\0" + b"\0" * 300_000, "larger than the 200000 bytes"),
        ):
            answer = send(client, raw)
            assert answer.status_code == 413, answer.text
            assert words in answer.json()["detail"]


def test_a_tile_that_is_larger_than_its_picture(
    store: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    raw = geotiff(side=32, tiled=True, blockxsize=4096, blockysize=4096, SPARSE_OK="TRUE", COMPRESS="DEFLATE")
    with serve(store, max_upload_decoded_bytes=1 << 20) as client:
        answer = send(client, raw)
    assert answer.status_code == 413
    assert "once decoded" in answer.json()["detail"]


def test_a_form_without_a_file_or_with_more(client: TestClient, engine: Engine) -> None:
    url = f"{C}/search"
    assert client.post(url, files={"other": ("a", b"b")}).status_code == 422
    assert client.post(url, files={"file": (None, b"text")}).status_code == 422
    assert send(client, geotiff(), "{").status_code == 422
    assert send(client, geotiff(), json.dumps({"vector": [0.1] * engine.store.encoder.dimension})).status_code == 422
    two = [("file", ("a", geotiff())), ("file", ("b", geotiff()))]
    assert client.post(url, files=two).status_code == 400
    broken = client.post(url, content=b"--x\r\nno", headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert broken.status_code in {400, 422}
    none = client.post(url, content=b"", headers={"Content-Type": "multipart/form-data"})
    assert none.status_code in {400, 422}


def test_uploads_leave_nothing_behind(client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert send(client, geotiff()).status_code == 200
    assert send(client, geotiff()[:300]).status_code == 400
    assert list(tmp_path.iterdir()) == []
