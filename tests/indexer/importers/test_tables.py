from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore.errors import EmbeddingsError, EncoderError, EncoderMismatchError, InputError
from embedstore.store import Store
from indexer.encode import encode
from indexer.importers import parquet
from indexer.importers.run import run
from query import Engine
from query.export.run import export
from tests.indexer import scenes
from tests.indexer.importers import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAKERS: dict[str, tuple[Callable[..., Path], dict[str, Any], str]] = {
    "Earth Index": (files.earth_index, {}, "imported:softcon"),
    "Clay v0": (files.clay_v0, {}, "imported:clay-v0"),
    "Clay v1": (files.clay_v1, {}, "imported:clay-v1.5"),
    "Planet": (files.planet, {}, "imported:planet"),
    "Major TOM": (files.major_tom, {"model": "SSL4EO"}, "imported:SSL4EO"),
}


@pytest.mark.parametrize("layout", MAKERS)
def test_a_layout_is_recognised_and_each_chip_finds_itself(layout: str, tmp_path: Path) -> None:
    make, told, name = MAKERS[layout]
    path = make(tmp_path / "file.parquet")
    report = run([path], tmp_path / "s", **told)
    left_out = 1 if layout == "Planet" else 0
    assert (report.layouts, report.chips) == ({str(path): layout}, files.ROWS - left_out)
    assert (report.without_vector, report.already_there, report.files_failed) == (left_out, 0, ())
    assert (Store.open(tmp_path / "s").encoder.name, Store.open(tmp_path / "s").verify()) == (name, [])
    kept = [i for i in range(files.ROWS) if not (left_out and i == 1)]
    with Engine(tmp_path / "s") as engine:
        found = [engine.search(v, k=1, recall="exact") for v in files.vectors()[kept]]
        assert min(float(hits.scores[0]) for hits in found) > 0.999
        assert len({hits.ids[0] for hits in found}) == len(kept)
        assert engine.search(id=found[3].ids[0], k=1).ids == found[3].ids
        assert engine.search(at=(float(found[3].lon[0]), float(found[3].lat[0])), k=1).scores[0] > 0.999


def test_where_and_when_and_from_what_is_kept(tmp_path: Path) -> None:
    run([files.planet(tmp_path / "p.parquet")], tmp_path / "p")
    run([files.major_tom(tmp_path / "m.parquet")], tmp_path / "m", model="SSL4EO")
    run([files.earth_index(tmp_path / "e.parquet")], tmp_path / "e")
    with Engine(tmp_path / "p") as engine:
        rows = engine.sql("SELECT bbox, datetime, valid_fraction FROM embeddings ORDER BY datetime").to_pylist()
        assert rows[0]["bbox"] == pytest.approx({"xmin": 10, "ymin": 45, "xmax": 10.0096, "ymax": 45.0096})
        assert [row["datetime"].day for row in rows] == [1, *range(3, 13)]
        assert rows[0]["valid_fraction"] == 0.75
    with Engine(tmp_path / "m") as engine:
        row = engine.sql("SELECT id, inputs[1] AS i FROM embeddings ORDER BY id").to_pylist()[2]
        assert row["id"] == f"{2:032x}"
        assert (row["i"]["item"], row["i"]["width"]) == ("S2B_MSIL2A_20200106T100319", 224)
    with Engine(tmp_path / "e") as engine:
        row = engine.sql("SELECT * FROM embeddings WHERE inputs[1].item = 'tile-4'").to_pylist()[0]
        assert (row["datetime"].year, row["datetime_end"].year) == (2023, 2024)
        assert engine.store.encoder.options == {"version": "2.0.0", "source": "https://example.org/softcon"}


def exported(tmp_path: Path, name: str, seed: int) -> Path:
    """Export a small store of `rcf`, which is another encoder for every scene that it was fitted to."""
    scene = scenes.write(tmp_path / f"{name}.tif", scenes.noise(seed=seed))
    encode([scene], tmp_path / name, chip_size=32, datetime="2019-04-16")
    with Engine(tmp_path / name) as engine:
        export(engine, tmp_path / f"{name}.parquet")
    return tmp_path / f"{name}.parquet"


def test_an_export_comes_back_as_it_was_and_never_beside_another_encoder(tmp_path: Path) -> None:
    one, other = exported(tmp_path, "one", 1), exported(tmp_path, "other", 2)
    report = run([one], tmp_path / "s")
    assert (report.layouts, report.notes) == ({str(one): "embedstore"}, ())
    told = "SELECT id, geometry, datetime, datetime_end, valid_fraction, thumbnail FROM embeddings ORDER BY id"
    with Engine(tmp_path / "one") as was, Engine(tmp_path / "s") as now:
        assert now.sql(told).equals(was.sql(told))
        id_ = was.sql(told)["id"][0].as_py()
        assert now.search(id=id_, k=5).ids == was.search(id=id_, k=5).ids
        spec = now.store.encoder
        assert (spec.name, spec.chip_size, spec.gsd) == ("imported:rcf", 32, was.store.encoder.gsd)
    with pytest.raises(EncoderMismatchError, match="version"):
        run([other], tmp_path / "s")
    columns = pq.read_table(other, columns=["id", "geometry", "embedding"])
    pq.write_table(columns, tmp_path / "few.parquet")  # with the footer, and so taken for Earth Index
    assert run([tmp_path / "few.parquet"], tmp_path / "few").chips
    assert Store.open(tmp_path / "few").encoder.options["version"]


@pytest.mark.parametrize("given", [True, False])
def test_the_next_year_of_the_same_tiles_is_not_taken_for_the_one_before(tmp_path: Path, given: bool) -> None:
    """Whether the caller says the year, or the files do."""
    for year in (2023, 2024):
        span = {"start_datetime": f"{year}-01-01T00:00:00Z", "end_datetime": f"{year + 1}-01-01T00:00:00Z"}
        emb = {**{k: v for k, v in files.EMB.items() if "datetime" not in k}, **({} if given else span)}
        columns = {
            "id": [f"{i:040x}" for i in range(3)],
            "embedding": files.lists(files.vectors()[:3]),
            "geometry": files.footprints(3),
        }
        path = files.write(tmp_path / f"tiles{year}.parquet", columns, {"emb": emb})
        report = run([path], tmp_path / "s", datetime=str(year) if given else None)
        assert (report.chips, report.already_there) == (3, 0)
        assert run([path], tmp_path / "s", datetime=str(year) if given else None).already_there == 3
    with Engine(tmp_path / "s") as engine:
        assert len(engine.search(files.vectors()[0], k=9, between="2024-01-01/2024-12-31")) == 3


def test_a_time_said_later_is_heard(tmp_path: Path) -> None:
    path = files.clay_v0(tmp_path / "c.parquet")
    run([path], tmp_path / "s")
    assert run([path], tmp_path / "s", datetime="2024").chips == files.ROWS


def test_a_path_in_a_file_of_others_is_not_kept(tmp_path: Path) -> None:
    urls = ["/etc/passwd", *(f"s3://tiles/{i}.tif" for i in range(1, files.ROWS))]
    run([files.clay_v0(tmp_path / "c.parquet", source_url=urls)], tmp_path / "s")
    with Engine(tmp_path / "s") as engine:
        kept = engine.sql("SELECT inputs[1].href AS href FROM embeddings")["href"].to_pylist()
    assert sorted(kept, key=str) == sorted([None, *urls[1:]], key=str)


def test_near_duplicates_of_few_large_components_find_themselves(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    wide = rng.normal(size=(1, 96)) * np.geomspace(1, 0.001, 96)
    near = (wide + 0.006 * rng.normal(size=(200, 96)) * np.abs(wide)).astype(np.float32)
    columns = {
        "id": [str(i) for i in range(200)],
        "embedding": files.lists(near),
        "geometry": files.footprints(200),
    }
    emb = {**files.EMB, "embedding": {"dim": 96}}
    run([files.write(tmp_path / "n.parquet", columns, {"emb": emb}, group=200)], tmp_path / "s")
    with Engine(tmp_path / "s") as engine:
        named = engine.sql("SELECT id, inputs[1].item AS item FROM embeddings").to_pylist()
        ids = {row["item"]: row["id"] for row in named}
        firsts = [hits.ids[0] for hits in engine.search_many(near, k=1, recall="exact")]
        assert sum(ids[str(i)] == first for i, first in enumerate(firsts)) == 200


def test_zero_rows_give_an_empty_valid_store(tmp_path: Path) -> None:
    report = run([files.earth_index(tmp_path / "e.parquet", rows=0)], tmp_path / "s")
    store = Store.open(tmp_path / "s")
    assert (report.chips, store.rows, store.encoder.dimension, store.verify()) == (0, 0, files.DIMENSION, [])
    with Engine(tmp_path / "s") as engine:
        assert len(engine.search(files.vectors()[0])) == 0


def test_repeated_and_interrupted_imports_store_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.clay_v0(tmp_path / "c.parquet")
    once = run([path], tmp_path / "once")
    append, calls = Store.append, []

    def dies(store: Store, chips: pa.Table, unit: str | None = None) -> int:
        calls.append(unit)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return append(store, chips, unit)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", dies)
        with pytest.raises(KeyboardInterrupt):
            run([path], tmp_path / "twice")
    assert Store.open(tmp_path / "twice").rows == 5  # the first row group
    report = run([path], tmp_path / "twice")
    assert (report.chips, report.already_there) == (files.ROWS - 5, 5)
    assert run([path], tmp_path / "twice").already_there == files.ROWS
    renamed = path.rename(tmp_path / "other.gpq")
    assert run([renamed], tmp_path / "twice").already_there == files.ROWS
    with Engine(tmp_path / "once") as one, Engine(tmp_path / "twice") as other:
        ids = "SELECT id FROM embeddings ORDER BY id"
        assert one.sql(ids).equals(other.sql(ids))
    assert once.chips == files.ROWS


def test_a_large_row_group_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = pq.read_table(files.clay_v0(tmp_path / "c.parquet"))
    path = files.write(tmp_path / "one.parquet", {n: columns[n] for n in columns.column_names}, group=1000)
    monkeypatch.setattr(parquet, "MOST_ROWS", 5)
    run([path], tmp_path / "s")
    store = Store.open(tmp_path / "s")
    assert (store.version, store.rows) == (3, files.ROWS)  # three commits


def test_vectors_of_another_model_are_never_mixed_in(tmp_path: Path) -> None:
    run([files.clay_v0(tmp_path / "c.parquet")], tmp_path / "s")
    with pytest.raises(EncoderMismatchError, match=r"model imported:clay-v0, not imported:clay-v1\.5"):
        run([files.clay_v1(tmp_path / "d.parquet")], tmp_path / "s")
    wide = pa.array(np.ones((files.ROWS, 9), np.float32).tolist(), pa.list_(pa.float32()))
    with pytest.raises(EncoderMismatchError, match="dimension 8, not 9"):
        run([files.clay_v0(tmp_path / "e.parquet", embeddings=wide)], tmp_path / "s")
    report = run([files.clay_v1(tmp_path / "d.parquet"), tmp_path / "c.parquet"], tmp_path / "s")
    assert [file for file, _ in report.files_failed] == [str(tmp_path / "d.parquet")]


def test_encoding_says_that_the_model_is_not_here(tmp_path: Path, scene: Path) -> None:
    run([files.clay_v0(tmp_path / "c.parquet")], tmp_path / "s")
    with Engine(tmp_path / "s") as engine, pytest.raises(EncoderError, match="the model clay-v0 is not here"):
        engine.search(chip=scene)
    with pytest.raises(EncoderError, match="the model clay-v0 is not here"):
        encode([scene], tmp_path / "s")
    with pytest.raises(EncoderError, match="the model clay-v0 is not here"):
        encode([scene], tmp_path / "new", encoder="imported:clay-v0")
    with pytest.raises(EncoderError, match="known are ") as error:
        encode([scene], tmp_path / "new", encoder="nonsense")
    assert "imported" not in str(error.value)


def changed(column: str, row: int, value: Any) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        values: dict[str, list[Any]] = {"embeddings": files.vectors().tolist(), "geometry": files.footprints()}
        values[column][row] = value
        kind = pa.list_(pa.float32()) if column == "embeddings" else pa.binary()
        return files.clay_v0(path, **{column: pa.array(values[column], kind)})

    return make


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "mixed dimensions": (changed("embeddings", 7, [1.0, 2.0]), "row 7 .* dimension 2, others have 8"),
    "NaN": (changed("embeddings", 3, [float("nan")] * 8), "row 3 .* NaN or infinity"),
    "a null in a vector": (changed("embeddings", 3, [None] * 8), "row 3 .* NaN or infinity"),
    "zeros": (changed("embeddings", 0, [0.0] * 8), "row 0 .* zeros only"),
    "no footprint": (changed("geometry", 11, None), "row 11 .* no geometry"),
    "a point": (changed("geometry", 2, shapely.to_wkb(shapely.Point(1, 2))), "row 2 .* no polygon"),
    "off the Earth": (changed("geometry", 2, shapely.to_wkb(shapely.box(0, 95, 1, 96))), "row 2 .* not on Earth"),
    "no WKB": (changed("geometry", 0, b"nonsense"), "no WKB"),
    "the same row twice": (
        lambda path: files.earth_index(path, id=["a", "b", "c", "b", *map(str, range(8))]),
        "rows 1 and 3 .* the same id",
    ),
    "no geometry column": (lambda path: files.earth_index(path, geometry=None), "Earth Index would need geometry"),
    "unknown columns": (
        lambda path: files.write(path, {"place": ["a"], "numbers": [1.0]}),
        "numbers, place.*Major TOM would need.*Clay v0 would need.*Planet would need.*Earth Index would need",
    ),
    "another dimension stated": (
        lambda path: files.earth_index(path, emb={**files.EMB, "embedding": {"dim": 7}}),
        "says dimension 7, its vectors have 8",
    ),
    "quantised, nobody knows how": (
        lambda path: files.earth_index(path, emb={**files.EMB, "embedding": {"dim": 8, "quantization": "int8"}}),
        "quantised .int8., and not how",
    ),
    "whole numbers": (
        lambda path: files.clay_v0(path, embeddings=pa.array([[1] * 8] * 12, pa.list_(pa.int8()))),
        "of int8, and the file does not say",
    ),
    "no model": (lambda path: files.earth_index(path, emb={"embedding": {}}), "say it by --model"),
    "two models": (
        lambda path: files.clay_v1(path, source_model=["a", "b"] * 6),
        "mixes vectors of different making: source_model is a and b",
    ),
    "a CRS nobody knows": (
        lambda path: files.write(
            path,
            {"id": ["a"], "embedding": files.lists(files.vectors(1)), "geometry": files.footprints(1)},
            {"emb": files.EMB, "geo": {"columns": {"geometry": {"crs": {"name": "flat Earth"}}}}},
        ),
        "'flat Earth' .* no code that is known",
    ),
    "text": (lambda path: path.write_text("no Parquet") and path, "cannot be opened as Parquet"),
    "nothing there": (lambda path: path, "there is no file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_refused_with_the_place_of_the_fault(kind: str, tmp_path: Path) -> None:
    make, said = BAD[kind]
    with pytest.raises(EmbeddingsError, match=said):
        run([make(tmp_path / "bad.parquet")], tmp_path / "s")


@pytest.mark.parametrize("box", [[0, 0, 0, 224], [0, 0, 224], None])
def test_fragments_of_major_tom_that_are_no_boxes(box: list[int] | None, tmp_path: Path) -> None:
    boxes = pa.array([box] + [[0, 0, 224, 224]] * (files.ROWS - 1), pa.list_(pa.int64()))
    with pytest.raises(EmbeddingsError, match="pixel_bbox holds"):
        run([files.major_tom(tmp_path / "m.parquet", pixel_bbox=boxes)], tmp_path / "s", model="M")


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    for arguments, said in (
        ({"files": []}, "no files were given"),
        ({"files": [tmp_path / "a.txt"]}, "there is no file"),
        ({"files": [files.major_tom(tmp_path / "m.parquet")]}, "names the model in the data set's name"),
        ({"files": ["a"], "chip_size": 0}, "--chip-size 0"),
        ({"files": ["a"], "datetime": "2021-02-01/2020-01-01"}, "ends before it begins"),
    ):
        with pytest.raises(InputError, match=said):
            run(store=tmp_path / "s", **arguments)  # type: ignore[arg-type]


def test_projected_and_antimeridian_footprints_come_to_lie_where_they_are(tmp_path: Path) -> None:
    utm = {"id": {"authority": "EPSG", "code": 32633}, "name": "UTM 33N"}
    shapes = [shapely.box(300_000, 4_800_000, 300_320, 4_800_320)]
    world = [shapely.Polygon([(179.99, 0), (-179.99, 0), (-179.99, 0.01), (179.99, 0.01)])]
    for name, boxes, crs in (("utm", shapes, utm), ("seam", world, None)):
        columns = {"id": ["a"], "embedding": files.lists(files.vectors(1)), "geometry": shapely.to_wkb(boxes)}
        geo = {"columns": {"geometry": {"encoding": "WKB", "crs": crs}}}
        run([files.write(tmp_path / f"{name}.parquet", columns, {"emb": files.EMB, "geo": geo})], tmp_path / name)
    with Engine(tmp_path / "utm") as engine:
        assert engine.search(at=(12.53, 43.33), k=1).ids
    with Engine(tmp_path / "seam") as engine:
        assert abs(float(engine.search(files.vectors(1)[0], k=1).lon[0])) == pytest.approx(180)
