"""`embedstore change`: the places that have changed most between two dates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from query.cli import values
from query.cli.options import Bbox, Where, Within
from query.cli.screen import count, emit, say
from query.cli.values import AsJson, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore change demo/store --between 2018-12-01 --and 2019-01-01/2019-01-31")(change)


def change(
    *,
    store: StoreFolder,
    before: Annotated[str, typer.Option("--between", help="The first date, or a range A/B.", metavar="T")],
    after: Annotated[str, typer.Option("--and", help="The second date, or a range A/B.", metavar="T")],
    k: Annotated[int, typer.Option("-k", help="How many places.", metavar="N")] = 20,
    bbox: Bbox = None,
    within: Within = None,
    where: Where = None,
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="GeoParquet file to write instead.", metavar="F")
    ] = None,
) -> None:
    """Rank places by how far their vectors of two dates are from each other, the most changed first."""
    area = values.box(bbox)
    import pyarrow.parquet as pq

    from query import Engine
    from query.change import change as of
    from query.output import replace_file

    with Engine(store) as engine:
        found = of(engine, before, after, k=k, bbox=area, within=within, where=where)
    if output:
        replace_file(output, lambda draft: pq.write_table(found, draft, compression="zstd"))
        say(f"wrote {count(found.num_rows, 'pair')} to {output}")
        return
    rows = found.drop_columns(["geometry"]).to_pylist()
    for row in rows:
        for name in ("datetime_a", "datetime_b"):
            row[name] = row[name].isoformat().replace("+00:00", "Z")
    emit({"pairs": rows}, _lines(rows), as_json)


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'distance':>8}  {'lon':>10}  {'lat':>9}  {'from':10}  {'to':10}  {'id before':32}  id after"
    for row in rows:
        yield (
            f"{row['distance']:8.4f}  {row['lon']:10.5f}  {row['lat']:9.5f}  {row['datetime_a'][:10]}  "
            f"{row['datetime_b'][:10]}  {row['id_a']}  {row['id_b']}"
        )
