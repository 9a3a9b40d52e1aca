"""`embedstore search`: the places most like an example."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from query.cli import values
from query.cli.screen import count, say
from query.cli.values import StoreFolder

EXAMPLE = "Example: embedstore search demo/store --at 13.371,45.768 -k 5 --spread 500"
_EXAMPLE_PANEL = "What to look for (give at least one)"
_FILTER_PANEL = "Where and when"
_OUTPUT_PANEL = "Output"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog=EXAMPLE)(search)


def search(
    *,
    store: StoreFolder,
    chip: Annotated[
        Path | None,
        typer.Option(help="A raster file, encoded as the store was.", metavar="F", rich_help_panel=_EXAMPLE_PANEL),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="The chip at a position in degrees.", metavar="LON,LAT", rich_help_panel=_EXAMPLE_PANEL),
    ] = None,
    id_: Annotated[
        list[str] | None,
        typer.Option("--id", help="A stored chip. Repeatable.", metavar="ID", rich_help_panel=_EXAMPLE_PANEL),
    ] = None,
    vector: Annotated[
        Path | None,
        typer.Option(help="A vector: .npy or a JSON list.", metavar="F", rich_help_panel=_EXAMPLE_PANEL),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(help="A stored chip to look away from. Repeatable.", metavar="ID", rich_help_panel=_EXAMPLE_PANEL),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="How many hits.", metavar="N")] = 10,
    bbox: Annotated[
        str | None,
        typer.Option(
            help="Chips centred in a box; W > E crosses the antimeridian.",
            metavar="W,S,E,N",
            rich_help_panel=_FILTER_PANEL,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            help="Chips centred in a polygon: GeoJSON or WKT file.", metavar="F", rich_help_panel=_FILTER_PANEL
        ),
    ] = None,
    between: Annotated[
        str | None,
        typer.Option(
            help="Chips of a time range; .. leaves an end open.", metavar="A/B", rich_help_panel=_FILTER_PANEL
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="SQL condition on columns, like 'valid_fraction > 0.9'.", metavar="SQL", rich_help_panel=_FILTER_PANEL
        ),
    ] = None,
    recall: Annotated[
        str, typer.Option(help="Share of the true neighbours to deliver, or exact.", metavar="R|exact")
    ] = "0.95",
    spread: Annotated[
        float | None, typer.Option(help="Least distance between hits on the ground.", metavar="METRES")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="table, json, geojson or geoparquet; else by the suffix of -o.",
            metavar="FORMAT",
            rich_help_panel=_OUTPUT_PANEL,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json.", rich_help_panel=_OUTPUT_PANEL)
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            help="Tell which pixels of each hit match, where the scene can still be read.",
            rich_help_panel=_OUTPUT_PANEL,
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File to write instead of stdout.", metavar="F", rich_help_panel=_OUTPUT_PANEL
        ),
    ] = None,
) -> None:
    """Find the stored chips most like one or more examples.

    Several positive examples are averaged; negatives push away.
    """
    position, area, query = values.position(at), values.box(bbox), values.vector(vector)
    from query import Engine
    from query.output import choose_format, render, save

    chosen = choose_format("json" if as_json else form, output)
    examples: dict[str, Any] = {"chip": chip, "at": position, "like": id_ or [], "unlike": unlike or []}
    with Engine(store) as engine:
        hits = engine.search(
            query,
            **examples,
            k=k,
            bbox=area,
            within=within,
            between=between,
            where=where,
            recall=recall,
            spread=spread,
        )
        explanations = engine.explain(hits, query, **examples) if explain else None
        if output:
            save(hits, chosen, output, explanations)
            say(f"wrote {len(hits)} hits to {output}")
        else:
            sys.stdout.write(render(hits, chosen, explanations))
    if chosen == "table":
        made = hits.report
        say(
            f"{'exact' if made.exact else made.plan}: {count(made.candidates, 'candidate')}, {made.scanned:,} scored, "
            f"{count(made.lists_probed, 'list')} probed"
        )
    for note in hits.report.warnings:
        say(f"warning: {note}")
    if explanations is not None:
        for reason, chips in Counter(filter(None, explanations["reason"].to_pylist())).items():
            say(f"warning: {count(chips, 'hit')} cannot be explained: {reason}")
