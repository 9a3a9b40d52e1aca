"""`embedstore pretrain`: training an encoder."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from embedstore.errors import SpecError
from query.cli import progress
from query.cli.screen import count, emit
from query.cli.values import AsJson


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore pretrain mpmae --data simulated:alpha,beta --out runs/mpmae")(pretrain)


def pretrain(
    *,
    recipe: Annotated[str, typer.Argument(help="clip, mpmae or dense.", metavar="RECIPE", show_default=False)],
    data: Annotated[
        list[str],
        typer.Option(
            help="simulated:REGION[,REGION][:TILES], or a folder of STAC Items or Sentinel-2 GeoTIFFs. Repeatable.",
            metavar="D",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run's folder; made if it is not there.", metavar="DIR")],
    config: Annotated[str, typer.Option(help="How large.", metavar="small|paper")] = "small",
    steps: Annotated[int | None, typer.Option(help="Steps; the recipe's own if not given.", metavar="N")] = None,
    batch: Annotated[
        int | None, typer.Option(help="Chips of a step; the learning rate goes with it.", metavar="N")
    ] = None,
    micro_batch: Annotated[
        int | None, typer.Option(help="Chips that go through the network at once; all if not given.", metavar="N")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train.", metavar="auto|cpu|cuda")] = "auto",
    precision: Annotated[
        str, typer.Option(help="Of products; auto is bfloat16 on CUDA alone.", metavar="auto|float32|bfloat16")
    ] = "auto",
    seed: Annotated[int, typer.Option(help="Of all chance.", metavar="N", min=0)] = 0,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of the recipe. Repeatable.", metavar="KEY=VALUE")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that draw chips; 0 draws in a thread. By the cores if not given.", min=0),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train an encoder on scenes without labels. Run again after an interruption, it goes on where it stopped.

    On several GPUs: torchrun --nproc-per-node N --no-python embedstore pretrain ...
    """
    options = dict(_option(text) for text in option or ())
    from indexer.pretrain.loop import train
    from indexer.pretrain.recipe import make
    from indexer.pretrain.sources import named

    made = make(recipe, config, options)
    source = named.source(data)
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, one speaks
    with progress.steps() if first else nullcontext() as update:
        report = train(
            made,
            source,
            out,
            config=config,
            options=options,
            steps=steps,
            batch=batch,
            micro_batch=micro_batch,
            seed=seed,
            device=device,
            precision=precision,
            workers=workers,
            progress=update,
        )
    line = (
        f"trained {count(report.steps, 'step')} in {report.seconds:,.0f} s ({report.chips_per_second:,.0f} chips/s, "
        f"{report.waiting:.0%} waiting for chips), loss {report.loss:.4g}: {report.model}"
    )
    if first:
        emit(report.to_dict(), [line], as_json)


def _option(text: str) -> tuple[str, Any]:
    """Read KEY=VALUE; numbers, true and false are what they look like, all else is text.

    Raises
    ------
    SpecError
        If it is nothing of the kind.
    """
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise SpecError(f"--option {text!r} is not KEY=VALUE, like --option patch=16.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
