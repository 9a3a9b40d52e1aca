"""Options that several commands share: labels, and which chips are meant."""

from __future__ import annotations

from typing import Annotated

import typer

_WHERE, _LABELS, _MACHINES = "Where and when", "Labels", "Machines"

Bbox = Annotated[
    str | None,
    typer.Option(
        help="Chips centred in a box; W > E crosses the antimeridian.", metavar="W,S,E,N", rich_help_panel=_WHERE
    ),
]
Within = Annotated[
    str | None,
    typer.Option(help="Chips centred in a polygon: GeoJSON or WKT file.", metavar="F", rich_help_panel=_WHERE),
]
Between = Annotated[
    str | None,
    typer.Option(help="Chips of a time range; .. leaves an end open.", metavar="A/B", rich_help_panel=_WHERE),
]
Where = Annotated[
    str | None,
    typer.Option(help="SQL condition on columns, like 'valid_fraction > 0.9'.", metavar="SQL", rich_help_panel=_WHERE),
]
LabelFile = Annotated[
    str,
    typer.Option(
        "--labels",
        help="Points or polygons: GeoJSON, GeoParquet; or ids: Parquet, CSV, JSON.",
        metavar="F",
        rich_help_panel=_LABELS,
    ),
]
LabelColumn = Annotated[
    str,
    typer.Option("--label-column", help="Property or column of the class.", metavar="C", rich_help_panel=_LABELS),
]
Method = Annotated[str, typer.Option(help="How to learn.", metavar="knn|probe|forest|prototype")]
Engine = Annotated[
    str, typer.Option(help="This process, or a Ray cluster.", metavar="local|ray", rich_help_panel=_MACHINES)
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster: auto, HOST:6379; one of its own on this machine if not given.",
        metavar="A",
        rich_help_panel=_MACHINES,
    ),
]
