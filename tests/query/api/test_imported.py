from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi.testclient import TestClient

from indexer.importers.run import run
from query.api import Settings, create_app
from tests.indexer.importers import files
from tests.query.api.conftest import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service of a store of Clay's vectors, and of an empty one of Earth Index's."""
    folder = tmp_path_factory.mktemp("imported")
    run([files.clay_v0(folder / "c.parquet")], folder / "clay")
    run([files.earth_index(folder / "e.parquet", rows=0)], folder / "nothing")
    app = create_app([folder / "clay", folder / "nothing"], Settings(jobs_folder=folder / "jobs"))
    with TestClient(app, LOCAL) as opened:
        yield opened


def test_imported_stores_are_served_side_by_side(client: TestClient) -> None:
    told = {c["id"]: c for c in client.get("/collections").json()["collections"]}
    assert {name: c["encoder"]["name"] for name, c in told.items()} == {
        "clay": "imported:clay-v0",
        "nothing": "imported:softcon",
    }
    id_ = client.get("/collections/clay/items?limit=1").json()["features"][0]["id"]
    found = client.post("/collections/clay/search", json={"id": id_, "k": 3}).json()
    assert found["hits"][0]["id"] == id_
    vector = files.vectors()[2].tolist()
    assert client.post("/collections/nothing/search", json={"vector": vector}).json()["hits"] == []


def test_an_uploaded_chip_is_refused_with_the_reason(client: TestClient, scene: Path) -> None:
    answer = client.post("/collections/clay/search", files={"file": ("chip.tif", scene.read_bytes())})
    assert answer.status_code == 400
    assert "the model clay-v0 is not here" in answer.json()["detail"]
