"""Sources by name: ``simulated:alpha,beta``, ``simulated:alpha,beta:512`` for as many tiles, or a folder of scenes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from embedstore.errors import InputError
from indexer.pretrain.sources.folder import Folder
from indexer.pretrain.sources.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.pretrain.sources.batch import Source

SIMULATED = "simulated:"
EXAMPLE = "simulated:alpha,beta:512"


def source(names: Sequence[str]) -> Source:
    """Open sources; several give as many chips each.

    Raises
    ------
    InputError
        If none is named, or one cannot be had.
    """
    if not names:
        raise InputError("no data were given; name a folder of scenes, or simulated:REGION, with --data.")
    opened = [_one(name) for name in names]
    return opened[0] if len(opened) == 1 else Mixture((one, 1.0) for one in opened)


def _one(name: str) -> Source:
    if not name.startswith(SIMULATED):
        return Folder(name)
    named, _, tiles = name.removeprefix(SIMULATED).partition(":")
    if tiles and not tiles.isdecimal():
        raise InputError(f"{name!r} is no source: after the regions stands the number of tiles, as in {EXAMPLE}.")
    regions = [region.strip() for region in named.split(",")]
    simulated = importlib.import_module("indexer.landscape.source").Simulated
    made: Source = simulated(regions, tiles=int(tiles)) if tiles else simulated(regions)
    return made
