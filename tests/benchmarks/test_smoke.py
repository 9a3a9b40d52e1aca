"""Each benchmark runs at a toy size and writes the figures that it is held to; the page is made of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import alone, build, filtered, page, recall, scale, search
from benchmarks.page import GOALS

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

ROWS, DIM = 22_000, 32
"""Enough for a codebook."""
ABSENT = {
    "lancedb_over_ours",
    "hnsw_over_ours",
    "resident_over_hnsw",
    "build_over_lancedb",
    "worst_cell_peer_over_ours",
}
"""Figures of peers that are not built here."""

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


def run(module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> dict[str, Any]:
    """Run a benchmark's main as its command would, and return what it wrote."""
    name = module.__name__.rpartition(".")[2]
    out = folder / f"{name}.json"
    data = [] if module is scale else ["--data", str(folder / "data")]
    arguments = ["--rows", str(ROWS), "--dim", str(DIM), *data, "--json", str(out), *more]
    monkeypatch.setattr(sys, "argv", [f"benchmarks.{name}", *arguments])
    module.main()
    result: dict[str, Any] = json.loads(out.read_text())
    assert GOALS[name].keys() - ABSENT <= result["figures"].keys()
    assert all(isinstance(value, (int, float)) for value in result["figures"].values())
    assert result["versions"]["numpy"]
    assert result["date"]
    assert result["machine"]
    return result


def test_search(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(search, folder, monkeypatch, "--peers", "ours,ivf_rabitq", "--queries", "40", "--rounds", "2")
    assert "simulated" in made["title"]
    assert {row["peer"] for row in made["rows"]} == {"ours", "ivf_rabitq"}
    assert all(row["recall@10"] >= 0.97 for row in made["rows"])
    assert made["figures"]["recall_at_10"] >= 0.97
    for row in made["rows"]:
        assert row["sweep"]
        assert row["anon GB"] > 0.01
        assert len(row["rounds p50 ms"]) == 2


def test_filtered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(
        filtered,
        folder,
        monkeypatch,
        "--peers",
        "ours,ivf_rabitq",
        "--queries",
        "3",
        "--peer-queries",
        "3",
        "--asked=0.9",
    )
    base, *cells = made["rows"]
    assert base["rows"] == "100 %"
    assert len(cells) == 5 * 3 * 5
    assert len({(c["kind"], c["filter"], c["rows"]) for c in cells}) == len(cells)
    for cell in cells:
        wanted = {"10 %": 2200, "1 %": 220, "0.1 %": 22, "0.01 %": 2, "ten rows": 10}[cell["rows"]]
        assert wanted <= cell["matches"] <= wanted + 2
        assert cell["recall at 0.9"] >= 0.8
    assert made["figures"]["worst_cell_recall"] >= 0.9
    assert made["figures"]["short_answers"] == 0
    assert any(cell["ivf_rabitq ms"] for cell in cells)


def test_recall(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(recall, folder, monkeypatch, "--queries", "250", "--rounds", "1")
    assert len(made["rows"]) == 3 * (1 + 3 * 2)
    assert made["figures"]["worst_recall_shortfall"] < 0.1


def test_build(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(build, folder, monkeypatch, "--peers", "ivf_rabitq", "--rounds", "1")
    ours = made["rows"][0]
    assert all(set(build.SHARED) <= set(once["stages"]) for once in ours["rounds"])
    assert 0 < ours["index s"] < ours["all s"]
    assert made["figures"]["build_peak_gb"] > 0.05


@pytest.mark.slow
def test_scale_twice_on_the_same_stores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = ["--store", str(folder / "large"), "--small-store", str(folder / "small"), "--small-rows", "21000"]
    sizes = []
    for _ in range(2):
        made = run(scale, folder, monkeypatch, *stores)
        assert [row["rows"] for row in made["rows"]] == [21_000, ROWS]
        assert made["figures"]["recall_at_10"] >= 0.9
        sizes.append(made["rows"][1]["disk GB"])
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_exact_scores_from_segments_are_those_of_an_exact_search(tmp_path: Path) -> None:
    from benchmarks import landscape
    from query import Engine

    landscape.store(tmp_path / "store", 3_000, DIM)
    queries = landscape.rows(5, DIM, 99).vectors
    truth = scale.exact(tmp_path / "store", queries)
    engine = Engine(tmp_path / "store")
    for query, kth in zip(queries, truth.kth, strict=True):
        assert engine.search(query, k=10, recall="exact").scores[-1] == pytest.approx(float(kth), abs=1e-6)


def test_a_function_that_fails_alone_is_an_error() -> None:
    with pytest.raises(subprocess.CalledProcessError, match=r"benchmarks\.alone"):
        alone.run("os:no_such_function")


def test_memory_of_a_function_alone_is_seen() -> None:
    told, peak = alone.run("tests.benchmarks.test_smoke:hold", 200_000_000)
    assert told == {"pid": told["pid"]}
    assert told["pid"] != os.getpid()
    assert 0.2 < peak < 1.0


def hold(size: str) -> dict[str, int]:
    """Hold on to memory for long enough to be seen."""
    import time

    block = b"\1" * int(size)
    time.sleep(0.5)
    assert block
    return {"pid": os.getpid()}


def test_the_page(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    made = sorted(file.stem for file in folder.glob("*.json"))
    if not {"search", "filtered"} <= set(made):
        pytest.skip("the benchmarks above were not run")
    monkeypatch.setattr(sys, "argv", ["page", "--results", str(folder), "--out", str(tmp_path / "benchmarks.md")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of matplotlib's own imports
        page.main()
    text = (tmp_path / "benchmarks.md").read_text()
    for name in made:
        assert f"## {name}\n" in text
    assert "simulated vectors of 32 dimensions" in text
    assert "| `recall_at_10` | ≥ 0.97 |" in text
    for picture in ("search-recall-latency.png", "filtered-selectivity.png"):
        assert (tmp_path / "benchmarks" / picture).read_bytes()[:4] == b"\x89PNG"
        assert f"(benchmarks/{picture})" in text
