"""The cost model on costs that are known, the page that it writes, and the continent that is not there."""

from __future__ import annotations

import pytest
import rasterio
from rasterio.io import MemoryFile

from benchmarks import continent, cost_model, scale_page

COUNTS = [25_000, 50_000, 100_000, 1_000_000]


def known(n: int) -> float:
    return 2.0 + 3e-3 * n**0.5 + 3e-5 * n


def test_known_costs_are_foretold() -> None:
    fit = cost_model.fit("query_ms", COUNTS, [known(n) for n in COUNTS])
    assert fit.coefficients == pytest.approx((2.0, 3e-3, 3e-5), rel=1e-3)
    assert (fit.fitted, fit.checked) == (100_000, 1_000_000)
    assert abs(fit.error) < 1e-3


def test_stages_are_told_apart() -> None:
    lists = {n: cost_model.lists(n) for n in COUNTS}
    assert lists == {25_000: 512, 50_000: 512, 100_000: 1024, 1_000_000: 2048}
    stages = [
        {
            "check": 1e-6 * n,
            "train": 2.0 + 1e-6 * lists[n] ** 2,
            "fill lists": 1e-5 * n + 1e-9 * n * lists[n],
            "calibrate": 7.0 + 1e-6 * n,
        }
        for n in COUNTS
    ]
    fit = cost_model.fit_stages(COUNTS, stages)
    assert fit.coefficients == pytest.approx((9.0, 1.2e-5, 1e-6, 1e-9), rel=1e-2)
    assert fit.measured == pytest.approx(sum(stages[-1].values()))
    assert abs(fit.error) < 1e-2


def test_a_check_that_fails_says_by_how_much() -> None:
    fit = cost_model.fit("table_bytes", COUNTS, [n * 100.0 for n in COUNTS[:-1]] + [1_000_000 * 125.0])
    assert fit.error == pytest.approx(-0.2)


def test_the_page_projects_continents() -> None:
    fits = {
        "encode_s": [0.0, 1e-3],
        "table_bytes": [1500.0],
        "build_s": [0.0, 1e-5, 0.0, 0.0],
        "index_bytes": [600.0],
        "query_ms": [0.1, 1e-3, 0.0],
    }
    rows = [
        {"cost": c, "coefficients": v, "fitted": 10, "checked": 100, "measured": 1.0, "predicted": 1.1, "error": 0.1}
        for c, v in fits.items()
    ]
    figures = {"worst_error": 0.3, "dimension": 256.0, "anon_gb": 0.1, "build_peak_bytes_a_row": 400.0}
    body = {"rows": rows, "figures": figures, "command": "c", "date": "d", "machine": "m"}
    text = scale_page.model(body, None)
    assert "| Africa | 30.1 | 73 million | 10.2 |" in text
    assert "**assume** 2,000 chips/s" in text
    assert "+10%" in text
    assert "has a dagger" in text
    assert "has a dagger" not in scale_page.model({**body, "figures": {**figures, "worst_error": 0.1}}, None)
    assert "| Africa | 30.1 | 73 million | 20.4 |" in scale_page.model(body, 1000.0)
    names = ("tiles", "chips_planned", "units", "plan_s", "encode_s", "chips_per_second", "kills", "rows", "across_180")
    ran = dict.fromkeys((*names, "index_s", "search_p50_ms", "peak_gb", "growth_gb"), 7)
    told = scale_page.run({"figures": ran, "command": "c", "date": "d", "machine": "m"})
    assert "killed 7 times on the way" in told
    off = [row | {"error": -0.5} if row["cost"] == "query_ms" else row for row in rows]
    (africa,) = [line for line in scale_page.model({**body, "rows": off}, None).splitlines() if "| Africa" in line]
    assert africa.endswith("† |")
    assert africa.count("†") == 1


def test_tiles_are_the_same_each_time_and_some_lie_across_the_antimeridian() -> None:
    names = continent.names(40)
    assert len(set(names)) == 40
    assert len({name.split("_")[0] for name in names}) == 5
    assert continent.render.__wrapped__(names[0]) == continent.render(names[0]) != continent.render(names[1])
    with MemoryFile(continent.render(names[0])) as memory, memory.open() as source:
        assert (source.count, source.width, source.crs) == (4, 512, rasterio.crs.CRS.from_epsg(32632))
    _, transform = continent.grid("32760_0_7")
    corners = [transform * corner for corner in continent.CORNERS]
    lon, _ = rasterio.warp.transform("EPSG:32760", "OGC:CRS84", *zip(*corners, strict=True))
    west, _ = rasterio.warp.transform("EPSG:32760", "OGC:CRS84", [790_000], [8_000_000])
    assert west[0] > 179
    assert min(lon) < -179
