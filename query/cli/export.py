"""`embedstore export`: chips of a store for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from query.cli import values
from query.cli.options import Bbox, Between, Where, Within
from query.cli.screen import count, emit
from query.cli.values import AsJson, StoreFolder

EXAMPLE = "Example: embedstore export demo/store -o town.parquet --bbox 13.3,45.7,13.5,45.8"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog=EXAMPLE)(export)


def export(
    *,
    store: StoreFolder,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="File to write; a folder for stac and map.", metavar="F", show_default=False
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="geoparquet, geojson, stac or map; else by the suffix of -o.", metavar="FORMAT"),
    ] = None,
    bbox: Bbox = None,
    within: Within = None,
    between: Between = None,
    where: Where = None,
    licence: Annotated[
        str, typer.Option("--license", help="What STAC says of it: an SPDX identifier.", metavar="ID")
    ] = "proprietary",
    as_json: AsJson = False,
) -> None:
    """Write chips as GeoParquet with their vectors, as GeoJSON without them, as a STAC Collection, or as a map.

    The map needs no service: any server of static files shows it, and likeness is worked out in the browser. The
    filters are those of search. Of the scenes' paths, names alone are told.
    """
    area = values.box(bbox)
    from query import Engine
    from query.export import choose_format
    from query.export import export as write

    chosen = choose_format(form, output)
    with Engine(store) as engine:
        done = write(engine, output, chosen, bbox=area, within=within, between=between, where=where, licence=licence)
    emit(done.to_dict(), [f"wrote {count(done.chips, 'chip')} to {output} ({done.format})"], as_json)
