"""The benchmark of SQL runs at a toy size and writes its figures."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks import sql

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("faiss")


@pytest.mark.skipif(sys.platform != "linux", reason="bytes are counted by Linux")
def test_figures_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "sql.json"
    few = ["--rows", "3000", "--dim", "16", "--queries", "2", "--boxes", "1", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks.sql", *few, "--store", str(tmp_path / "store"), "--json", str(out)])
    sql.main()
    made = json.loads(out.read_text())
    assert {"nearest_over_search", "bbox_bytes_share", "bbox_ms"} <= made["figures"].keys()
    assert all(value > 0 for value in made["figures"].values())
