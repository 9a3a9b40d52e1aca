"""`embedstore classify`: every chip of an area gets a class, from a few labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedstore.errors import LabelError
from query.cli import options, progress, values
from query.cli.options import Bbox, Between, LabelColumn, LabelFile, Method, Where, Within
from query.cli.screen import count, emit, say
from query.cli.values import AsJson, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from query.fewshot import Classified, Evaluation

EXAMPLE = (
    "Example: embedstore classify demo/store --labels labels.geojson --label-column class --method probe -o out.parquet"
)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog=EXAMPLE)(classify)


def classify(
    *,
    store: StoreFolder,
    labels: LabelFile,
    label_column: LabelColumn = "class",
    output: Annotated[Path, typer.Option("-o", "--output", help="GeoParquet file to write.", metavar="F")],
    method: Method = "knn",
    k: Annotated[int, typer.Option("-k", help="Labels that vote, and that are written.", metavar="N")] = 5,
    abstain_below: Annotated[
        float, typer.Option(help="Confidence under which a chip gets no class.", metavar="P")
    ] = 0.0,
    bbox: Bbox = None,
    within: Within = None,
    between: Between = None,
    where: Where = None,
    engine: options.Engine = "local",
    address: options.Address = None,
    as_json: AsJson = False,
) -> None:
    """Give every chip of an area a class, learned from a few labels, and tell how good that is.

    The score is measured on blocks of land that were not learned from; a random split beside it shows how much
    neighbours flatter.
    """
    area = values.box(bbox)
    from indexer import engines
    from query import Engine
    from query.fewshot import Labelled, classify_area, evaluate

    with engines.choose(engine, address) as started, Engine(store) as opened:
        known = Labelled.read(opened, labels, label_column)
        for note in known.notes:
            say(f"warning: {note}")
        with progress.chips("classifying", "classified") as update:
            done = classify_area(
                opened,
                known,
                method,
                output,
                k=k,
                abstain_below=abstain_below,
                bbox=area,
                within=within,
                between=between,
                where=where,
                progress=update,
                executor=started,
            )
        say(f"wrote {count(done.chips, 'chip')} to {output}")
    try:
        score = evaluate(known, method, k=k)
    except LabelError as error:
        score = None
        say(f"warning: no score: {error}")
    data = done.to_dict() | {"evaluation": score and score.to_dict()}
    emit(data, _lines(done, score), as_json)


def _lines(done: Classified, score: Evaluation | None) -> Iterator[str]:
    counts: dict[str, Any] = dict(done.classes)
    if done.abstained:
        counts["(no class)"] = done.abstained
    width = max(map(len, [*counts, "random split"]))
    for name, chips in counts.items():
        yield f"{name:{width}}  {count(chips, 'chip')}"
    if score is None:
        return
    for name, part in (("spatial CV", score.spatial), ("random split", score.random)):
        yield f"{name:{width}}  accuracy {part.accuracy}, macro F1 {part.macro_f1}, {count(part.tested, 'chip')}"
    yield f"{'':{width}}  spatial: {count(score.blocks, 'block')} of {score.block_edge:,.0f} m edge, kept apart"
    for name, chips in score.spatial.untested.items():
        yield f"{'':{width}}  not tested: {count(chips, 'chip')} of {name!r}, which has no label far enough away"
    if score.doubtful:
        first = score.doubtful[0]
        yield (
            f"{'':{width}}  look again at {count(len(score.doubtful), 'label')}: {first['id']} is labelled "
            f"{first['label']!r} and looks like {first['prediction']!r}" + (", …" if len(score.doubtful) > 1 else "")
        )
