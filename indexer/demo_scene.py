"""The scene that comes with the package."""

from __future__ import annotations

from pathlib import Path


def path() -> Path:
    """Return the file of the bundled Sentinel-2 scene: 12 bands, the coast at Aquileia, Italy, 16 April 2019."""
    return Path(__file__).parent / "data" / "demo_scene.tif"
