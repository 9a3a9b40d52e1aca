"""The index build: codebooks, growth, and FAISS on a GPU where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import EncoderError, InputError, NotAStoreError, QueryError, SpecError
from embedstore.extras import faiss
from embedstore.spec import IndexSpec
from embedstore.store import Store
from indexer import build as build_module
from indexer import codebook
from indexer.build import build
from query import Engine
from tests.embedstore import make

if TYPE_CHECKING:
    from pathlib import Path


def filled(path: Path, rows: int) -> Store:
    store = make.store(path)
    store.append(make.chips(list(range(rows))))
    return store


def mean_recall(path: Path, rows: int) -> float:
    engine = Engine(path)
    found = []
    for i in range(0, rows, max(1, rows // 60)):
        exact = engine.search(id=make.chip_id(i), recall="exact")
        found.append((engine.search(id=make.chip_id(i), recall=0.9).scores >= exact.scores[-1] - 1e-5).mean())
    return float(np.mean(found))


@pytest.mark.parametrize(
    ("rows", "dimension", "factory"),
    [
        (200_000, 256, "RR256,IVF1024,RaBitQ"),
        (1_000_000, 256, "RR256,IVF2048,RaBitQ"),
        (50_000_000, 64, "RR64,IVF16384,RaBitQ"),
        (20_000, 32, "RR32,IVF512,RaBitQ2"),
        (20_000, 7, "RR7,IVF512,RaBitQ8"),
    ],
)
def test_codebooks_grow_with_rows_and_dimension(rows: int, dimension: int, factory: str) -> None:
    assert IndexSpec.for_rows(rows, dimension).factory == factory


def test_a_codebook_that_misses_the_recall_is_made_finer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    monkeypatch.setattr("indexer.calibrate.DEPTHS", (20,))  # so shallow that two code bytes cannot do
    filled(tmp_path / "s", 3000)
    coarse = build(tmp_path / "s", recall=0.1, quantizer="pq")
    assert coarse.factory is not None
    assert coarse.factory.endswith("PQ2")
    filled(tmp_path / "t", 3000)
    fine = build(tmp_path / "t", recall=0.99, quantizer="pq")
    assert fine.factory is not None
    assert fine.factory.endswith("PQ8")
    assert fine.recall > coarse.recall


def test_finer_bits_keep_rotation_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    monkeypatch.setattr("query.plan.EXACT_ROWS", 50)
    monkeypatch.setattr("indexer.calibrate.DEPTHS", (10,))  # ten codes for ten hits: few bits cannot do
    store = filled(tmp_path / "s", 3000)
    coarse = build(store.path, recall=0.1)
    (piece,) = Engine(store.path).snapshot.pieces
    lists = piece.segment.list_of_row(slice(None)).copy()
    (store.path / "_index" / "CURRENT").unlink()
    fine = build(store.path, recall=0.999)
    assert (coarse.factory, fine.factory) == ("RR16,IVF128,RaBitQ4", "RR16,IVF128,RaBitQ8")
    assert fine.recall > coarse.recall
    (piece,) = Engine(store.path).snapshot.pieces
    assert np.array_equal(lists, piece.segment.list_of_row(slice(None)))
    assert mean_recall(store.path, 3000) >= 0.9
    assert Store.open(store.path).verify() == []


def test_a_hundred_appends_leave_the_recall_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    monkeypatch.setattr("query.plan.EXACT_ROWS", 50)
    store = filled(tmp_path / "s", 3000)
    build(store.path)
    before = mean_recall(store.path, 3000)
    for number in range(100):
        start = 3000 + 20 * number
        store.append(make.chips(list(range(start, start + 20))))
        if number % 10 == 9:
            assert build(store.path).rows == start + 20
    after = mean_recall(store.path, 5000)
    assert len(Engine(store.path).snapshot.pieces) <= 16
    assert after >= max(0.9, before - 0.02)


def test_the_quantiser_stays_until_another_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    filled(tmp_path / "s", 3000)
    kinds = []
    for quantizer in (None, "pq", None, "rabitq"):
        report = build(tmp_path / "s", recall=0.5, quantizer=quantizer)
        assert report.factory
        kinds.append((IndexSpec(report.factory).quantizer, report.trained))
        assert mean_recall(tmp_path / "s", 3000) >= 0.9
    assert kinds == [("rabitq", True), ("pq", True), ("pq", False), ("rabitq", True)]
    with pytest.raises(SpecError, match="choose 'rabitq' or 'pq'"):
        build(tmp_path / "s", quantizer="hnsw")


def test_a_codebook_is_trained_anew_for_rows_that_it_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    store = filled(tmp_path / "s", 3000)
    assert build(store.path, recall=0.5).trained
    store.append(make.chips(list(range(3000, 3600))))
    assert not build(store.path, recall=0.5).trained  # more of the same
    strange = {"seed": 1, "box": (-64.0, -33.0, -60.0, -30.0)}  # other places, other vectors
    store.append(make.chips(list(range(4000, 4200)), **strange))
    assert not build(store.path, recall=0.5).trained  # too few to matter
    store.append(make.chips(list(range(5000, 8000)), **strange))
    again = build(store.path, recall=0.5)
    assert again.trained
    assert again.segments == 1
    store.append(make.chips(list(range(8000, 9000)), **strange))
    assert not build(store.path, recall=0.5).trained  # now it knows them
    assert Store.open(store.path).verify() == []
    assert mean_recall(store.path, 3000) >= 0.9


def test_the_error_of_a_codebook_is_that_of_its_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    store = filled(tmp_path / "s", 2000)
    build(store.path, recall=0.5)
    book = store.catalog.current().codebook
    assert book is not None
    pieces = store.snapshot().pieces
    index = faiss().read_index(str(store.catalog.codebook_file(book)))
    vectors = np.concatenate([p.segment.vectors for p in pieces]).astype(np.float32)
    index.add(vectors)
    faiss().extract_index_ivf(index).make_direct_map()
    error = float(((vectors - index.reconstruct_n(0, len(vectors))) ** 2).sum(axis=1).mean())
    assert codebook.error(store.catalog.codebook_file(book), pieces) == pytest.approx(error, rel=1e-4)
    assert error < book.error < 2 * error  # worse on what it has not seen


def test_small_and_empty_stores_get_a_flat_index(tmp_path: Path) -> None:
    make.store(tmp_path / "empty")
    assert build(tmp_path / "empty").rows == 0
    filled(tmp_path / "s", 50).append(make.chips(list(range(50, 80))))
    report = build(tmp_path / "s")
    assert (report.factory, report.segments, report.rows, report.recall) == (None, 1, 80, 1.0)
    assert build(tmp_path / "s").segments == 1
    assert Store.open(tmp_path / "s").verify() == []


def test_stages_are_told_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    filled(tmp_path / "s", 1200)
    told: list[str] = []
    report = build(tmp_path / "s", progress=told.append)
    assert told == ["check", "train", "merge", "fill lists", "seal", "calibrate", "publish"]
    assert list(report.seconds) == told
    assert mean_recall(tmp_path / "s", 1200) >= 0.9


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(NotAStoreError):
        build(tmp_path / "none")
    filled(tmp_path / "s", 10)
    for recall in (0.0, 1.5, float("nan")):
        with pytest.raises(QueryError, match="recall"):
            build(tmp_path / "s", recall=recall)
    with pytest.raises(InputError, match="device"):
        build(tmp_path / "s", device="tpu")


def test_cuda_without_a_gpu_is_refused(tmp_path: Path) -> None:
    if getattr(faiss(), "get_num_gpus", lambda: 0)():
        pytest.skip("there is a GPU")
    filled(tmp_path / "s", 10)
    with pytest.raises(EncoderError, match="no GPU"):
        build(tmp_path / "s", device="cuda")


@pytest.mark.gpu
def test_an_index_built_on_a_gpu_is_searched_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not getattr(faiss(), "get_num_gpus", lambda: 0)():
        pytest.skip("FAISS sees no GPU")
    monkeypatch.setattr(build_module, "FLAT_ROWS", 1000)
    filled(tmp_path / "gpu", 6000)
    filled(tmp_path / "cpu", 6000)
    build(tmp_path / "gpu", device="cuda")
    build(tmp_path / "cpu", device="cpu")
    assert abs(mean_recall(tmp_path / "gpu", 6000) - mean_recall(tmp_path / "cpu", 6000)) <= 0.02
