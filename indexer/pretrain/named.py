"""Sources by name: ``simulated:alpha,beta``, or a folder of scenes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from embedstore.errors import InputError
from indexer.pretrain.folder import Folder
from indexer.pretrain.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.pretrain.batch import Source

SIMULATED = "simulated:"


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
    regions = [region.strip() for region in name.removeprefix(SIMULATED).split(",")]
    made: Source = importlib.import_module("indexer.landscape.source").Simulated(regions)
    return made
