"""A real scene and a store made from it, small enough to be quick."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile("no clock", deadline=None)  # a busy machine is no failure
settings.load_profile("no clock")

TOWN_AND_LAGOON = Window(192, 160, 320, 320)
"""Columns and rows of the bundled scene that hold Aquileia, fields and the edge of the lagoon."""


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a GeoTIFF of 320 x 320 pixels and all bands, cut from the bundled scene; only to be read."""
    from indexer import demo_scene
    from query.demo import cut

    path = tmp_path_factory.mktemp("scene") / "aquileia.tif"
    cut(demo_scene.path(), TOWN_AND_LAGOON, path)
    return path


@pytest.fixture(scope="session")
def store(scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a store of that scene, 100 chips of 32 pixels; only to be read."""
    from indexer.encode import encode

    path = tmp_path_factory.mktemp("encoded") / "store"
    encode([scene], path, chip_size=32, bands=["B02", "B03", "B04", "B08"])
    return path


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    """Return a copy of that store, for tests that write."""
    return Path(shutil.copytree(store, tmp_path / "store"))


@pytest.fixture(scope="session", autouse=True)
def _quick_calibration() -> Iterator[None]:
    """Calibrate with fewer questions than a real build asks, so that tests may build many indexes."""
    patch = pytest.MonkeyPatch()
    patch.setattr("indexer.questions.QUERIES", 96)
    patch.setattr("indexer.calibrate.INTO_STRETCHES", 32)
    patch.setattr("indexer.calibrate.TIMED", 4)
    yield
    patch.undo()
