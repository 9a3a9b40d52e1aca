"""Everything once: the bundled scene, its chips, their table and index, a search, and a picture of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rasterio
from rasterio.windows import Window

from indexer import demo_scene
from indexer.build import build
from indexer.encode import encode
from query import contact_sheet, output
from query.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from query.hits import Hits

    Progress = Callable[[], AbstractContextManager[Callable[[int, int], None]]]

CHIP = 32
STRIDE = 16
TOWN = (13.3676, 45.7678)
"""Aquileia: longitude and latitude of the query."""
HITS = 11
SPREAD = 450.0
"""Metres between hits: the side of a chip, so that each shows another place."""
ATTRIBUTION = "Contains modified Copernicus Sentinel data 2019"


def run(folder: Path, progress: Progress, say: Callable[[str], None]) -> Hits:
    """Make the demo in a folder and return the hits; what is there already is used again.

    Parameters
    ----------
    folder
        Gets ``store/``, ``query.tif``, ``hits.geojson`` and ``contact_sheet.png``.
    progress
        Gives a context around the encoding, and in it what is called with chips done and chips in all.
    say
        Called with a line of status.

    Raises
    ------
    EmbedstoreError
        If a step fails; see the steps.
    """
    store, scene = folder / "store", demo_scene.path()
    with progress() as update:
        made = encode([scene], store, chip_size=CHIP, stride=STRIDE, progress=update)
    if made.chips:
        say(f"{made}; made {store}")
        build(store)
    else:
        say(f"{store} is there already and is used again; delete {folder} to begin anew")
    query = folder / "query.tif"
    cut_chip(scene, TOWN, query)
    with Engine(store) as engine:
        hits = engine.search(chip=query, k=HITS, where="valid_fraction = 1", spread=SPREAD)
        sheet = draw(engine.search(at=TOWN, k=1), hits, engine.snapshot.rows)
    output.save(hits, "geojson", folder / "hits.geojson")
    output.replace_file(folder / "contact_sheet.png", lambda draft: sheet.save(draft, "png", optimize=True))
    say(f"wrote {folder / 'hits.geojson'} and {folder / 'contact_sheet.png'}")
    return hits


def cut_chip(scene: Path, at: tuple[float, float], chip: Path) -> None:
    """Write the chip of the demo's grid whose centre is nearest to a position as a raster of its own."""
    with rasterio.open(scene) as source:
        row, col = (round((i - CHIP / 2) / STRIDE) * STRIDE for i in source.index(*at))
    cut(scene, Window(col, row, CHIP, CHIP), chip)


def cut(scene: Path, window: Window, path: Path) -> None:
    """Write a window of a raster as a GeoTIFF with the same bands, nodata, scales and tags."""
    with rasterio.open(scene) as source:
        profile: dict[str, Any] = {
            "driver": "GTiff",
            "dtype": source.dtypes[0],
            "count": source.count,
            "width": int(window.width),
            "height": int(window.height),
            "crs": source.crs,
            "transform": source.window_transform(window),
            "nodata": source.nodata,
            "compress": "deflate",
        }
        with rasterio.open(path, "w", **profile) as out:
            out.write(source.read(window=window))
            out.descriptions, out.scales, out.offsets = source.descriptions, source.scales, source.offsets
            out.update_tags(**source.tags())


def draw(example: Hits, hits: Hits, rows: int) -> Any:
    """Return the contact sheet of the demo's answer; `example` is the stored chip that was asked for."""
    asked = example.to_arrow(geometry=True).to_pylist()[0]
    query = contact_sheet.Tile(
        asked["thumbnail"], "query", contact_sheet.place(asked["lon"], asked["lat"], asked["datetime"])
    )
    return contact_sheet.draw(
        query,
        contact_sheet.tiles(hits.to_arrow(geometry=True)),
        "The places most like this one",
        f"{rows:,} chips of one Sentinel-2 scene, {CHIP} by {CHIP} pixels each, compared by their vectors",
        ATTRIBUTION,
    )
