"""Vector tiles and pictures."""

from __future__ import annotations

import io
import math
import pickle
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import duckdb
import numpy as np
import pytest
from PIL import Image

from query.api import mvt
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

    from query import Engine


def tile_at(lon: float, lat: float, zoom: int) -> str:
    side = 1 << zoom
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * side
    return f"{zoom}/{int((lon + 180) / 360 * side)}/{int(row)}"


@pytest.fixture(scope="module")
def middle(client: TestClient) -> tuple[float, float]:
    west, south, east, north = client.get(C).json()["extent"]["spatial"]["bbox"][0]
    return (west + east) / 2, (south + north) / 2


def fields(raw: bytes) -> list[tuple[int, Any]]:
    """Read the fields of a protocol buffer: (number, varint or bytes)."""
    found, at = [], 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(raw):
        key = varint()
        if key & 7 == 0:
            found.append((key >> 3, varint()))
        else:
            length = {1: 8, 5: 4}.get(key & 7) or varint()
            found.append((key >> 3, raw[at : at + length]))
            at += length
    return found


def layers(raw: bytes) -> dict[str, tuple[int, set[str]]]:
    """Return for each layer its number of features and the names of its properties."""
    out = {}
    for number, layer in fields(raw):
        assert number == 3
        parts = fields(layer)
        name = next(value for key, value in parts if key == 1).decode()
        assert next(value for key, value in parts if key == 15) in {1, 2}
        out[name] = (sum(key == 2 for key, _ in parts), {value.decode() for key, value in parts if key == 3})
    return out


def test_footprints_where_they_can_be_seen(client: TestClient, middle: tuple[float, float]) -> None:
    answer = client.get(f"{C}/footprints/tiles/{tile_at(*middle, 11)}.mvt")
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    (name, (count, names)), = layers(answer.content).items()  # fmt: skip
    assert name == "chips"
    assert 0 < count <= 100
    assert names == {"id", "datetime", "valid_fraction"}


def test_every_footprint_is_in_some_tile(client: TestClient, middle: tuple[float, float]) -> None:
    zoom, x, y = (int(part) for part in tile_at(*middle, 12).split("/"))
    seen: set[bytes] = set()
    for i in range(x - 4, x + 5):
        for j in range(y - 4, y + 5):
            for _, layer in fields(client.get(f"{C}/footprints/tiles/{zoom}/{i}/{j}.mvt").content):
                seen |= {value for key, value in fields(layer) if key == 4 and b"\n\x20" in value[:2]}
    assert len(seen) == 100, "each id is a value of its own"


def test_cells_where_chips_would_be_too_small_or_too_many(
    client: TestClient,
    store: Path,
    serve: Callable[..., AbstractContextManager[TestClient]],
    middle: tuple[float, float],
) -> None:
    (name, (_, names)), = layers(client.get(f"{C}/footprints/tiles/0/0/0.mvt").content).items()  # fmt: skip
    assert (name, names) == ("cells", {"h3", "chips"})
    with serve(store, max_tile_features=5) as few:
        assert list(layers(few.get(f"{C}/footprints/tiles/{tile_at(*middle, 11)}.mvt").content)) == ["cells"]


def test_a_heat_tile_has_the_cells_of_the_heat_map(
    client: TestClient, engine: Engine, ids: list[str], middle: tuple[float, float]
) -> None:
    for query in (
        f"id={ids[0]}",
        f"positives={ids[0]},{ids[1]}&negatives={ids[9]}",
        f"positives={ids[0]}&positives={ids[1]}",
    ):
        answer = client.get(f"{C}/heatmap/tiles/{tile_at(*middle, 4)}.mvt?{query}")
        assert answer.status_code == 200, answer.text
        (name, (count, names)), = layers(answer.content).items()  # fmt: skip
        assert name == "heat"
        assert names == {"h3", "chips", "mean", "best"}
        assert count == engine.heat_map(id=ids[0], resolution=3).num_rows


def test_a_tile_is_kept_under_a_short_name_however_many_chips_it_asks_for(
    store: Path, ids: list[str], serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    with serve(store) as client:
        (one,) = client.app.state.service.collections  # type: ignore[attr-defined]
        for row in range(3):
            assert client.get(f"{C}/heatmap/tiles/9/0/{row}.mvt?positives={','.join(ids[:100])}").status_code == 200
        names = list(one.tiles._kept)
    assert len(names) == 3
    assert max(len(pickle.dumps(name)) for name in names) < 200


def test_empty_tiles_and_tiles_that_are_not(client: TestClient, ids: list[str]) -> None:
    assert client.get(f"{C}/footprints/tiles/5/0/0.mvt").content == b""
    for path in ("5/32/0", "5/0/32", "25/0/0", "5/-1/0", f"5/{10**30}/0"):
        assert client.get(f"{C}/footprints/tiles/{path}.mvt").status_code in {404, 422}, path
        assert client.get(f"{C}/heatmap/tiles/{path}.mvt?id={ids[0]}").status_code in {404, 422}, path
    assert client.get(f"{C}/footprints/tiles/a/b/c.mvt").status_code == 422
    assert client.get(f"{C}/heatmap/tiles/0/0/0.mvt").status_code == 400


def test_tiles_lie_where_web_mercator_has_them() -> None:
    west, south, east, north = mvt.Tile(1, 1, 0).degrees()
    np.testing.assert_allclose((west, south, east, north), (0, 0, 180, mvt.MOST_NORTH), atol=1e-9)
    zone = duckdb.execute("SELECT 6378137 * pi()").fetchone()[0]  # type: ignore[index]
    np.testing.assert_allclose(mvt.mercator(np.array([[180.0, mvt.MOST_NORTH]])), [[zone, zone]], rtol=1e-9)
    assert mvt.Tile(0, 0, 0).degrees(5) == (-180, -90, 180, 90) or mvt.Tile(0, 0, 0).degrees(5)[1] > -90.1


def test_scenes_and_their_tiles(client: TestClient, middle: tuple[float, float]) -> None:
    (one,) = client.get(f"{C}/rasters").json()["rasters"]
    assert one["datetime"].startswith("2019-04-16")
    assert one["minzoom"] <= one["maxzoom"]
    assert one["bbox"][0] < middle[0] < one["bbox"][2]
    root = f"{C}/rasters/{quote(one['item'], safe='')}"
    answer = client.get(f"{root}/{tile_at(*middle, one['maxzoom'])}.png")
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert picture.shape == (256, 256, 4)
    assert (picture[..., 3] == 255).mean() > 0.5
    assert 40 < picture[..., :3][picture[..., 3] == 255].mean() < 215
    assert client.get(f"{root}/5/0/0.png").status_code == 404


def test_the_picture_has_the_colours_of_the_thumbnails(client: TestClient, ids: list[str]) -> None:
    """The mean colour of a chip in a tile is that of its thumbnail."""
    (one,) = client.get(f"{C}/rasters").json()["rasters"]
    feature = client.get(f"{C}/items/{ids[40]}").json()
    thumbnail = np.asarray(Image.open(io.BytesIO(client.get(feature["properties"]["thumbnail"]).content)))
    lon, lat = feature["properties"]["lon"], feature["properties"]["lat"]
    zoom = 18
    tile = client.get(f"{C}/rasters/{quote(one['item'], safe='')}/{tile_at(lon, lat, zoom)}.png")
    picture = np.asarray(Image.open(io.BytesIO(tile.content)))[..., :3]
    centre = thumbnail[10:22, 10:22]
    assert int(centre.min()) - 30 <= picture.mean() <= int(centre.max()) + 30


def test_only_scenes_that_the_store_names(client: TestClient) -> None:
    for item in ("/etc/passwd", "..%2f..%2fa.tif", "sha256:0", "%2fvsicurl%2fhttp:%2f%2f127.0.0.1%2fa.tif"):
        assert client.get(f"{C}/rasters/{item}/0/0/0.png").status_code == 404


def test_a_scene_that_is_gone_is_not_listed(
    own_store: Path, scene: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    with serve(own_store) as client:
        item = quote(client.get(f"{C}/rasters").json()["rasters"][0]["item"], safe="")
        hidden = scene.rename(scene.with_suffix(".hidden"))
        try:
            assert client.get(f"{C}/rasters").json() == {"rasters": []}
            assert client.get(f"{C}/rasters/{item}/11/0/0.png").status_code == 404
            scene.write_bytes(b"II*\0 no raster")
            assert client.get(f"{C}/rasters").json() == {"rasters": []}
            assert client.get(f"{C}/rasters/{item}/11/0/0.png").status_code == 404
        finally:
            hidden.rename(scene)
