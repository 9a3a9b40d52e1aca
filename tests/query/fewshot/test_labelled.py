"""Labels as people have them, and the chips that they are of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore.errors import LabelError, UnknownIdError
from embedstore.vectors import to_unit
from query import Engine
from query.fewshot import Labelled
from tests.embedstore import make
from tests.query.fewshot.conftest import CLASSES, SIDE, STEP, WIDE, Landscape, chips, collection, feature, grid

if TYPE_CHECKING:
    from pathlib import Path

FIELD, FOREST, WATER = CLASSES


def two(landscape: Landscape) -> dict[str, Any]:
    """A point on chip 30 and a square on chip 100."""
    at = shapely.Point(landscape.lon[30] + 0.2 * WIDE, landscape.lat[30])
    return collection(feature(at, FIELD), feature(landscape.square(100), WATER))


def expected(landscape: Landscape) -> dict[str, str]:
    return {landscape.ids[30]: FIELD, landscape.ids[100]: WATER}


def given(labelled: Labelled) -> dict[str, str]:
    return dict(zip(labelled.ids, labelled.targets.tolist(), strict=True))


def test_points_and_polygons_label_the_chips_that_hold_them_or_that_they_hold(
    engine: Engine, landscape: Landscape
) -> None:
    labelled = Labelled.read(engine, two(landscape))
    assert given(labelled) == expected(landscape)
    at = [landscape.ids.index(i) for i in labelled.ids]
    assert labelled.vectors == pytest.approx(to_unit(landscape.vectors[at]), abs=2e-3)
    assert labelled.lon == pytest.approx(landscape.lon[at], abs=1e-9)
    assert labelled.lat == pytest.approx(landscape.lat[at], abs=1e-9)
    corner = np.hypot(WIDE * np.cos(np.radians(46)), STEP) / 2 * 111_195
    assert labelled.radius == pytest.approx([corner] * 2, rel=0.01)
    assert labelled.notes == ()


def test_a_polygon_labels_every_chip_whose_centre_it_holds(engine: Engine, landscape: Landscape) -> None:
    wide = landscape.square(100, 3.2)  # the chip and its eight neighbours
    labelled = Labelled.read(engine, collection(feature(wide, FIELD), feature(landscape.square(300), WATER)))
    around = [100 + row * SIDE + col for row in (-1, 0, 1) for col in (-1, 0, 1)]
    assert given(labelled) == {landscape.ids[i]: FIELD for i in around} | {landscape.ids[300]: WATER}
    field = labelled.feature[labelled.classes == 0]
    assert len(set(field.tolist())) == 1


def test_a_polygon_that_holds_no_centre_labels_the_chip_that_it_lies_on(engine: Engine, landscape: Landscape) -> None:
    tiny = shapely.affinity.translate(landscape.square(30, 0.1), 0.3 * WIDE, 0.3 * STEP)
    many = shapely.MultiPoint([(landscape.lon[i], landscape.lat[i]) for i in (7, 500)])
    labelled = Labelled.read(engine, collection(feature(tiny, FIELD), feature(many, WATER)))
    assert given(labelled) == {landscape.ids[30]: FIELD, landscape.ids[7]: WATER, landscape.ids[500]: WATER}


def test_of_overlapping_chips_a_point_labels_the_nearest_of_each_date(tmp_path: Path) -> None:
    lon, lat = grid()
    lon, lat = lon[:6], lat[:6]
    store = make.store(tmp_path / "store")
    for name, year in (("early", 2020), ("late", 2021)):
        vectors = np.random.default_rng(year).normal(size=(6, make.DIMENSION))
        store.append(chips(name, lon, lat, vectors, datetime(year, 1, 1, tzinfo=UTC), size=2.0))
    points = [feature(shapely.Point(lon[i] + 0.3 * WIDE, lat[i]), c) for i, c in ((1, FIELD), (4, WATER))]
    labelled = Labelled.read(Engine(store.path), collection(*points))
    expected = {make.chip_id(f"{name}{i}"): c for name in ("early", "late") for i, c in ((1, FIELD), (4, WATER))}
    assert given(labelled) == expected


@pytest.mark.parametrize("suffix", ["geojson", "parquet", "csv", "json", "ids.parquet", "table", "mapping"])
def test_every_form_says_the_same(engine: Engine, landscape: Landscape, tmp_path: Path, suffix: str) -> None:
    ids = expected(landscape)
    table = pa.table({"id": list(ids), "kind": list(ids.values())})
    frame = geopandas.GeoDataFrame.from_features(two(landscape), crs=4326).rename(columns={"class": "kind"})
    path = tmp_path / f"labels.{suffix}"
    if suffix == "geojson":
        path.write_text(frame.to_json())
    elif suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "csv":
        path.write_text("id,kind\n" + "".join(f"{i},{c}\n" for i, c in ids.items()))
    elif suffix == "json":
        path.write_text(json.dumps(ids))
    elif suffix == "ids.parquet":
        pq.write_table(table, path)
    source: Any = {"table": table, "mapping": ids}.get(suffix, path)
    assert given(Labelled.read(engine, source, "kind")) == ids


def test_numbers_are_classes_too(engine: Engine, landscape: Landscape, tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame.from_features(two(landscape), crs=4326).assign(code=[2253.0, 6201.0])
    frame.to_parquet(tmp_path / "labels.parquet")
    assert Labelled.read(engine, tmp_path / "labels.parquet", "code").names == ("2253", "6201")


def test_labels_off_the_map_are_told(engine: Engine, landscape: Landscape) -> None:
    far = feature(shapely.Point(0, 0), FIELD)
    labelled = Labelled.read(engine, collection(far, *two(landscape)["features"]))
    assert given(labelled) == expected(landscape)
    assert labelled.notes == ("1 of 3 labels lie where the store has no chip",)


def test_a_great_many_labels_are_thinned_evenly_and_rare_classes_stay_whole(
    engine: Engine, landscape: Landscape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query.fewshot.labelled.MOST", 50)
    labels = dict.fromkeys(landscape.ids, FIELD) | dict.fromkeys(landscape.ids[:20], WATER)
    labelled = Labelled.read(engine, labels)
    assert np.bincount(labelled.classes).tolist() == [30, 20]
    assert labelled.notes == ("576 chips are labelled; 50, evenly spread, are learned from",)
    assert set(given(labelled).items()) <= set(labels.items())


def refusals(landscape: Landscape) -> dict[str, tuple[Any, str]]:
    one, other = landscape.square(30), landscape.square(100)
    bowtie = shapely.Polygon([(11, 46), (11.01, 46.01), (11.01, 46), (11, 46.01)])
    line = shapely.LineString([(11, 46), (11.1, 46)])
    utm = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}}
    ok = feature(other, WATER)
    id_ = landscape.ids[0]
    torn = f"1 labelled chip gets two classes: {landscape.ids[30]} .* 'field' by feature 1 and 'water' by feature 3"
    return {
        "two classes of a chip": (collection(feature(one, FIELD), ok, feature(one, WATER)), torn),
        "no class": (collection(feature(one, None), feature(one, " "), ok), "2 of 3 labels .* number 1"),
        "not a number": (pa.table({"id": [id_], "class": [float("nan")]}), "1 of 1 labels"),
        "one class": (collection(ok), "all labels are of one class, 'water'"),
        "nothing": (collection(), "holds no label"),
        "no id": ({}, "holds no label"),
        "no column": (collection({**ok, "properties": {"name": "x"}}), "no column 'class'.* columns are: name"),
        "no geometry": (collection(feature(None, FIELD), ok), "feature 1 .* geometry none"),
        "a line": (collection(ok, feature(line, FIELD)), "feature 2 .* LineString"),
        "a bow tie": (collection(feature(bowtie, FIELD), ok), "feature 1 .* invalid"),
        "metres": (collection(feature(shapely.Point(300000, 5e6), FIELD), ok), "feature 1 .* outside the globe"),
        "projected": (collection(ok) | utm, "EPSG::32633.*Reproject"),
        "elsewhere": (collection(feature(shapely.Point(0, 0), FIELD)), "none of the 1 labels lies on a chip"),
        "broken geometry": (collection({**ok, "geometry": {"type": "Point"}}), "feature 1 .* no valid geometry"),
        "a bare geometry": ({"type": "Point", "coordinates": [0, 0]}, "type 'Point'"),
        "a number": (7, "cannot be read from int"),
        "a number for an id": ({7: FIELD}, "7 for an id"),
        "no file": ("nowhere.geojson", "nowhere.geojson cannot be read"),
        "an id twice": (pa.table({"id": [id_, id_], "class": [FIELD, WATER]}), "labels chip .* 'field' and 'water'"),
        "no id column": (pa.table({"class": [FIELD]}), "neither GeoParquet geometry nor a column id"),
    }  # fmt: skip


def test_what_makes_no_sense_is_refused(engine: Engine, landscape: Landscape) -> None:
    for name, (source, says) in refusals(landscape).items():
        with pytest.raises(LabelError, match=says):
            pytest.fail(f"{name}: {Labelled.read(engine, source)}")


def test_a_projected_geoparquet_file_is_refused(engine: Engine, landscape: Landscape, tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame.from_features(two(landscape), crs=4326).to_crs(32633)
    frame.to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(LabelError, match=r"EPSG:32633.*Reproject"):
        Labelled.read(engine, tmp_path / "labels.parquet")


@pytest.mark.parametrize(("name", "text"), [("a.json", "[1]"), ("a.json", "{"), ("a.parquet", "x"), ("a.csv", "a,b\n")])
def test_broken_files_are_refused(engine: Engine, tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabelError, match=name):
        Labelled.read(engine, tmp_path / name)


def test_unknown_ids_are_named(engine: Engine, landscape: Landscape) -> None:
    with pytest.raises(UnknownIdError, match=r"2 of 3 labelled ids .* first is 'nobody'"):
        Labelled.read(engine, {landscape.ids[0]: FIELD, "nobody": WATER, "0" * 32: WATER})
