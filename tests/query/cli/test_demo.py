from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.query.cli.conftest import Ran


def test_the_demo_makes_everything_and_is_quick_the_second_time(
    run: Callable[..., Ran], tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexer import demo_scene

    monkeypatch.setattr(demo_scene, "path", lambda: scene)
    folder = tmp_path / "demo"
    first = run("demo", folder)
    assert first.code == 0, first.err
    lines = first.out.splitlines()
    assert lines[0].startswith("rank")
    assert len(lines) == 12
    assert float(lines[1].split()[1]) >= 0.999
    hits = json.loads((folder / "hits.geojson").read_text())["features"]
    assert len(hits) == 11
    assert (folder / "store" / "_delta_log").is_dir()
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width > 900
        assert np.asarray(sheet).std() > 20

    second = run("demo", folder)
    assert second.out == first.out
    assert "is used again" in second.err
