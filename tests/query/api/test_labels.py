"""Classify, suggest, change and SQL over HTTP."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from query.fewshot import Labelled, classify_ids, evaluate, suggest
from tests.embedstore import make
from tests.query.api.conftest import C

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi.testclient import TestClient

    from query import Engine


@pytest.fixture(scope="module")
def labels(ids: list[str]) -> dict[str, str]:
    return {id_: "town" if number < 8 else "field" for number, id_ in enumerate([*ids[:8], *ids[60:68]])}


def test_ids_are_classified_as_by_the_library(
    client: TestClient, engine: Engine, ids: list[str], labels: dict[str, str]
) -> None:
    body = {"labels": labels, "ids": ids[20:40], "method": "probe"}
    answer = client.post(f"{C}/classify", json=body)
    assert answer.status_code == 200, answer.text
    same = classify_ids(engine, Labelled.read(engine, labels, "class"), "probe", ids[20:40])
    assert answer.json()["classes"] == ["field", "town"]
    assert [chip["id"] for chip in answer.json()["chips"]] == ids[20:40]
    assert [chip["class"] for chip in answer.json()["chips"]] == same["class"].to_pylist()
    places = {f["id"]: f["properties"] for f in client.get(f"{C}/items", params={"limit": 100}).json()["features"]}
    for chip in answer.json()["chips"]:
        assert (chip["lon"], chip["lat"]) == (places[chip["id"]]["lon"], places[chip["id"]]["lat"])


def test_the_score_is_of_what_classified_and_its_want_loses_no_class(
    client: TestClient, engine: Engine, ids: list[str], labels: dict[str, str]
) -> None:
    asked = {"labels": labels, "ids": ids[20:22], "k": 1, "evaluate": True}
    told = client.post(f"{C}/classify", json=asked).json()
    same = evaluate(Labelled.read(engine, labels, "class"), "knn", k=1)
    assert told["evaluation"] == json.loads(json.dumps(same.to_dict()))
    assert told["notes"] == []
    near = {ids[0]: "town", ids[1]: "field"}
    told = client.post(f"{C}/classify", json={**asked, "labels": near}).json()
    assert len(told["chips"]) == 2
    assert told["evaluation"] is None
    assert told["notes"][0].startswith("no score: ")


def test_labels_that_meet_no_chip_are_told_of(client: TestClient, ids: list[str]) -> None:
    places = [client.get(f"{C}/items/{id_}").json()["properties"] for id_ in (ids[0], ids[60])]
    points = [(p["lon"], p["lat"], "ab"[i]) for i, p in enumerate(places)] + [(0.0, 0.0, "a")]
    features = [
        {"type": "Feature", "geometry": {"type": "Point", "coordinates": [x, y]}, "properties": {"class": name}}
        for x, y, name in points
    ]
    labels = {"type": "FeatureCollection", "features": features}
    told = client.post(f"{C}/classify", json={"labels": labels, "ids": ids[:1]}).json()
    assert any("1 " in note for note in told["notes"]), told["notes"]
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    refused = client.post(f"{C}/classify", json={"labels": {**labels, "crs": crs}, "ids": ids[:1]})
    assert refused.status_code == 400
    assert "EPSG:32633" in refused.json()["detail"]


def test_there_is_an_answer_for_every_place_that_is_asked_for(client: TestClient, ids: list[str], labels: Any) -> None:
    known = [client.get(f"{C}/items/{id_}").json()["properties"] for id_ in (ids[30], ids[50])]
    points = [[p["lon"], p["lat"]] for p in (known[0], known[1], known[0])]
    asked = {"labels": labels, "ids": [ids[40], ids[40]], "points": points}
    chips = client.post(f"{C}/classify", json=asked).json()["chips"]
    assert [chip["id"] for chip in chips] == [ids[40], ids[40], ids[30], ids[50], ids[30]]
    assert chips[2] == chips[4]


def test_places_areas_and_everything(client: TestClient, ids: list[str], labels: dict[str, str]) -> None:
    known = client.get(f"{C}/items/{ids[30]}").json()["properties"]
    point = client.post(f"{C}/classify", json={"labels": labels, "points": [[known["lon"], known["lat"]]]}).json()
    assert [chip["id"] for chip in point["chips"]] == [ids[30]]
    box = [known["lon"] - 0.01, known["lat"] - 0.01, known["lon"] + 0.01, known["lat"] + 0.01]
    inside = client.get(f"{C}/items", params={"bbox": ",".join(map(str, box))}).json()["numberMatched"]
    area = client.post(f"{C}/classify", json={"labels": labels, "bbox": box}).json()
    assert len(area["chips"]) == inside > 1
    assert len(client.post(f"{C}/classify", json={"labels": labels}).json()["chips"]) == 100
    nowhere = client.post(f"{C}/classify", json={"labels": labels, "bbox": [0, 0, 1, 1]}).json()
    assert nowhere["chips"] == []


def test_labels_by_place(client: TestClient, ids: list[str]) -> None:
    features = []
    for number, id_ in enumerate([ids[2], ids[70]]):
        known = client.get(f"{C}/items/{id_}").json()["properties"]
        point = {"type": "Point", "coordinates": [known["lon"], known["lat"]]}
        features.append({"type": "Feature", "geometry": point, "properties": {"kind": "ab"[number]}})
    body = {"labels": {"type": "FeatureCollection", "features": features}, "column": "kind", "ids": ids[:3]}
    answer = client.post(f"{C}/classify", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["classes"] == ["a", "b"]
    assert answer.json()["chips"][2]["class"] == "a"


def test_an_unsure_chip_gets_no_class(client: TestClient, ids: list[str], labels: dict[str, str]) -> None:
    body = {"labels": labels, "ids": ids[20:60], "abstain_below": 1.0}
    chips = client.post(f"{C}/classify", json=body).json()["chips"]
    assert None in {chip["class"] for chip in chips}


def test_how_good_the_classes_are(client: TestClient, ids: list[str], labels: dict[str, str]) -> None:
    answer = client.post(f"{C}/classify", json={"labels": labels, "ids": ids[:1], "evaluate": True})
    assert answer.status_code == 200, answer.text
    assert "spatial" in answer.json()["evaluation"]


def test_what_to_label_next(client: TestClient, engine: Engine, labels: dict[str, str]) -> None:
    answer = client.post(f"{C}/suggest", json={"labels": labels, "n": 4})
    assert answer.status_code == 200, answer.text
    found = answer.json()["suggestions"]
    assert [one["id"] for one in found] == suggest(engine, Labelled.read(engine, labels, "class"), 4)["id"].to_pylist()
    assert not {one["id"] for one in found} & labels.keys()
    assert all(one["why"] and one["thumbnail"] == f"{C}/items/{one['id']}/thumbnail" for one in found)


@pytest.mark.parametrize("path", ["classify", "suggest"])
@pytest.mark.parametrize(
    ("labels", "more", "status"),
    [
        ({}, {}, 400),
        ({"0" * 32: "a", "1" * 32: "b"}, {}, 404),
        ({"0" * 32: ""}, {}, 422),
        ({"type": "FeatureCollection", "features": []}, {}, 400),
        ({"type": "FeatureCollection", "features": [{}]}, {}, 422),
        ({"type": "FeatureCollection", "features": "x"}, {}, 400),
        ("labels.geojson", {}, 422),
        ([], {}, 422),
        (None, {}, 422),
        ({"0" * 32: "a"}, {"method": "magic"}, 422),
        ({"0" * 32: "a"}, {"k": 0}, 422),
    ],
)
def test_labels_that_make_no_sense(client: TestClient, path: str, labels: Any, more: Any, status: int) -> None:
    answer = client.post(f"{C}/{path}", json={"labels": labels, **more})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_too_many_labels(store: Path, serve: Callable[..., AbstractContextManager[TestClient]], ids: list[str]) -> None:
    with serve(store, max_labels=3) as client:
        labels = dict.fromkeys(ids[:4], "a")
        assert client.post(f"{C}/classify", json={"labels": labels}).status_code == 413
        few = {ids[0]: "a", ids[1]: "b"}
        assert client.post(f"{C}/classify", json={"labels": few, "ids": ids[:4]}).status_code == 413
        both = client.post(f"{C}/classify", json={"labels": few, "ids": ids[:1], "bbox": [0, 0, 1, 1]})
        assert both.status_code == 400


def test_places_that_changed(tmp_path: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    made = make.store(tmp_path / "years")
    one = make.chips(list(range(12)))
    moment = {2020: datetime(2020, 6, 1, tzinfo=UTC), 2021: datetime(2021, 6, 1, tzinfo=UTC)}
    for year, when in moment.items():
        times = pa.array([when] * 12, one.schema.field("datetime").type)
        table = one.set_column(one.column_names.index("datetime"), "datetime", times)
        table = table.set_column(table.column_names.index("datetime_end"), "datetime_end", times)
        table = table.set_column(0, "id", pa.array([make.chip_id((year, i)) for i in range(12)]))
        if year == 2021:  # the last place looks like another now
            vectors = table["embedding"].to_pylist()
            vectors[-1] = (-one["embedding"].combine_chunks().values.to_numpy()[-make.DIMENSION :]).tolist()
            at = table.column_names.index("embedding")
            table = table.set_column(at, "embedding", pa.array(vectors, one.schema.field("embedding").type))
        made.append(table)
    with serve(tmp_path / "years") as client:
        answer = client.post(
            "/collections/years/change", json={"a": "2020-01-01/2020-12-31", "b": "2021-01-01/..", "k": 3}
        )
        assert answer.status_code == 200, answer.text
        first, *others = answer.json()["pairs"]
        assert (first["id_a"], first["id_b"]) == (make.chip_id((2020, 11)), make.chip_id((2021, 11)))
        assert first["datetime_a"] == "2020-06-01T00:00:00Z"
        assert first["distance"] > 1 > max(one["distance"] for one in others)
        same = client.post("/collections/years/change", json={"a": "2020", "b": "2020-01-01/.."})
        assert same.status_code == 400


def test_sql_in_every_form(client: TestClient, ids: list[str]) -> None:
    statement = "SELECT id, geometry, valid_fraction FROM embeddings ORDER BY id LIMIT 3"
    rows = client.post(f"{C}/sql", json={"sql": statement}).json()
    assert [one["name"] for one in rows["columns"]] == ["id", "geometry", "valid_fraction"]
    assert [row[0] for row in rows["rows"]] == sorted(ids)[:3]
    assert rows["truncated"] is False
    features = client.post(f"{C}/sql", json={"sql": statement, "format": "geojson"})
    assert features.headers["content-type"] == "application/geo+json"
    assert [one["properties"]["id"] for one in features.json()["features"]] == sorted(ids)[:3]
    arrow = client.post(f"{C}/sql", json={"sql": statement}, headers={"Accept": "application/vnd.apache.arrow.stream"})
    assert pa.ipc.open_stream(arrow.content).read_all()["id"].to_pylist() == sorted(ids)[:3]


def test_sql_within_limits(store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    with serve(store, sql_rows=10, sql_seconds=2.0) as client:
        for statement, status in (
            ("SELECT id FROM embeddings", 413),
            ("SELECT count(*) FROM range(100000000) a, range(100000000) b", 413),
            ("SELECT * FROM read_text('/etc/passwd')", 400),
            ("DROP VIEW embeddings", 400),
            ("SELECT 1; SELECT 2", 400),
            ("SELEC", 400),
        ):
            answer = client.post(f"{C}/sql", json={"sql": statement})
            assert answer.status_code == status, (statement, answer.text)
            assert str(store.parent) not in answer.text
        assert client.post(f"{C}/sql", json={"sql": "SELECT count(*) FROM embeddings"}).json()["rows"] == [[100]]


def test_sql_moves_on_with_the_store(own_store: Path, serve: Callable[..., AbstractContextManager[TestClient]]) -> None:
    from embedstore.store import Store

    with serve(own_store) as client:
        count = {"sql": "SELECT count(*) FROM embeddings"}
        assert client.post(f"{C}/sql", json=count).json()["rows"] == [[100]]
        id_ = client.get(f"{C}/items").json()["features"][0]["id"]
        Store.open(own_store).delete(ids=[id_])
        client.app.state.service.collections["store"].refresh()  # type: ignore[attr-defined]
        assert client.post(f"{C}/sql", json=count).json()["rows"] == [[99]]
