"""Collections, items, pages, thumbnails."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from embedstore.store import Store
from tests.embedstore import make
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

    from query import Engine


def test_a_collection_says_what_it_holds(client: TestClient, engine: Engine) -> None:
    (one,) = client.get("/collections").json()["collections"]
    assert one == client.get(C).json()
    assert one["id"] == "store"
    assert one["chips"] == 100
    assert one["encoder"]["dimension"] == engine.store.encoder.dimension
    assert one["chip_metres"] == 32 * engine.store.encoder.gsd
    west, south, east, north = one["extent"]["spatial"]["bbox"][0]
    everything = client.get(f"{C}/items", params={"limit": 1000}).json()
    for feature in everything["features"]:
        assert west <= feature["bbox"][0] < feature["bbox"][2] <= east
        assert south <= feature["bbox"][1] < feature["bbox"][3] <= north
    assert one["extent"]["temporal"]["interval"] == [["2019-04-16T00:00:00Z", "2019-04-16T00:00:00Z"]]


def test_an_unknown_collection_is_not_found(client: TestClient) -> None:
    answer = client.get("/collections/other")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith("there is no collection 'other'")


@pytest.mark.parametrize("limit", [1, 7, 33, 100])
def test_pages_lead_through_every_chip_once(client: TestClient, limit: int) -> None:
    seen: list[str] = []
    page = client.get(f"{C}/items", params={"limit": limit}).json()
    while True:
        assert page["numberMatched"] == 100
        assert page["numberReturned"] == len(page["features"]) <= limit
        seen += [feature["id"] for feature in page["features"]]
        following = [link["href"] for link in page["links"] if link["rel"] == "next"]
        if not following:
            break
        page = client.get(following[0]).json()
    assert len(seen) == len(set(seen)) == 100


def test_pages_go_on_where_they_were_while_chips_come_and_go(
    own_store: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    with serve(own_store) as client:
        first = client.get(f"{C}/items", params={"limit": 40}).json()
        (following,) = (link["href"] for link in first["links"] if link["rel"] == "next")
        shown = [feature["id"] for feature in first["features"]]
        Store.open(own_store).delete(ids=shown[:10])
        client.app.state.service.collections["store"].refresh()  # type: ignore[attr-defined]
        second = client.get(following).json()
    assert second["numberMatched"] == 90
    rest = {feature["id"] for feature in second["features"]}
    assert len(rest) == 40
    assert not rest & set(shown)


def test_pages_of_several_pieces(tmp_path: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    made = make.store(tmp_path / "many")
    for start in range(0, 60, 20):
        made.append(make.chips(list(range(start, start + 20))))
    with serve(tmp_path / "many") as client:
        page = client.get("/collections/many/items", params={"limit": 17}).json()
        seen = list(page["features"])
        while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
            page = client.get(following[0]).json()
            seen += page["features"]
    assert len({feature["id"] for feature in seen}) == len(seen) == 60
    cells = [int(feature["properties"]["h3"], 16) for feature in seen]
    assert cells == sorted(cells)


def test_items_of_a_box_and_a_time(client: TestClient, engine: Engine) -> None:
    lon, lat = (engine.snapshot.pieces[0].segment.column(name) for name in ("lon", "lat"))
    box = (lon.min(), lat.min(), (lon.min() + lon.max()) / 2, lat.max())
    inside = int(((lon >= box[0]) & (lon <= box[2])).sum())
    assert 0 < inside < 100
    page = client.get(f"{C}/items", params={"bbox": ",".join(map(str, box))}).json()
    assert page["numberMatched"] == inside
    assert page["numberReturned"] == 10
    for moment, count in (("2019-04-16", 100), ("2019-04-17/..", 0), ("../2019-04-16T12:00:00Z", 100)):
        assert client.get(f"{C}/items", params={"datetime": moment}).json()["numberMatched"] == count


@pytest.mark.parametrize(
    "query",
    ["bbox=1,2,3", "bbox=a,b,c,d", "bbox=1,2,3,nan", "datetime=yesterday", "token=x", "token=1-2", "datetim=2019"],
)
def test_a_question_that_makes_no_sense_is_refused(client: TestClient, query: str) -> None:
    answer = client.get(f"{C}/items?{query}")
    assert answer.status_code == 400
    assert answer.json()["title"] == "Bad Request"


def test_an_item_is_a_feature(client: TestClient, ids: list[str]) -> None:
    answer = client.get(f"{C}/items/{ids[3]}")
    assert answer.headers["content-type"] == "application/geo+json"
    feature = answer.json()
    assert feature["id"] == ids[3]
    assert feature["geometry"]["type"] == "Polygon"
    assert [link["rel"] for link in feature["links"]] == ["self", "collection"]
    assert client.get(feature["links"][1]["href"]).json()["id"] == "store"
    known = feature["properties"]
    assert known["thumbnail"] == f"{C}/items/{ids[3]}/thumbnail"
    assert known["item"].startswith("sha256:")
    assert known["datetime"] == "2019-04-16T00:00:00Z"
    assert {"lon", "lat", "h3", "valid_fraction", "modalities", "datetime_end"} < known.keys()


@pytest.mark.parametrize("id_", ["0" * 32, "nothing", "%00", "..%2f..%2fetc%2fpasswd"])
def test_an_unknown_item_is_not_found(client: TestClient, id_: str) -> None:
    for path in (f"{C}/items/{id_}", f"{C}/items/{id_}/thumbnail"):
        assert client.get(path).status_code == 404


def test_a_thumbnail_is_the_picture_of_its_chip(client: TestClient, ids: list[str], engine: Engine) -> None:
    answer = client.get(f"{C}/items/{ids[5]}/thumbnail")
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
    hits = engine.search(id=ids[5], k=1).to_arrow(geometry=True)
    assert hits["thumbnail"][0].as_py() == answer.content


def test_the_chip_at_a_place(client: TestClient, ids: list[str]) -> None:
    known = client.get(f"{C}/items/{ids[50]}").json()["properties"]
    found = client.get(f"{C}/nearest", params={"lon": known["lon"] + 1e-4, "lat": known["lat"]})
    assert found.json()["id"] == ids[50]
    assert client.get(f"{C}/nearest", params={"lon": 0, "lat": 0}).status_code == 404
    assert client.get(f"{C}/nearest", params={"lon": 181, "lat": 0}).status_code == 422
    for wrong in ("0", "ten"):
        answer = client.get(f"{C}/items", params={"limit": wrong})
        assert answer.status_code == 400, "as OGC API - Features wants it"
        assert "query.limit" in answer.json()["detail"]
    for lat in (90, -90):
        assert client.get(f"{C}/nearest", params={"lon": 0, "lat": lat}).status_code == 404


def test_a_new_version_is_answered_from(
    own_store: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    with serve(own_store) as client:
        collection = client.app.state.service.collections["store"]  # type: ignore[attr-defined]
        before = collection.version
        collection.refresh()
        assert collection.version == before
        id_ = client.get(f"{C}/items").json()["features"][0]["id"]
        Store.open(own_store).delete(ids=[id_])
        collection.refresh()
        assert client.get(f"{C}/items/{id_}").status_code == 404
        assert client.get(C).json()["chips"] == 99


def test_the_root_leads_ogc_clients_on(client: TestClient) -> None:
    links = client.get("/", headers={"Accept": "application/json"}).json()["links"]
    assert {"service-desc", "conformance", "data"} <= {link["rel"] for link in links}
    assert client.get("/", headers={"Accept": "text/html"}).headers["content-type"].startswith("text/html")
    assert any("core" in one for one in client.get("/conformance").json()["conformsTo"])
