"""The client gives the answers of the engine."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from fastapi.testclient import TestClient

from embedstore.errors import LimitError, QueryError, RasterError, StoreError, UnknownIdError
from query import Engine
from query.api import Settings, create_app
from query.client import Client, Job
from query.demo import cut
from tests.keys import key_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "k" * 32


@pytest.fixture(scope="module")
def http(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("service")
    limits = Settings(jobs_folder=folder / "jobs", key_file=key_file(folder, me=KEY), sync_chips=50, max_k=50)
    with TestClient(create_app([store], limits), "http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="module")
def client(http: TestClient) -> Client:
    return Client("http://127.0.0.1", key=KEY, http=http)


@pytest.fixture(scope="module")
def engine(store: Path) -> Engine:
    return Engine(store)


@pytest.fixture(scope="module")
def ids(client: Client) -> list[str]:
    return [item["id"] for item in client.items(page=33)]


def test_the_only_collection_is_found(client: Client) -> None:
    assert client.collection == "store"
    assert client.describe()["chips"] == client.collections()[0]["chips"] == 100


def test_the_client_comes_again_when_the_service_says_so(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr("query.client.transport.time.sleep", lambda s: (waited.append(s), sleep(s)))
    keys = key_file(tmp_path, often=(KEY, {"role": "read", "rate": 1.0}))
    with TestClient(create_app([store], Settings(key_file=keys)), "http://127.0.0.1") as http:
        client = Client("http://127.0.0.1", key=KEY, http=http)
        for _ in range(3):
            assert client.describe()["chips"] == 100
    assert waited
    assert all(1 <= seconds <= 2.5 for seconds in waited)


def test_who_may_not_come_again_soon_is_told(store: Path, tmp_path: Path) -> None:
    keys = key_file(tmp_path, seldom=(KEY, {"role": "read", "rate": 0.001}))
    with TestClient(create_app([store], Settings(key_file=keys)), "http://127.0.0.1") as http:
        client = Client("http://127.0.0.1", "store", key=KEY, http=http)
        client.describe()
        with pytest.raises(StoreError, match="come again in"):
            client.describe()


def test_items_page_after_page(client: Client, ids: list[str]) -> None:
    assert len(ids) == len(set(ids)) == 100
    known = client.describe()["extent"]["spatial"]["bbox"][0]
    assert len(list(client.items(bbox=known, datetime="2019-01-01/..", page=40))) == 100
    assert list(client.items(datetime="2020-01-01/..")) == []


def test_search_as_the_engine(client: Client, engine: Engine, ids: list[str]) -> None:
    hits = engine.search(id=ids[3], k=6)
    found = client.search(id=ids[3], k=6)
    assert found["id"].to_pylist() == hits.ids
    np.testing.assert_allclose(found["score"].to_numpy(), hits.scores)
    assert json.loads(found.schema.metadata[b"report"]) == hits.report.to_dict()
    lon, lat = float(hits.lon[0]), float(hits.lat[0])
    box = shapely.box(lon - 0.02, lat - 0.02, lon + 0.02, lat + 0.02)
    for question in (
        {"at": (lon, lat), "within": box, "recall": "exact"},
        {"like": ids[:2], "unlike": ids[50:52], "bbox": box.bounds},
        {"id": ids[0], "where": "valid_fraction > 0.5", "between": ("2019-01-01", None), "spread": 500},
        {"id": ids[0], "cells": [int(hits.column("h3")[0])]},
        {"vector": engine.vectors(ids[:1])},
    ):
        same = {**question, "vector": engine.vectors(ids[:1])[0]} if "vector" in question else question
        assert client.search(**question, k=5)["id"].to_pylist() == engine.search(**same, k=5).ids  # type: ignore[arg-type]


def test_a_chip_is_sent(client: Client, engine: Engine, scene: Path, tmp_path: Path) -> None:
    chip = tmp_path / "chip.tif"
    cut(scene, rasterio.windows.Window(32, 64, 32, 32), chip)
    assert client.search(chip=chip, k=3)["id"].to_pylist() == engine.search(chip=chip, k=3).ids
    with pytest.raises(RasterError, match="cannot be read"):
        client.search(chip=tmp_path / "nothing.tif")
    chip.write_text("no raster")
    with pytest.raises(RasterError, match="neither GeoTIFF nor PNG"):
        client.search(chip=chip)


def test_heat_map_and_sql(client: Client, engine: Engine, ids: list[str]) -> None:
    found, same = client.heat_map(id=ids[0], resolution=7), engine.heat_map(id=ids[0], resolution=7)
    assert found.schema == same.schema
    assert found["h3"].to_pylist() == same["h3"].to_pylist()
    np.testing.assert_allclose(found["mean"].to_numpy(), same["mean"].to_numpy(), atol=1e-5)
    assert client.heat_map(like=ids[:2]).num_rows > 0
    assert client.sql("SELECT count(*) AS chips FROM embeddings").to_pylist() == [{"chips": 100}]


def test_labels(client: Client, ids: list[str], tmp_path: Path) -> None:
    labels = {id_: "ab"[number % 2] for number, id_ in enumerate(ids[:10])}
    few = client.classify(labels, ids=np.array(ids[:4]))
    none = client.classify(labels, bbox=(0, 0, 1, 1))
    assert none.num_rows == 0
    assert none.schema.names == few.schema.names
    assert isinstance(few, pa.Table)
    assert few["class"].to_pylist() == list("abab")
    job = client.classify(labels)
    assert isinstance(job, Job)
    seen: list[float] = []
    assert job.wait(seen.append)["chips"] == 100
    assert seen[-1] == 1
    job.save(tmp_path / "classes.parquet")
    assert pq.read_table(tmp_path / "classes.parquet").num_rows == 100
    job.delete()
    with pytest.raises(UnknownIdError):
        job.status()
    with pytest.raises(UnknownIdError):
        job.save(tmp_path / "none.parquet")
    assert not (tmp_path / "none.parquet").exists()
    assert client.suggest(labels, 3).num_rows == 3


def test_errors_are_those_of_the_engine(client: Client, http: TestClient) -> None:
    with pytest.raises(UnknownIdError, match="holds no chip"):
        client.search(id="0" * 32)
    with pytest.raises(QueryError, match="nothing to look for"):
        client.search()
    with pytest.raises(LimitError, match="k = 51"):
        client.search(at=(0, 0), k=51)
    with pytest.raises(QueryError, match="overlap"):
        client.change("2019-01-01/2019-12-31", "2019-04-01/2020-01-01", k=5)
    with pytest.raises(StoreError, match="a key is needed"):
        Client("http://127.0.0.1", http=http)
    with pytest.raises(UnknownIdError, match="no collection"):
        Client("http://127.0.0.1", "other", key=KEY, http=http).describe()


def test_a_service_that_is_not_there() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    def mumble(_: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>bad gateway</html>")

    for handler, words in ((refuse, "does not answer"), (mumble, "answered 502")):
        with httpx.Client(transport=httpx.MockTransport(handler)) as http, pytest.raises(StoreError, match=words):
            Client("http://nowhere.invalid", http=http)
    with Client("http://127.0.0.1:9", "store") as client, pytest.raises(StoreError, match="Is it running"):
        client.describe()


def test_several_collections_must_be_named() -> None:
    def two(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"collections": [{"id": "a"}, {"id": "b"}]})

    with httpx.Client(transport=httpx.MockTransport(two)) as http, pytest.raises(StoreError, match="a, b"):
        Client("http://nowhere.invalid", http=http)
