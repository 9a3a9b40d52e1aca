"""What of a hit matches, shown on the map."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from query import Engine
from query.api import Settings
from tests.query import halves
from tests.web.conftest import serving, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.web.conftest import Open


@pytest.fixture
def dense(dist: Path, tmp_path: Path) -> Iterator[tuple[str, Engine]]:
    assert dist.is_dir()
    store, _ = halves.store(tmp_path)
    with Engine(store) as engine, serving(store, Settings(jobs_folder=tmp_path / "jobs")) as address:
        yield address, engine


def colour(page: Page, lon: float, lat: float) -> list[int]:
    x, y = page.evaluate(f"embedstore.map.project([{lon}, {lat}])")
    box = page.locator(".map").bounding_box()
    assert box
    pixels = np.array(Image.open(io.BytesIO(page.screenshot())))
    return pixels[round(box["y"] + y), round(box["x"] + x), :3].astype(int).tolist()  # type: ignore[no-any-return]


def test_the_half_of_a_hit_that_matches_is_shown(open_map: Open, dense: tuple[str, Engine]) -> None:
    address, engine = dense
    _, wood, both = halves.chips(engine)
    found = engine.search(id=both, k=1)
    lon, lat = float(found.lon[0]), float(found.lat[0])
    page = open_map(f"#c=store&like={wood}&show=chips&at={lon:.5f},{lat:.5f},16", address=address)
    page.wait_for_function("embedstore.store.now.matches.is === 'done'")
    settle(page)
    left, right = (lon - 0.001, lat + 0.0005), (lon + 0.001, lat + 0.0005)
    plain = [colour(page, *place) for place in (left, right)]
    page.locator(f'.tile[data-id="{both}"]').hover()
    page.wait_for_function(f"embedstore.store.now.hovered === '{both}'")
    settle(page)
    for place, before, matches in ((left, plain[0], False), (right, plain[1], True)):
        after = colour(page, *place)
        assert after != before  # the footprint of the hit is lit
        assert (after[2] > 150 and after[2] > after[0]) == matches
