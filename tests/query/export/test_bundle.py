from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from embedstore.errors import InputError, LimitError
from query import Engine
from query.export import bundle, export

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A built map in miniature: a page, a script that it names, one that this names, and one that nobody names."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "bundle.html").write_text('<script src="./assets/bundle-1.js"></script>')
    (folder / "assets" / "bundle-1.js").write_text('import "./shared-2.js"')
    (folder / "assets" / "shared-2.js").write_text('import "./bundle-1.js"')
    (folder / "assets" / "docs-3.js").write_text("")
    (folder / "licenses.md").write_text("theirs")
    monkeypatch.setattr(bundle, "DIST", folder)
    return folder


@pytest.mark.usefixtures("dist")
def test_a_bundle_holds_its_page_and_all_of_its_chips(store: Path, tmp_path: Path) -> None:
    with Engine(store) as engine:
        done = export(engine, tmp_path / "out", "map")
        data = tmp_path / "out" / "data"
        about = json.loads((data / "about.json").read_text())
        features = json.loads((data / "chips.geojson").read_text())["features"]
        vectors = np.fromfile(data / "vectors.f32", "<f4").reshape(-1, about["dimension"])
        assert done.chips == about["chips"] == len(features) == len(vectors) == 100
        ids = [f["properties"]["id"] for f in features]
        assert vectors == pytest.approx(engine.vectors(ids), abs=1e-3)
        assert (about["model"], about["fingerprint"]) == ("rcf", engine.store.encoder.fingerprint)
        pictures = (data / "pictures.bin").read_bytes()
        for feature in features:
            at, length = feature["properties"]["picture"]
            assert pictures[at : at + 4] == b"RIFF"
            assert pictures[at + 8 : at + 12] == b"WEBP"
            assert length > 30
        west, south, east, north = about["bounds"]
        lon, lat = ([f["properties"][side] for f in features] for side in ("lon", "lat"))
        assert (min(lon), min(lat), max(lon), max(lat)) == pytest.approx((west, south, east, north), abs=1e-5)
    assert sorted(p.name for p in (tmp_path / "out" / "assets").iterdir()) == ["bundle-1.js", "shared-2.js"]
    assert (tmp_path / "out" / "index.html").is_file()
    assert (tmp_path / "out" / "licenses.md").read_text() == "theirs"


@pytest.mark.usefixtures("dist")
def test_what_no_browser_can_show_is_refused(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(store) as engine:
        with pytest.raises(InputError, match="shows nothing"):
            export(engine, tmp_path / "out", "map", bbox=(0, 0, 1, 1))
        monkeypatch.setattr(bundle, "MOST", 99)
        with pytest.raises(LimitError, match="100 chips are too many"):
            export(engine, tmp_path / "out", "map")
        monkeypatch.setattr(bundle, "MOST", 100)
        monkeypatch.setattr(bundle, "DIST", tmp_path / "nothing")
        with pytest.raises(InputError, match="no map to export"):
            export(engine, tmp_path / "out", "map")
    assert not (tmp_path / "out").exists()
