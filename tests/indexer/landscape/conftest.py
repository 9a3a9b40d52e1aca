"""One tile of each region, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from indexer.landscape import REGIONS, Landscape

if TYPE_CHECKING:
    from indexer.landscape import Tile

TOWN = {"alpha": (36, 53), "beta": (115, 18), "gamma": (13, 111), "delta": (100, 140)}
"""Tiles that hold a town, and water or woods."""


@pytest.fixture(scope="session")
def tiles() -> dict[str, Tile]:
    """Return a tile of each region in January and July; only to be read."""
    return {name: Landscape(name).tile(*TOWN[name], (1, 7)) for name in REGIONS}
