"""`embedstore sql`: a statement over the embeddings."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from embedstore.errors import SqlError
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
    attach: Annotated[
        list[str] | None,
        typer.Option(help="Another store, as NAME.embeddings, NAME.nearest(...). Repeatable.", metavar="NAME=S"),
    ] = None,
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
    others = _named(attach or [])
    from query import Engine
    from query.sql import Session
    from query.sql.render import choose_format, render, save

    chosen = choose_format(form, output)
    with Engine(store) as engine, Session(engine, attached=others) as session:
        table = session.query(statement)
        if output:
            save(table, chosen, output)
            say(f"wrote {count(len(table), 'row')} to {output}")
        else:
            sys.stdout.write(render(table, chosen))


def _named(attached: Sequence[str]) -> dict[str, str]:
    """Read NAME=S, each name once."""
    named: dict[str, str] = {}
    for one in attached:
        name, is_, store = one.partition("=")
        if not (is_ and store) or name in named:
            raise SqlError(f"--attach {one!r} is no NAME=STORE, or its name is taken; write --attach clay=stores/clay.")
        named[name] = store
    return named
