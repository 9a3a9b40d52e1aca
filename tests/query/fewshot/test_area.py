"""Every chip of an area classified: against the estimator, filters, abstention, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore.errors import EmbedstoreError, StorageError, UnknownIdError
from embedstore.snapshot import DegradedIndexWarning
from query import Engine
from query.fewshot import METHODS, Labelled, classify_area, classify_ids, estimator
from tests.query.fewshot.conftest import SIDE, Landscape

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labelled(engine: Engine, landscape: Landscape) -> Labelled:
    return Labelled.read(engine, landscape.labels(range(3, SIDE**2, 9)))


def rows_of(path: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(path).to_pylist()}


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_estimator(
    engine: Engine, landscape: Landscape, labelled: Labelled, tmp_path: Path, method: str
) -> None:
    done = classify_area(engine, labelled, method, tmp_path / "out.parquet", k=4)
    rows = rows_of(tmp_path / "out.parquet")
    assert set(rows) == set(landscape.ids)
    model = estimator(method, k=4).fit(labelled.vectors, labelled.targets)
    vectors = engine.vectors(landscape.ids)
    shares = model.predict_proba(vectors).max(axis=1)
    close = np.array([abs(rows[i]["confidence"] - s) for i, s in zip(landscape.ids, shares, strict=True)])
    same = np.array([rows[i]["class"] for i in landscape.ids]) == model.predict(vectors)
    assert same.mean() > 0.99  # half precision may tip a tie
    assert np.quantile(close, 0.99) < 0.01
    assert done.chips == len(rows) == sum(done.classes.values())
    assert (done.method, done.neighbours, done.labels, done.abstained) == (method, 4, len(labelled), 0)
    assert all(len(r["neighbours"]) == 4 and set(r["neighbours"]) <= set(labelled.ids) for r in rows.values())
    for id_ in labelled.ids:
        assert rows[id_]["neighbours"][0] == id_
        assert rows[id_]["distance"] == pytest.approx(0, abs=1e-3)


def test_the_file_is_geoparquet_with_places_times_and_cells(
    engine: Engine, landscape: Landscape, labelled: Labelled, tmp_path: Path
) -> None:
    classify_area(engine, labelled, "knn", tmp_path / "out.parquet")
    frame = geopandas.read_parquet(tmp_path / "out.parquet").set_index("id").loc[landscape.ids]
    assert list(frame.columns) == ["class", "confidence", "distance", "neighbours", "h3", "datetime", "geometry"]
    assert frame.crs == "OGC:CRS84"
    assert frame.geometry.x.to_numpy() == pytest.approx(landscape.lon)
    assert frame.geometry.y.to_numpy() == pytest.approx(landscape.lat)
    assert set(frame["datetime"].dt.year) == {2021}


def test_filters_choose_the_chips(engine: Engine, landscape: Landscape, labelled: Labelled, tmp_path: Path) -> None:
    area = landscape.square(300, 5.2)
    seen: list[tuple[int, int]] = []
    options: dict[str, Any] = {"within": area, "between": "2021-06-01/2021-06-30", "where": "valid_fraction > 0.5"}
    done = classify_area(engine, labelled, "knn", tmp_path / "a.parquet", **options, progress=lambda *n: seen.append(n))
    inside = shapely.contains_xy(area, landscape.lon, landscape.lat)
    assert set(rows_of(tmp_path / "a.parquet")) == {i for i, yes in zip(landscape.ids, inside, strict=True) if yes}
    assert done.chips == inside.sum() == 25
    assert seen[-1] == (25, 25)
    done = classify_area(engine, labelled, "knn", tmp_path / "b.parquet", between="2019-01-01/2019-12-31")
    assert done.chips == 0
    assert pq.read_table(tmp_path / "b.parquet").num_rows == 0


def test_abstains_below_a_confidence(engine: Engine, labelled: Labelled, tmp_path: Path) -> None:
    done = classify_area(engine, labelled, "knn", tmp_path / "out.parquet", abstain_below=0.7)
    rows = rows_of(tmp_path / "out.parquet").values()
    assert all((r["class"] is None) == (r["confidence"] < 0.7) for r in rows)
    assert done.abstained == sum(r["class"] is None for r in rows) > 0
    assert sum(done.classes.values()) + done.abstained == done.chips


def test_ids_in_their_order(engine: Engine, landscape: Landscape, labelled: Labelled, tmp_path: Path) -> None:
    classify_area(engine, labelled, "probe", tmp_path / "out.parquet", abstain_below=0.6)
    rows = rows_of(tmp_path / "out.parquet")
    ids = landscape.ids[40:10:-1]
    table = classify_ids(engine, labelled, "probe", ids, abstain_below=0.6)
    assert table.column_names == ["id", "class", "confidence", "distance", "neighbours"]
    for id_, row in zip(ids, table.to_pylist(), strict=True):
        assert row["id"] == id_
        assert row["class"] == rows[id_]["class"]
        assert row["confidence"] == pytest.approx(rows[id_]["confidence"], abs=1e-3)
        assert row["neighbours"][0] == rows[id_]["neighbours"][0]
    with pytest.raises(UnknownIdError):
        classify_ids(engine, labelled, "knn", ["0" * 32])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": 0}, "k = 0"),
        ({"k": True}, "k = True"),
        ({"abstain_below": 1.5}, "1.5 makes no sense"),
        ({"abstain_below": float("nan")}, "nan makes no sense"),
        ({"method": "svm"}, "no method 'svm'"),
        ({"bbox": (1, 2, 3)}, "bbox"),
    ],
)
def test_nonsense_is_refused_and_nothing_is_written(
    engine: Engine, labelled: Labelled, tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    out = tmp_path / "out.parquet"
    out.write_text("before")
    with pytest.raises(EmbedstoreError, match=says):
        classify_area(engine, labelled, options.pop("method", "knn"), out, **options)
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]


def test_fewer_labels_than_neighbours_all_vote(engine: Engine, landscape: Landscape, tmp_path: Path) -> None:
    few = Labelled.read(engine, {landscape.ids[0]: "a", landscape.ids[300]: "b"})
    done = classify_area(engine, few, "knn", tmp_path / "out.parquet", k=5)
    assert done.neighbours == 2
    assert all(set(row["neighbours"]) == set(few.ids) for row in rows_of(tmp_path / "out.parquet").values())


def test_it_appears_whole_or_not_at_all(engine: Engine, labelled: Labelled, tmp_path: Path) -> None:
    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        classify_area(engine, labelled, "knn", tmp_path / "out.parquet", progress=stop)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StorageError, match="no"):
        classify_area(engine, labelled, "knn", tmp_path / "no" / "out.parquet")


def test_damage_is_gone_round(landscape: Landscape, tmp_path: Path) -> None:
    import shutil

    path = shutil.copytree(landscape.path, tmp_path / "store")
    labels = landscape.labels(range(3, SIDE**2, 9))
    engine = Engine(path)
    classify_area(engine, Labelled.read(engine, labels), "knn", tmp_path / "before.parquet")
    engine = Engine(path)
    vectors = next(path.glob("_index/segments/*/vectors.f16"))
    held = bytearray(vectors.read_bytes())
    held[1000] ^= 0xFF
    vectors.write_bytes(held)
    with pytest.warns(DegradedIndexWarning):
        classify_area(engine, Labelled.read(engine, labels), "knn", tmp_path / "after.parquet")
    assert rows_of(tmp_path / "before.parquet") == rows_of(tmp_path / "after.parquet")
