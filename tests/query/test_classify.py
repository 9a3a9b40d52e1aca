"""Every chip labelled by its nearest labels, against scikit-learn and brute force."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from sklearn.neighbors import KNeighborsClassifier

from embedstore import segment_rows
from embedstore.errors import EmbedstoreError, QueryError, StorageError, UnknownIdError
from embedstore.geoparquet import read_part
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from query import Engine
from query.classify import vote
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 900
LABELS = {chip_id(i): "field" if i % 3 else "forest" for i in range(60)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three appends, some rows deleted and moved."""
    made = make.store(tmp_path_factory.mktemp("classify") / "store")
    for start in range(0, ROWS, 300):
        made.append(make.chips(list(range(start, start + 300)), item=str(start)))
    made.delete(ids=[chip_id(i) for i in range(300, 400)])
    made.compact()
    return made


def truth(store: Store) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    tables = [read_part(store.path / f.path) for f in Store.open(store.path).table.files()]
    whole = pa.concat_tables(tables)
    return (
        whole["id"].to_pylist(),
        segment_rows.matrix(whole["embedding"], store.encoder.dimension),
        segment_rows.columns_of(whole),
    )


def by_id(path: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(path).to_pylist()}


@pytest.mark.parametrize("k", [1, 5, 60])
def test_equals_scikit_learn(store: Store, tmp_path: Path, k: int) -> None:
    done = Engine(store.path).classify_all(LABELS, tmp_path / "out.parquet", k=k)
    ids, vectors, _ = truth(store)
    at = {i: n for n, i in enumerate(ids)}
    known = [i for i in LABELS if i in at]
    model = KNeighborsClassifier(k, weights="distance", metric="cosine", algorithm="brute")
    model.fit(vectors[[at[i] for i in known]], [LABELS[i] for i in known])
    rows = by_id(tmp_path / "out.parquet")
    assert sorted(rows) == sorted(ids)
    assert done.chips == len(ids) == sum(done.classes.values())
    others = [i for i in ids if i not in LABELS]  # a distance of zero is another case
    want = model.predict_proba(vectors[[at[i] for i in others]])
    got = np.array([rows[i]["confidence"] for i in others])
    assert np.abs(want.max(axis=1) - got).max() < 1e-3
    sure = want.max(axis=1) > 0.501
    classes = model.classes_[want.argmax(axis=1)]
    assert all(rows[i]["class"] == c for i, c, s in zip(others, classes, sure, strict=True) if s)
    distance = model.kneighbors(vectors[[at[i] for i in others]])[0][:, 0]
    assert np.abs(distance - [rows[i]["distance"] for i in others]).max() < 1e-3


def test_a_labelled_chip_keeps_its_label(store: Store, tmp_path: Path) -> None:
    Engine(store.path).classify_all(LABELS, tmp_path / "out.parquet")
    rows = by_id(tmp_path / "out.parquet")
    assert all(rows[i]["class"] == c and rows[i]["confidence"] > 0.9 for i, c in LABELS.items())


def test_only_what_passes_the_filter(store: Store, tmp_path: Path) -> None:
    box = (11.0, 45.5, 12.0, 47.0)
    done = Engine(store.path).classify_all(LABELS, tmp_path / "out.parquet", bbox=box, between="2020-01-01/2021-06-30")
    ids, _, columns = truth(store)
    inside = (columns["lon"] >= 11) & (columns["lon"] <= 12) & (columns["lat"] >= 45.5) & (columns["lat"] <= 47)
    inside &= columns["datetime"] < np.datetime64("2021-07-01")
    assert set(by_id(tmp_path / "out.parquet")) == {i for i, yes in zip(ids, inside, strict=True) if yes}
    assert 0 < done.chips == inside.sum()


def test_the_file_is_geoparquet_with_the_centres(store: Store, tmp_path: Path) -> None:
    Engine(store.path).classify_all(LABELS, tmp_path / "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    points = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    ids, _, columns = truth(store)
    order = np.argsort(ids)[np.argsort(np.argsort(table["id"].to_pylist()))]
    assert np.array_equal(shapely.get_coordinates(points), np.column_stack([columns["lon"], columns["lat"]])[order])
    assert geo["geometry_types"] == ["Point"]
    assert geo["bbox"] == list(shapely.total_bounds(points))
    assert table["h3"].to_numpy().tolist() == columns["h3"][order].tolist()


def test_nothing_passes(store: Store, tmp_path: Path) -> None:
    done = Engine(store.path).classify_all(LABELS, tmp_path / "out.parquet", bbox=(100, 0, 101, 1))
    assert done.chips == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("labels", "k", "says"),
    [
        ({}, 1, "no labels"),
        (LABELS, 0, "k = 0"),
        (LABELS, 61, "1 to 60"),
        (LABELS, True, "k = True"),
        ({chip_id(1): None}, 1, "no class"),
        ({"0" * 32: "x"}, 1, "holds no chip"),
        (pa.table({"id": [chip_id(1)]}), 1, "'class'"),
        (pa.table({"id": [chip_id(1)] * 2, "class": ["a", "b"]}), 1, "labelled 'a' and 'b'"),
        (([[1.0] * 16], ["a", "b"]), 1, "1 vectors and 2 classes"),
        (([[1.0] * 15], ["a"]), 1, "dimension 16"),
        (([[float("nan")] * 16], ["a"]), 1, "NaN"),
        (7, 1, "labels are"),
    ],
)
def test_bad_labels_are_refused_and_nothing_is_written(
    store: Store, tmp_path: Path, labels: Any, k: Any, says: str
) -> None:
    out = tmp_path / "out.parquet"
    out.write_text("before")
    with pytest.raises(EmbedstoreError, match=says) as caught:
        Engine(store.path).classify_all(labels, out, k=k)
    assert isinstance(caught.value, (QueryError, UnknownIdError))
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_not_there(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no"):
        Engine(store.path).classify_all(LABELS, tmp_path / "no" / "out.parquet")


def test_labels_as_a_table_and_as_vectors(store: Store, tmp_path: Path) -> None:
    engine = Engine(store.path)
    ids, vectors, _ = truth(store)
    at = {i: n for n, i in enumerate(ids)}
    engine.classify_all(LABELS, tmp_path / "a.parquet")
    engine.classify_all(pa.table({"id": list(LABELS), "class": list(LABELS.values())}), tmp_path / "b.parquet")
    engine.classify_all((vectors[[at[i] for i in LABELS]] * 3, list(LABELS.values())), tmp_path / "c.parquet")
    a, b, c = (pq.read_table(tmp_path / f"{n}.parquet") for n in "abc")
    assert a.equals(b)
    assert a["class"].to_pylist() == c["class"].to_pylist()


def test_damage_is_found_and_the_answer_is_right(tmp_path: Path) -> None:
    store = make.store(tmp_path / "store")
    store.append(make.chips(list(range(200))))
    Engine(store.path).classify_all(LABELS, tmp_path / "before.parquet")
    engine = Engine(store.path)
    vectors = next(store.path.glob("_index/segments/*/vectors.f16"))
    held = bytearray(vectors.read_bytes())
    held[1000] ^= 0xFF
    vectors.write_bytes(held)
    with pytest.warns(DegradedIndexWarning):
        engine.classify_all(LABELS, tmp_path / "after.parquet")
    assert by_id(tmp_path / "before.parquet") == by_id(tmp_path / "after.parquet")


def test_vote_weighs_by_nearness_and_sums_to_one() -> None:
    codes = np.array([[0, 1, 1], [0, 1, 2]])
    distances = np.array([[0.1, 0.3, 0.3], [0.0, 0.5, 0.5]], np.float32)
    won, confidence = vote(codes, distances, 3)
    assert won.tolist() == [0, 0]
    assert confidence[0] == pytest.approx(10 / (10 + 2 / 0.3))
    assert confidence[1] == pytest.approx(1, abs=1e-4)
