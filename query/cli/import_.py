"""`embedstore import`: embeddings that others made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from query.cli.screen import emit, one_line, say
from query.cli.values import AsJson

_TELL = "What the files do not say"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("import", epilog="Example: embedstore import 03WVN_20220610_20220610_v001.gpq --store clay")(import_)


def import_(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="GeoParquet of Earth Index, Clay, Planet, Major TOM; AlphaEarth's GeoTIFFs, TESSERA's tiles; .npy.",
            metavar="FILE...",
            show_default=False,
        ),
    ],
    store: Annotated[Path, typer.Option(help="The store's folder; made if it is not there.", metavar="S")],
    model: Annotated[
        str | None, typer.Option(help="Who made the vectors.", metavar="NAME", rich_help_panel=_TELL)
    ] = None,
    datetime: Annotated[
        str | None, typer.Option(help="When: a year, a moment, or A/B.", metavar="T", rich_help_panel=_TELL)
    ] = None,
    coordinates: Annotated[
        Path | None,
        typer.Option(
            help="Places of an array's rows: .npy (n, 2) or (n, 4); CSV, Parquet with lon, lat.",
            metavar="F",
            rich_help_panel=_TELL,
        ),
    ] = None,
    chip_metres: Annotated[
        float | None,
        typer.Option(help="Side of an array's chips, where places are centres.", metavar="M", rich_help_panel=_TELL),
    ] = None,
    chip_size: Annotated[
        int | None,
        typer.Option(
            help="Average the vectors of pixels to chips of so many; each is a chip if not given.", metavar="PX"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Bring embeddings that others made into a store of their own, recognised by their columns.

    They are searched by --id, --at and --vector; the model itself is not here, so that no chip can be encoded.
    Run again after an interruption, it goes on where it stopped.
    """
    import indexer.importers.run

    report = indexer.importers.run.run(files, store, model, coordinates, chip_size, chip_metres, datetime)
    emit(report.to_dict(), [str(report)], as_json)
    for note in report.notes:
        say(f"warning: {one_line(note)}")
    for _, message in report.files_failed:
        say(f"error: {one_line(message)}")
    if report.files_failed:
        raise typer.Exit(1)
