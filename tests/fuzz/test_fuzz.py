"""The short version of the fuzzing, and what the long one found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from embedstore import area, rowmap
from embedstore.errors import (
    DamageError,
    EmbeddingsError,
    EncoderError,
    GeometryError,
    LabelError,
    PlanError,
    SpecError,
)
from embedstore.lists import Coarse
from embedstore.spec import Modality
from indexer.encoders import model_file
from indexer.importers import streaming
from indexer.importers.tessera import mapped
from indexer.plan import catalogue, file
from indexer.plan.catalogue import Question
from indexer.plan.scenes import Wanted, candidates
from query.fewshot import sources
from tests.fuzz import mutate, seeds
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from pathlib import Path


def test_no_input_does_what_it_may_not() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "--inputs", "100", "--seconds", "0", "--seed", "7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [line.split()[:3] for line in done.stdout.splitlines() if line.split()[0] in TARGETS]
    assert [name for name, _, _ in counts] == list(TARGETS)
    assert all(inputs == "100" for _, inputs, _ in counts)
    assert sum(int(refused) for _, _, refused in counts) > 100, "inputs that all pass are not hostile"


@pytest.mark.parametrize("of", [mutate.of_bytes, mutate.of_json, mutate.of_text])
def test_an_input_can_be_made_again_and_differs_from_what_it_was_made_of(of: Any) -> None:
    seeds = [json.dumps({"a": [1, 2, {"b": "c d"}], "n": n}).encode() for n in range(5)]
    made = [of(random.Random(number), seeds) for number in range(200)]
    assert made == [of(random.Random(number), seeds) for number in range(200)]
    assert sum(one in seeds for one in made) < 20
    assert len(set(made)) > 150


def test_a_codebook_that_is_none(tmp_path: Path) -> None:
    import faiss

    path = tmp_path / "codebook.faiss"
    faiss.write_index(faiss.IndexFlatIP(16), str(path))
    whole = path.read_bytes()
    vast = whole[:4] + whole[4:].replace((0).to_bytes(8, "little"), (1 << 38).to_bytes(8, "little"))
    for raw in (b"", b"IxPT", whole, whole[:20], vast, b"IxPT" + whole[4:]):
        path.write_bytes(raw)
        with pytest.raises(DamageError, match=r"codebook\.faiss"):
            Coarse(path)
    assert faiss.get_deserialization_vector_byte_limit() > 1 << 30


def test_a_map_of_moved_rows_that_somebody_sealed(tmp_path: Path) -> None:
    import hashlib

    beyond = pa.DictionaryArray.from_arrays(pa.array([7]), pa.array(["a"]), safe=False)
    table = pa.table({"file": beyond, "old_file": pa.array(["b"]).dictionary_encode(), "old_row": [0]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    for raw in (b"", b"\xff" * 16, sink.getvalue().to_pybytes()):
        path = tmp_path / f"{'0' * 32}-{hashlib.sha256(raw).hexdigest()[:32]}.arrow"
        path.write_bytes(raw)
        with pytest.raises(DamageError, match="row map"):
            rowmap.read(path)


def test_plans_that_somebody_sealed(tmp_path: Path) -> None:
    seeds.plans(tmp_path)
    table = pq.read_table(tmp_path / "plans" / "plan.parquet").combine_chunks()
    count = len(table)
    no_text = pa.Array.from_buffers(
        pa.string(), count, [None, pa.array(range(count + 1), pa.int32()).buffers()[1], pa.py_buffer(b"\xff" * count)]
    )
    for name, column in (("sources", pa.nulls(count, file.SCHEMA.field("sources").type)), ("period", no_text)):
        forged = table.set_column(table.column_names.index(name), name, column)
        with pytest.raises(PlanError, match="work unit 0"):
            file._Units(forged)[0]


def test_a_work_unit_of_a_plan_that_names_nothing_to_read(tmp_path: Path) -> None:
    seeds.plans(tmp_path)
    unit = file.units(tmp_path / "plans" / "plan.parquet")[0]
    (source, *_), ((name, _), *rest) = unit.sources, unit.sources[0].assets
    for assets in (((name, None), *rest), ((name, ""), *rest), ()):
        with pytest.raises(PlanError, match="no file"):
            replace(source, assets=assets)
    with pytest.raises(PlanError, match="no file"):
        replace(source, item=None)
    with pytest.raises(PlanError, match="no source"):
        replace(unit, sources=())


@pytest.mark.parametrize("lost", ["parameters", "estimate"])
def test_a_plan_that_does_not_say_what_it_was_made_with(tmp_path: Path, lost: str) -> None:
    seeds.plans(tmp_path)
    path = tmp_path / "plans" / "plan.parquet"
    table = pq.read_table(path)
    said = json.loads(table.schema.metadata[file.KEY])
    for value in (None, [1]):
        forged = {**said, lost: value, "sha256": file.UNSEALED}
        data = file._parquet(table, {**table.schema.metadata, file.KEY: json.dumps(forged).encode()})
        path.write_bytes(file._with_seal(data, file.UNSEALED, file._digest(data)))
        with pytest.raises(PlanError, match="what it was made with"):
            file.read(path)


def test_a_work_unit_whose_area_is_no_wkb(tmp_path: Path) -> None:
    seeds.plans(tmp_path)
    unit = file.units(tmp_path / "plans" / "plan.parquet")[0]
    ring = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    assert unit.expected().count
    for within in (ring[:-8] + b"\x07" * 8, ring[:-1], b""):
        with pytest.raises(PlanError, match="no WKB"):
            replace(unit, within=within).expected()


def test_a_file_to_import_with_fewer_rows_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": range(10)}), path)
    opened = streaming.open_parquet(path)
    assert streaming.Stream(opened, 0, 4, ["a"]).take(3, 7)["a"].to_pylist() == list(range(3, 10))
    with pytest.raises(EmbeddingsError, match="fewer rows"), streaming.readable(path):
        streaming.Stream(opened, 0, 4, ["a"]).take(3, 8)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "Polygon", "coordinates": [[[NaN, 0], [1, 0], [1, 1], [NaN, 0]]]}',
        '{"type": "Polygon", "coordinates": [[[-1e300, 0], [1e300, 0], [1e300, 1], [-1e300, 0]]]}',
        '{"type": "Feature", "geometry": [1]}',
        '{"type": "FeatureCollection", "features": 3}',
        '{"type": "FeatureCollection", "features": [null]}',
        '{"type": "Polygon", "crs": {"properties": []}, "coordinates": 1}',
        '{"a": ' * 100_000,
    ],
)
def test_areas_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "area.geojson").write_text(text)
    with pytest.raises(GeometryError):
        area.parse(tmp_path / "area.geojson")


@pytest.mark.parametrize(
    "held",
    [
        {"type": "FeatureCollection", "features": [], "crs": {"properties": 1}},
        {"type": "FeatureCollection", "features": [{"properties": ["class"], "geometry": None}]},
        {"type": "FeatureCollection", "features": [{"properties": {"class": 1}, "geometry": {"type": "Point"}}]},
        {"type": []},
    ],
)
def test_labels_that_are_none(tmp_path: Path, held: Any) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(held))
    with pytest.raises(LabelError):
        sources.read(tmp_path / "labels.json", "class")
    (tmp_path / "labels.json").write_text('{"a": ' * 100_000)
    with pytest.raises(LabelError):
        sources.read(tmp_path / "labels.json", "class")


def test_catalogues_that_are_none(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    question = Question(
        area.parse((-10, -10, 10, 10)), datetime(2000, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    )
    path = tmp_path / "items.json"
    for text in ('{"type": []}', "[" * 100_000, '{"type": {}}'):
        path.write_text(text)
        with pytest.raises(PlanError):
            list(catalogue.items(str(path), question, []))
    shape = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    good = {"type": "Feature", "id": "a", "geometry": shape, "properties": {"datetime": "2020-01-01T00:00:00Z"},
            "assets": {"optical": {"href": "a.tif"}}}  # fmt: skip
    grid = {"proj:code": "EPSG:4326", "proj:shape": ["x", 1], "proj:transform": [1, 0, 0, 0, 1, 0]}
    turned = {"proj:code": "EPSG:32633", "proj:shape": [9, 9], "proj:transform": [1e9, 1e9, 0, 1, -1e300, 1]}
    bad = (
        {"id": []},
        {"properties": []},
        {"assets": {"optical": {"href": "a.tif", "bands": 3}}},
        {"properties": good["properties"] | grid},  # type: ignore[operator]
        {"properties": good["properties"] | turned},  # type: ignore[operator]
        {"properties": good["properties"] | {"proj:code": "EPSG:1", "proj:shape": {}, "proj:transform": "abcdef"}},  # type: ignore[operator]
    )
    for change in bad:
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [{**good, **change}]}))
        faults: list[Any] = []
        found = candidates(
            list(catalogue.items(str(path), question, faults)), Wanted("optical"), question, faults, lead=True
        )
        assert not found
        assert faults, change


def test_cards_that_are_none(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "m.safetensors"
    band = {"name": "optical", "bands": ["B02"], "mean": [0.0], "std": [1.0]}
    good = {"format": 1, "architecture": "clip", "options": {}, "modalities": [band], "chip_size": 8, "gsd": 10.0,
            "dimension": 4, "pooling": "avg", "card": {"recipe": "a", "config": "b"}}  # fmt: skip
    for change in (
        {"modalities": [band | {"mean": [{}]}]},
        {"card": {"recipe": []}},
        {"card": 1},
        {"options": []},
        {"gsd": "x"},
    ):
        said = json.dumps({**good, **change})
        path.write_bytes(save({"a": np.zeros(2, np.float32)}, {model_file.KEY: said}))
        with pytest.raises(EncoderError, match=r"m\.safetensors"):
            model_file.describe(path)
    path.write_bytes(save({"a": np.zeros(2, np.float32)}, {model_file.KEY: json.dumps(good)}))
    assert model_file.describe(path)["normalisation"] == "scenes", "what a file leaves out has its usual value"
    with pytest.raises(SpecError, match="no number"):
        Modality("optical", ("B02",), (float("nan"),), (1.0,))


@pytest.mark.parametrize("head", ["{'descr': '<f4', 'shape': (", "{'descr': '<f4', b'a': 1}", "[", "{'descr': '|O', }"])
def test_arrays_that_are_none(tmp_path: Path, head: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\0" + len(head).to_bytes(2, "little") + head.encode())
    with pytest.raises(EmbeddingsError, match=r"a\.npy"):
        mapped(path)
