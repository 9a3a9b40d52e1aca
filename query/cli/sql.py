"""`embedstore sql`: a statement over the embeddings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from query.cli.screen import count, say
from query.cli.values import StoreFolder

EXAMPLE = "Example: embedstore sql demo/store 'SELECT h3_cell, count(*) AS chips FROM embeddings GROUP BY h3_cell'"


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog=EXAMPLE)(sql)


def sql(
    *,
    store: StoreFolder,
    statement: Annotated[str, typer.Argument(help="SQL in DuckDB's dialect.", metavar="STATEMENT", show_default=False)],
    form: Annotated[
        str | None,
        typer.Option(
            "--format", help="table, csv, json, geojson or parquet; else by the suffix of -o.", metavar="FORMAT"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File to write instead of stdout.", metavar="F")
    ] = None,
) -> None:
    """Answer SQL over the view `embeddings`, with spatial and H3 functions.

    Also there: nearest(vector, k), nearest_within(vector, k, filter), chip_vector(id), encode_chip(path),
    similarity(a, b), embeddings_in(area), embeddings_in_box(west, south, east, north). `DESCRIBE embeddings` lists
    the columns.
    """
    from query import Engine
    from query.sql.render import choose_format, render, save

    chosen = choose_format(form, output)
    with Engine(store) as engine:
        table = engine.sql(statement)
        if output:
            save(table, chosen, output)
            say(f"wrote {count(len(table), 'row')} to {output}")
        else:
            sys.stdout.write(render(table, chosen))
