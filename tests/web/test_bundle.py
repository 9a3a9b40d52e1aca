"""The exported map as people meet it: files from a server that knows nothing, and a real browser."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from query import Engine
from query.export import export

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.web.conftest import Open


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(store: Path, dist: Path, tmp_path: Path) -> Iterator[str]:
    assert dist.is_dir()
    with Engine(store) as engine:
        export(engine, tmp_path / "map", "map")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "map"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_a_click_shows_what_is_like_it_as_the_engine_would(
    open_map: Open, address: str, store: Path, tmp_path: Path
) -> None:
    page = open_map(address=address, drawn=False)
    page.wait_for_function("window.bundle && bundle.map.loaded()")
    assert "100 places" in page.locator(".told").inner_text()
    with Engine(store) as engine:
        page.wait_for_function("bundle.map.queryRenderedFeatures({ layers: ['chips'] }).length > 50")
        chips = json.loads((tmp_path / "map" / "data" / "chips.geojson").read_text())["features"]
        lon, lat, id_ = (chips[40]["properties"][name] for name in ("lon", "lat", "id"))
        x, y = page.evaluate(f"(({{ x, y }}) => [x, y])(bundle.map.project([{lon}, {lat}]))")
        page.locator(".map").click(position={"x": x, "y": y})
        page.wait_for_selector(".hits li")
        shown = page.locator(".hits span").all_inner_texts()
        hits = engine.search(id=id_, k=25, recall="exact")
    assert len(shown) == 24
    assert [float(s) for s in shown] == pytest.approx(hits.scores[1:].tolist(), abs=2e-3)
    assert page.locator(".hits img").count() == 24
