"""The benchmark of load: how its figures are made, and all of it on a small store."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from benchmarks import load
from benchmarks.load import Load

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_refused_is_not_what_failed() -> None:
    made = Load(100.0, 2.0, [0.01] * 99 + [0.5], Counter({"200": 100, "503": 60, "429": 5, "500": 1, "ReadError": 2}))
    row = made.row("x")
    assert (made.answered, made.goodput, row["refused"], row["failed"]) == (100, 50.0, 65, 3)
    assert row["p50 ms"] == pytest.approx(10.0)
    assert 10 < row["p99 ms"] < 500
    assert math.isnan(Load(1.0, 1.0).quantile(0.5))


def test_growth_is_of_the_end_over_the_settled_beginning() -> None:
    flat = [{"mb": value} for value in [10, 50, *[100.0] * 18]]
    assert load.growth(flat, "mb") == 0
    assert load.growth([{"mb": 100.0 + n} for n in range(100)], "mb") == pytest.approx((189.5 - 129.5) / 129.5)


@pytest.mark.slow
def test_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "load.json"
    more = ["--rows", "22000", "--seconds", "2", "--minutes", "0.2", "--json", str(out)]
    monkeypatch.setattr(sys, "argv", ["benchmarks.load", *more])
    load.main()
    figures = json.loads(out.read_text())["figures"]
    assert figures["failed_while_swapped"] == 0
    assert figures["refusals_without_retry_after"] == 0
    assert figures["sustained_per_second"] > 0
