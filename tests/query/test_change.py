"""Change between two dates: pairs of one place, the most changed first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore.errors import FilterError, QueryError
from query import Engine
from query.change import change
from tests.embedstore import make
from tests.query.fewshot.conftest import STEP, WIDE, chips, grid

if TYPE_CHECKING:
    from pathlib import Path

    from embedstore.store import Store

BEFORE, AFTER = "2020-01-01/2020-12-31", "2021-01-01/2021-12-31"
COUNT = 48
CHANGED = {5: 1.0, 17: 2.0, 40: 0.5}
"""Chips that change, and how much."""


def day(year: int, month: int = 6) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def places() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lon, lat = (values[:COUNT] for values in grid())
    return lon, lat, np.random.default_rng(1).normal(size=(COUNT, make.DIMENSION))


def later(vectors: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(2)
    after = vectors + 0.01 * random.normal(size=vectors.shape)
    for i, much in CHANGED.items():
        after[i] += much * np.linalg.norm(vectors[i]) * make_unit(random.normal(size=vectors.shape[1]))
    return after


def make_unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_radar_is_no_change_of_colour(store: Store) -> None:
    lon, lat, vectors = places()
    radar = chips("r", lon[:10], lat[:10], -vectors[:10], day(2020, 9))
    at = radar.schema.get_field_index("modalities")
    store.append(radar.set_column(at, radar.schema.field(at), pa.array([2] * 10, pa.int32())))
    with Engine(store.path) as engine:
        found = change(engine, BEFORE, AFTER, k=COUNT)
        assert found.num_rows == COUNT
        assert not {make.chip_id(f"r{i}") for i in range(10)} & set(found["id_a"].to_pylist())
        assert found["id_a"].to_pylist()[:3] == [make.chip_id(f"a{i}") for i in (17, 5, 40)]
        with pytest.raises(QueryError, match="same modalities"):
            change(engine, "2020-09-01", AFTER)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two dates of one grid, the later one shifted by a tenth of a chip."""
    lon, lat, vectors = places()
    made = make.store(tmp_path / "store")
    made.append(chips("a", lon, lat, vectors, day(2020)))
    made.append(chips("b", lon + 0.1 * WIDE, lat, later(vectors), day(2021)))
    return made


def test_ranks_places_by_the_distance_of_their_vectors(store: Store) -> None:
    found = change(Engine(store.path), BEFORE, AFTER)
    lon, lat, vectors = places()
    one, two = vectors, later(vectors)
    cosine = (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    order = np.argsort(cosine)
    assert found["id_a"].to_pylist()[:3] == [make.chip_id(f"a{i}") for i in order[:3]]
    assert found["id_b"].to_pylist()[:3] == [make.chip_id(f"b{i}") for i in order[:3]]
    assert set(order[:3].tolist()) == set(CHANGED)
    assert found["distance"].to_numpy() == pytest.approx(1 - np.sort(cosine), abs=2e-3)
    assert found["lon"].to_numpy()[:3] == pytest.approx(lon[order[:3]] + 0.1 * WIDE)
    assert found["lat"].to_numpy()[:3] == pytest.approx(lat[order[:3]])
    assert {t.year for t in found["datetime_a"].to_pylist()} == {2020}
    assert {t.year for t in found["datetime_b"].to_pylist()} == {2021}
    assert found.num_rows == COUNT


def test_k_filters_and_single_dates(store: Store) -> None:
    engine = Engine(store.path)
    everything = change(engine, BEFORE, AFTER)
    assert change(engine, "2020-06-01", "2021-06-01", k=2).equals(everything.slice(0, 2))
    assert change(engine, (day(2020), day(2020)), (day(2021), day(2021))).equals(everything)
    lon, lat, _ = places()
    box = (lon[17] - 0.4 * WIDE, lat[17] - 0.4 * STEP, lon[17] + 0.4 * WIDE, lat[17] + 0.4 * STEP)
    assert change(engine, BEFORE, AFTER, bbox=box)["id_b"].to_pylist() == [make.chip_id("b17")]


def test_is_geoparquet_of_footprints(store: Store, tmp_path: Path) -> None:
    pq.write_table(change(Engine(store.path), BEFORE, AFTER), tmp_path / "c.parquet")
    frame = geopandas.read_parquet(tmp_path / "c.parquet")
    assert frame.crs == "OGC:CRS84"
    shapes = frame.geometry.to_numpy()
    assert shapely.get_x(shapely.centroid(shapes)) == pytest.approx(frame["lon"].to_numpy(), abs=1e-6)
    assert shapely.area(shapes) == pytest.approx(STEP * WIDE, rel=1e-3)


def test_of_several_scenes_the_nearest_in_place_then_the_newest(store: Store) -> None:
    lon, lat, vectors = places()
    store.append(chips("old", lon + 0.1 * WIDE, lat, vectors, day(2021, 3)))  # the same windows, earlier
    store.append(chips("far", lon + 0.4 * WIDE, lat, vectors, day(2021, 9)))  # newer, and less in place
    store.append(chips("worn", lon, lat, -vectors, day(2020, 2)))  # of the first period, earlier
    found = change(Engine(store.path), BEFORE, AFTER)
    at = [make.chip_id(f"{name}{i}") for name in ("a", "b") for i in range(COUNT)]
    assert set(found["id_a"].to_pylist()) | set(found["id_b"].to_pylist()) == set(at)
    assert found.num_rows == COUNT


def test_pairs_are_one_to_one_and_within_half_a_chip(tmp_path: Path) -> None:
    lon, lat, vectors = places()
    store = make.store(tmp_path / "store")
    store.append(chips("a", lon[:1], lat[:1], vectors[:1], day(2020)))
    shifts = np.array([0.1, 0.3, 0.9]) * WIDE
    store.append(chips("b", lon[0] + shifts, lat[:1].repeat(3), vectors[:3], day(2021)))
    assert change(Engine(store.path), BEFORE, AFTER)["id_b"].to_pylist() == [make.chip_id("b0")]
    store.delete(ids=[make.chip_id("b0"), make.chip_id("b1")])
    with pytest.raises(QueryError, match="no place was seen both"):
        change(Engine(store.path), BEFORE, AFTER)


def test_what_makes_no_sense_is_refused(store: Store) -> None:
    engine = Engine(store.path)
    with pytest.raises(QueryError, match="overlap"):
        change(engine, BEFORE, "2020-12-31/2021-12-31")
    with pytest.raises(QueryError, match="no chip of the area was taken in 1999"):
        change(engine, "1999-01-01", AFTER)
    with pytest.raises(QueryError, match="k = 0"):
        change(engine, BEFORE, AFTER, k=0)
    with pytest.raises(FilterError, match="no time"):
        change(engine, "yesterday", AFTER)
