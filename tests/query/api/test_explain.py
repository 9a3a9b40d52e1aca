from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import shapely

from query import Engine
from query.client import Client
from tests.query import halves

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

PATH = "/collections/store/explain"


def test_grids_over_http(tmp_path: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    made, scene = halves.store(tmp_path)
    with Engine(made) as engine:
        ids = halves.chips(engine)
    with serve(made, max_explained=3) as client:
        answer = client.post(PATH, json={"ids": ids, "id": ids[1]})
        assert answer.status_code == 200
        found = answer.json()["explained"]
        assert [one["matching"] for one in found] == [0.0, 1.0, 0.5]
        assert Client("http://127.0.0.1", http=client).explain(ids, id=ids[1]) == found
        shown = client.post(PATH, json={"ids": ids, "id": ids[1]}, headers={"Accept": "application/geo+json"})
        assert shown.headers["content-type"] == "application/geo+json"
        areas = [one["geometry"] for one in shown.json()["features"]]
        assert areas[0] is None
        assert shapely.geometry.shape(areas[2]).area == pytest.approx(
            shapely.geometry.shape(areas[1]).area / 2, rel=1e-3
        )
        assert [one["properties"] for one in shown.json()["features"]][2] == {"id": ids[2], "matching": 0.5}
        assert client.post(PATH, json={"ids": ids + ids, "id": ids[1]}).status_code == 413
        assert client.post(PATH, json={"ids": [], "id": ids[1]}).status_code == 422
        assert client.post(PATH, json={"ids": ["0" * 32], "id": ids[1]}).status_code == 404
        assert client.post(PATH, json={"ids": ids}).status_code == 400
        scene.unlink()
        (one,) = client.post(PATH, json={"ids": ids[:1], "id": ids[1]}).json()["explained"]
        assert one == {"id": ids[0], "reason": "its scene own.tif is not where it was when it was encoded"}


def test_an_encoder_without_pixels_says_so(client: TestClient, ids: list[str]) -> None:
    (one,) = client.post(PATH, json={"ids": ids[:1], "id": ids[0]}).json()["explained"]
    assert one.keys() == {"id", "reason"}
    assert "rcf" in one["reason"]
