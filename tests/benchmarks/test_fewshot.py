"""The few-shot benchmark at a toy size: pictures of three textures."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks import fewshot

if TYPE_CHECKING:
    from pathlib import Path

SIZE, EACH = 24, 24


def picture(kind: int, random: np.random.Generator) -> bytes:
    """Stripes of one of three widths, under noise."""
    stripes = (np.arange(SIZE) // (1 + 2 * kind) % 2) * 60.0 + 80
    pixels = stripes[None, :, None] + random.normal(0, 45, (SIZE, SIZE, 3))
    out = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def test_fewshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    random = np.random.default_rng(0)
    kinds = [kind for kind in range(3) for _ in range(EACH)]
    table = {
        "label": [f"kind {kind}" for kind in kinds],
        "split": ["test" if i % 2 else "train" for i in range(len(kinds))],
        "jpeg": [picture(kind, random) for kind in kinds],
    }
    pq.write_table(pa.table(table), tmp_path / "chips.parquet")
    out, plot = tmp_path / "f.json", tmp_path / "plot.png"
    few = ["--shots", "5", "--draws", "2", "-k", "3"]
    files = ["--chips", str(tmp_path / "chips.parquet"), "--json", str(out), "--plot", str(plot)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.fewshot", *files, *few])
    monkeypatch.setattr(fewshot, "RESAMPLES", 20)
    fewshot.main()
    figures = json.loads(out.read_text())["figures"]
    for method in ("knn", "probe", "forest", "prototype", "plain_cosine_knn"):
        assert figures[f"{method}_accuracy"] > 0.5
        assert figures[f"{method}_accuracy_low"] <= figures[f"{method}_accuracy"] <= figures[f"{method}_accuracy_high"]
        assert figures[f"{method}_precision_at_half"] >= figures[f"{method}_accuracy"] - 0.05
    with Image.open(plot) as drawn:
        assert drawn.size[0] > 500
