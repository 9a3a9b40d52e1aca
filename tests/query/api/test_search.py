"""Search and heat map: the same answers as the engine's, in every form."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
import shapely

from tests.embedstore import make
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

    from query import Engine

ARROW = "application/vnd.apache.arrow.stream"


def test_the_same_hits_as_the_engine(client: TestClient, engine: Engine, ids: list[str]) -> None:
    hits = engine.search(id=ids[7], k=5)
    answer = client.post(f"{C}/search", json={"id": ids[7], "k": 5}).json()
    assert [hit["id"] for hit in answer["hits"]] == hits.ids
    assert [hit["rank"] for hit in answer["hits"]] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose([hit["score"] for hit in answer["hits"]], hits.scores, atol=1e-6)
    assert answer["report"] == hits.report.to_dict()
    assert answer["hits"][0]["thumbnail"] == f"{C}/items/{ids[7]}/thumbnail"


def test_no_folder_of_the_machine_is_told(client: TestClient, ids: list[str], scene: Path) -> None:
    text = client.post(f"{C}/search", json={"id": ids[0]}).text
    assert scene.name in text
    assert str(scene.parent) not in text


def test_hits_as_geojson_and_as_arrow(client: TestClient, engine: Engine, ids: list[str]) -> None:
    body = {"id": ids[7], "k": 4}
    hits = engine.search(id=ids[7], k=4).to_arrow(geometry=True)
    answer = client.post(f"{C}/search", json=body, headers={"Accept": "application/geo+json"})
    assert answer.headers["content-type"] == "application/geo+json"
    features = answer.json()["features"]
    assert [feature["properties"]["rank"] for feature in features] == [1, 2, 3, 4]
    first = shapely.from_geojson(json.dumps(features[0]["geometry"]))
    assert shapely.equals_exact(first.normalize(), shapely.from_wkb(hits["geometry"][0].as_py()).normalize(), 1e-6)

    answer = client.post(f"{C}/search", json=body, headers={"Accept": ARROW})
    assert answer.headers["content-type"] == ARROW
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table["id"].to_pylist() == hits["id"].to_pylist()
    assert table["geometry"].to_pylist() == hits["geometry"].to_pylist()
    assert table.schema.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert json.loads(table.schema.metadata[b"report"])["candidates"] == 100


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "application/json"),
        ("text/html, application/*;q=0.5", "application/json"),
        ("application/json;q=0.1, application/geo+json", "application/geo+json"),
        ("application/geo+json;q=0, */*", "application/json"),
        (f"{ARROW}, application/json", "application/json"),
    ],
)
def test_the_form_that_is_wanted_most(client: TestClient, ids: list[str], accept: str, given: str) -> None:
    answer = client.post(f"{C}/search", json={"id": ids[0]}, headers={"Accept": accept})
    assert answer.headers["content-type"] == given


def test_a_form_that_cannot_be_had(client: TestClient, ids: list[str]) -> None:
    assert client.post(f"{C}/search", json={"id": ids[0]}, headers={"Accept": "image/png"}).status_code == 406


def test_every_filter_and_every_example(client: TestClient, engine: Engine, ids: list[str]) -> None:
    places = client.get(f"{C}/items", params={"limit": 1000}).json()["features"]
    lon, lat = (np.array([f["properties"][name] for f in places]) for name in ("lon", "lat"))
    box = [float(lon.min()), float(lat.min()), float(np.median(lon)), float(lat.max())]
    square = json.loads(shapely.to_geojson(shapely.box(*box)))
    cells = [places[0]["properties"]["h3"], places[60]["properties"]["h3"]]
    vector = engine.vectors(ids[:1])[0]
    questions: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"id": ids[3], "bbox": box}, {"id": ids[3], "bbox": box}),
        ({"id": ids[3], "within": square}, {"id": ids[3], "within": square}),
        ({"id": ids[3], "cells": cells}, {"id": ids[3], "cells": cells}),
        ({"id": ids[3], "between": "2019-01-01/.."}, {"id": ids[3], "between": "2019-01-01/.."}),
        ({"id": ids[3], "where": f"lon > {box[2]}"}, {"id": ids[3], "where": f"lon > {box[2]}"}),
        ({"id": ids[3], "spread": 700}, {"id": ids[3], "spread": 700.0}),
        ({"at": [lon[9], lat[9]], "recall": "exact"}, {"at": (lon[9], lat[9]), "recall": "exact"}),
        ({"vector": vector.tolist()}, {"vector": vector}),
        (
            {"positives": ids[:3], "negatives": ids[90:92]},
            {"like": ids[:3], "unlike": ids[90:92]},
        ),
    ]
    for asked, same in questions:
        answer = client.post(f"{C}/search", json={**asked, "k": 8})
        assert answer.status_code == 200, answer.text
        assert [hit["id"] for hit in answer.json()["hits"]] == engine.search(**same, k=8).ids


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"id": "0" * 32}, 404),
        ({"id": 1}, 422),
        ({"k": 0, "at": [13, 45]}, 422),
        ({"k": 1001, "at": [13, 45]}, 413),
        ({"at": [181, 0]}, 422),
        ({"vector": [1, 2]}, 400),
        ({"vector": ["a"]}, 422),
        ({"at": [0, 0]}, 400),
        ({"at": [13, 45], "recall": "most"}, 422),
        ({"at": [13, 45], "recall": 2}, 422),
        ({"at": [13, 45], "spread": -1}, 422),
        ({"at": [13, 45], "bbox": [0, 91, 0, 92]}, 400),
        ({"at": [13, 45], "within": "/etc/passwd"}, 422),
        ({"at": [13, 45], "within": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, 422),
        (
            {"at": [13, 45], "within": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}},
            400,
        ),
        ({"at": [13, 45], "cells": ["nothing"]}, 400),
        ({"at": [13, 45], "between": "now"}, 400),
        ({"chip": "/etc/passwd"}, 422),
        ([], 422),
    ],
)
def test_what_makes_no_sense_is_refused(client: TestClient, body: Any, status: int) -> None:
    answer = client.post(f"{C}/search", json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[" * 100_000, b'{"k": 1e400}', b'{"id": "\\ud800"}', b"\xff\xfe", b'{"within": ' + b'{"a":' * 5_000],
)
def test_json_that_is_none_is_refused(client: TestClient, raw: bytes) -> None:
    for path in ("search", "heatmap", "classify", "sql"):
        answer = client.post(f"{C}/{path}", content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, (path, answer.text)


def test_limits_are_settings(
    store: Path, ids: list[str], serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    square = json.loads(shapely.to_geojson(shapely.Point(13.3, 45.7).buffer(0.1, 64)))
    with serve(store, max_k=3, max_examples=2, max_vertices=50, max_cells=1, max_heat_cells=2) as client:
        for body in (
            {"id": ids[0], "k": 4},
            {"positives": ids[:3]},
            {"id": ids[0], "within": square},
            {"id": ids[0], "cells": ["861ea5227ffffff"] * 2},
        ):
            answer = client.post(f"{C}/search", json=body)
            assert answer.status_code == 413
            assert "allowed" in answer.json()["detail"]
        assert client.post(f"{C}/heatmap", json={"id": ids[0], "resolution": 9}).status_code == 413


def test_a_heat_map_is_that_of_the_engine(client: TestClient, engine: Engine, ids: list[str]) -> None:
    answer = client.post(f"{C}/heatmap", json={"id": ids[0], "resolution": 8}).json()
    found = engine.heat_map(id=ids[0], resolution=8)
    assert answer["resolution"] == 8
    assert [int(cell["h3"], 16) for cell in answer["cells"]] == found["h3"].to_pylist()
    assert [cell["chips"] for cell in answer["cells"]] == found["chips"].to_pylist()
    np.testing.assert_allclose([cell["best"] for cell in answer["cells"]], found["best"].to_numpy(), atol=1e-5)


def test_a_heat_map_chooses_its_resolution(client: TestClient, ids: list[str]) -> None:
    answer = client.post(f"{C}/heatmap", json={"id": ids[0]}).json()
    assert 10 < len(answer["cells"]) <= 100
    assert sum(cell["chips"] for cell in answer["cells"]) == 100


def test_the_area_of_a_heat_map_tells_its_resolution(
    tmp_path: Path, serve: Callable[..., AbstractContextManager[TestClient]]
) -> None:
    wide = make.store(tmp_path / "wide")
    wide.append(make.chips(list(range(60)), box=(0.0, 40.0, 20.0, 55.0)))
    id_ = make.chip_id(0)
    ring = [[5, 45], [6, 45], [6, 46], [5, 46], [5, 45]]
    with serve(wide.path) as client:

        def resolution(**where: Any) -> int:
            answer = client.post("/collections/wide/heatmap", json={"id": id_, **where}).json()
            return int(answer["resolution"])

        everywhere = resolution()
        assert resolution(bbox=[-180, -90, 180, 90]) == everywhere
        assert resolution(bbox=[5, 45, 6, 46]) > everywhere
        assert resolution(within={"type": "Polygon", "coordinates": [ring]}) == resolution(bbox=[5, 45, 6, 46])
        assert resolution(bbox=[179.9, 45, -179.9, 45.1]) > resolution(bbox=[5, 45, 6, 46])
