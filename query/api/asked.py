"""What a request asks for, by its path: so is its cost counted, and its line chosen."""

from __future__ import annotations

HEAT_TILE = "heat tile"
"""Of a heat map: each looks at every chip of its place, and the tile of zoom 0 at all there are."""


def asked(path: str) -> str:
    """Return the last part of a path, or :data:`HEAT_TILE`."""
    if path.split("/")[3:5] == ["heatmap", "tiles"]:
        return HEAT_TILE
    return path.rstrip("/").rpartition("/")[2]
