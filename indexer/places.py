"""What a user names as scenes, opened: rasters by modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedstore.errors import BandError, EmbedstoreError, InputError
from indexer.items import is_item, open_item
from indexer.rasters import Raster, open_raster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A scene as it was named.

    Parameters
    ----------
    path
        A raster, or a STAC Item.
    layers
        The rasters that it leads to, by modality in the encoder's order, all on one grid.
    """

    path: Path
    layers: dict[str, Raster]


def open_places(
    paths: Sequence[Path],
    modalities: Mapping[str, tuple[str, ...]],
    bands: Sequence[str] | None,
    when: datetime | None,
    failed: dict[Path, EmbedstoreError],
) -> list[Place]:
    """Open what can be opened, each content once; raise the first reason if nothing can.

    Parameters
    ----------
    paths
        Rasters and STAC Items.
    modalities
        What the encoder takes, in order, each with its bands; none if any will do.
    bands
        Those that are asked for, of scenes of one modality.
    when
        When all were taken, if the caller knows.
    failed
        Gets the reason for each path that cannot be opened.
    """
    places: dict[tuple[tuple[str, str], ...], Place] = {}
    for path in dict.fromkeys(paths):
        try:
            layers = open_item(path, modalities, when) if is_item(path) else _open(path, modalities, bands, when)
            if bands is not None and len(layers) > 1:
                raise BandError(
                    f"bands were chosen ({','.join(bands)}), and {path} holds {' and '.join(layers)}, each with bands "
                    "of its own. Leave --bands out, or give one raster."
                )
            places.setdefault(tuple((m, raster.item) for m, raster in layers.items()), Place(path, layers))
        except InputError as error:
            failed[path] = error
    if not places:
        raise next(iter(failed.values()))
    return list(places.values())


def _open(
    path: Path, modalities: Mapping[str, tuple[str, ...]], bands: Sequence[str] | None, when: datetime | None
) -> dict[str, Raster]:
    """Open a raster as each modality of which it has a band; if of none, as the first, which will say what lacks."""
    raster = open_raster(path, when)
    names = raster.bands.select(bands, path).names if bands is not None else raster.bands.names
    has = {modality: raster for modality, known in modalities.items() if set(known) & set(names)}
    return has or {next(iter(modalities)): raster}
