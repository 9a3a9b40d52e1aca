"""`embedstore suggest`: what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from query.cli import values
from query.cli.options import Bbox, Between, LabelColumn, LabelFile, Method, Where, Within
from query.cli.screen import emit, say
from query.cli.values import AsJson, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore suggest demo/store --labels labels.geojson --label-column class -n 5")(
        suggest
    )


def suggest(
    *,
    store: StoreFolder,
    labels: LabelFile,
    label_column: LabelColumn = "class",
    n: Annotated[int, typer.Option("-n", help="How many.", metavar="N")] = 10,
    method: Method = "knn",
    bbox: Bbox = None,
    within: Within = None,
    between: Between = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Name the chips whose labels would teach most: uncertain, unlike what is labelled, and unlike each other."""
    area = values.box(bbox)
    from query import Engine
    from query.fewshot import Labelled
    from query.fewshot import suggest as of

    with Engine(store) as engine:
        known = Labelled.read(engine, labels, label_column)
        for note in known.notes:
            say(f"warning: {note}")
        found = of(engine, known, n, method=method, bbox=area, within=within, between=between, where=where)
    rows = found.to_pylist()
    emit({"suggestions": rows}, _lines(rows), as_json)


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{'id':32}  {'lon':>10}  {'lat':>9}  uncertain  why"
    for row in rows:
        why = f"{row['why']} (now {row['class']!r}, {row['confidence']:.2f})"
        yield f"{row['id']}  {row['lon']:10.5f}  {row['lat']:9.5f}  {row['uncertainty']:9.2f}  {why}"
