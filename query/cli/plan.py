"""`embedstore plan`: which chips of an area are encoded from which scenes of a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from query.cli.screen import emit, one_line, say
from query.cli.values import AsJson


def register(app: typer.Typer) -> None:
    """Add this command."""
    example = (
        "plan --aoi region.geojson --stac https://example.com/stac --datetime 2024-03-01/2024-11-30 --max-cloud 20"
    )
    app.command(epilog=f"Example: embedstore {example}")(plan)


def plan(
    aoi: Annotated[str, typer.Option(help="Chips centred in this area: GeoJSON or WKT file.", metavar="F")],
    stac: Annotated[
        str,
        typer.Option(
            help="STAC API, static catalogue, FeatureCollection of Items, or stac-geoparquet.", metavar="CATALOG"
        ),
    ],
    datetime: Annotated[str, typer.Option(help="Scenes of these dates, both included.", metavar="A/B")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The plan file.", metavar="F")] = Path("plan.parquet"),
    encoder: Annotated[str, typer.Option(help="rcf, timm:MODEL, or a model file's.", metavar="NAME")] = "rcf",
    chip_size: Annotated[
        int | None, typer.Option(help="Side of a chip in pixels; the encoder's own if not given.", metavar="PX")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Pixels from one chip to the next; the chip's side if not given.", metavar="PX")
    ] = None,
    max_cloud: Annotated[float | None, typer.Option(help="Clouds that a scene may have, %.", metavar="P")] = None,
    period: Annotated[
        str, typer.Option(help="Each place is encoded once for each.", metavar="month|season|year|all")
    ] = "season",
    modality: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a modality of the encoder is, the one that gives the grid first; may be repeated.",
            metavar="NAME=[COLLECTION/]ASSET,...",
        ),
    ] = None,
    days: Annotated[float, typer.Option(help="Most days between modalities of a chip.", metavar="N")] = 12,
    coefficients: Annotated[
        Path | None, typer.Option(help="What things cost, JSON, as benchmarks.plan measures it.", metavar="F")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Plan what `encode --plan` does: the best scenes for every place and period, and what it will take.

    No pixel is read. What of the catalogue cannot be used is listed, the rest is planned, and the exit code is 1 then.
    """
    import indexer.plan.make

    report = indexer.plan.make.plan(
        aoi,
        stac,
        datetime,
        output,
        encoder=encoder,
        chip_size=chip_size,
        stride=stride,
        max_cloud=max_cloud,
        period=period,
        modalities=modality or (),
        days=days,
        coefficients=coefficients,
    )
    emit(report.to_dict(), [str(report)], as_json)
    for fault in report.faults:
        say(f"error: {one_line(fault)}")
    if report.faults:
        raise typer.Exit(1)
