"""One flipped byte, anywhere in the index: found by verify, and search stays right."""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

import query.plan
from embedstore.errors import DamageError
from embedstore.snapshot import DegradedIndexWarning
from embedstore.store import Store
from indexer import build as build_module
from query import Engine
from tests.embedstore import make
from tests.embedstore.make import chip_id

if TYPE_CHECKING:
    from pathlib import Path

FLIPS = 6
"""Flips a file in the short version, beside its first and last bytes."""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of lists, a flat segment after it, a row map, and nothing superfluous."""
    path = tmp_path_factory.mktemp("damage") / "s"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build_module, "FLAT_ROWS", 1000)
        store = make.store(path)
        store.append(make.chips(list(range(1500))))
        build_module.build(path)
        store.append(make.chips(list(range(1500, 1600))))
        store.delete(ids=[chip_id(3), chip_id(1502)])
    assert store.verify() == []
    return path


def index_files(store: Path) -> list[Path]:
    files = sorted(p for p in (store / "_index").rglob("*") if p.is_file() and p.name != "lock")
    names = {p.name for p in files}
    assert {"CURRENT", "index.json", "codebook.faiss", "lists.faiss", "vectors.f16", "rows.arrow"} <= names
    assert any(p.suffix == ".arrow" and p.parent.name == "moves" for p in files)
    return files


def answers(path: Path) -> list[tuple[list[str], np.ndarray]]:
    """What the store answers, exactly and by probing; the damage may warn."""
    out = []
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedIndexWarning)
        engine = Engine(path)
        for asked in ({"recall": "exact"}, {"recall": 0.9}, {"bbox": (10, 45, 13, 48)}, {"where": "lon > 12"}):
            hits = engine.search(rng.normal(size=make.DIMENSION), k=5, **asked)  # type: ignore[arg-type]
            hits.to_arrow(geometry=True)
            out.append((hits.ids, hits.scores))
    return out


def flip(path: Path, offset: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 0x55
    path.write_bytes(raw)


@pytest.mark.parametrize("seed", [0, *[pytest.param(s, marks=pytest.mark.slow) for s in range(1, 40)]])
def test_a_flipped_byte_is_found_and_search_stays_right(
    healthy: Path, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query.plan, "EXACT_ROWS", 50)
    monkeypatch.setattr(query.plan, "exact_is_cheaper", lambda *args: args[1] <= 100)
    monkeypatch.setattr("indexer.calibrate.LENGTHS", (100, 1000))
    right = answers(healthy)
    rng = np.random.default_rng(seed)
    copy = tmp_path / "s"
    shutil.copytree(healthy, copy)
    for file in index_files(copy):
        whole = file.read_bytes()
        for offset in {0, len(whole) - 1, *rng.integers(0, len(whole), FLIPS).tolist()}:
            flip(file, offset)
            faults = Store.open(copy).verify()
            assert faults, f"byte {offset} of {file} was flipped and not found"
            for (ids, scores), (right_ids, right_scores) in zip(answers(copy), right, strict=True):
                if ids != right_ids:
                    # a scan in place of the damaged part may find what probing missed, and never less
                    assert (scores >= right_scores - 1e-5).all(), f"byte {offset} of {file}"
            file.write_bytes(whole)
    assert Store.open(copy).verify() == []


@pytest.mark.parametrize(
    "name", ["CURRENT", "index.json", "codebook.faiss", "lists.faiss", "rows.arrow", "vectors.f16"]
)
@pytest.mark.parametrize("how", ["flip", "truncate", "remove", "empty"])
def test_index_mends_what_is_derived(healthy: Path, tmp_path: Path, name: str, how: str) -> None:
    copy = tmp_path / "s"
    shutil.copytree(healthy, copy)
    for file in [p for p in index_files(copy) if p.name == name]:
        if how == "flip":
            flip(file, file.stat().st_size // 2)
        elif how == "remove":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if how == "truncate" else b"")
    right = answers(healthy)
    assert next(ids for ids, _ in answers(copy)) == right[0][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedIndexWarning)
        build_module.build(copy)
    assert Store.open(copy).verify() == []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DegradedIndexWarning)
        assert len(Engine(copy).search(np.ones(make.DIMENSION), k=2000)) == 1598


def test_damaged_data_files_are_named_and_never_read_as_if_whole(healthy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "s"
    shutil.copytree(healthy, copy)
    file = next(p for p in copy.glob("h3_cell=*/part-*.parquet"))
    flip(file, file.stat().st_size // 2)
    assert any(file.name in fault for fault in Store.open(copy).verify())
    file.unlink()
    assert any("lost" in fault for fault in Store.open(copy).verify())
    shutil.rmtree(copy / "_index")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegradedIndexWarning)
        with pytest.raises(DamageError, match=file.name):
            Engine(copy)


def test_the_encoder_is_checked(healthy: Path, tmp_path: Path) -> None:
    copy = tmp_path / "s"
    shutil.copytree(healthy, copy)
    flip(next(copy.glob("_encoder/*/spec.json")), 20)
    assert any("spec.json" in fault for fault in Store.open(copy).verify())
