"""`embedstore encode · index`: from scenes to a table, and from a table to an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embedstore.errors import InputError, PlanError
from query.cli import progress, values
from query.cli.options import Address, Engine
from query.cli.screen import count, emit, one_line, say
from query.cli.values import AsJson, StoreFolder


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore encode scene.tif --store italy --bands B02,B03,B04,B08 --stride 16")(encode)
    app.command(epilog="Example: embedstore index italy --recall 0.98")(index)


def encode(
    *,
    scenes: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Raster files, or STAC Items with assets named by modality.", metavar="SCENE...", show_default=False
        ),
    ] = None,
    store: Annotated[Path, typer.Option(help="The store's folder; made if it is not there.", metavar="S")],
    encoder: Annotated[
        str | None,
        typer.Option(help="rcf, or timm:MODEL; the store's, or rcf for a new one, if not given.", metavar="NAME"),
    ] = None,
    aoi: Annotated[str | None, typer.Option(help="Only chips in this area: GeoJSON or WKT file.", metavar="F")] = None,
    chip_size: Annotated[
        int | None, typer.Option(help="Side of a chip in pixels; the encoder's own for a new store.", metavar="PX")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Pixels from one chip to the next; the chip's side if not given.", metavar="PX")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Bands in order, by name or number; all if not given.", metavar="B02,B03,...")
    ] = None,
    datetime: Annotated[
        str | None, typer.Option(help="When the scenes were taken, if they do not say.", metavar="T")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(help="Instead of scenes, what `embedstore plan` wrote.", metavar="F")
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    gpus: Annotated[
        float,
        typer.Option(
            help="GPUs of a worker on Ray; a fraction lets several share one.", metavar="N", rich_help_panel="Machines"
        ),
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Cut scenes into chips, turn them into vectors and add them to a store.

    Run again after an interruption, it goes on where it stopped; nothing is done or stored twice.
    """
    from indexer import engines

    if plan is not None:
        _only_the_plan(SCENE=scenes, encoder=encoder, aoi=aoi, chip_size=chip_size, stride=stride, datetime=datetime)
        import indexer.plan.encode

        with engines.choose(engine, address, gpus) as started, progress.chips() as update:
            report = indexer.plan.encode.encode_plan(
                plan, store, bands=values.words(bands), progress=update, engine=started
            )
    elif not scenes:
        raise InputError("name at least one SCENE, a raster file or a STAC Item, or a plan with --plan.")
    else:
        import indexer.encode

        with engines.choose(engine, address, gpus) as started, progress.chips() as update:
            report = indexer.encode.encode(
                scenes,
                store,
                encoder=encoder,
                aoi=aoi,
                chip_size=chip_size,
                stride=stride,
                bands=values.words(bands),
                datetime=datetime,
                progress=update,
                engine=started,
            )
    emit(report.to_dict(), str(report).splitlines()[:1], as_json)
    for _, message in report.scenes_failed:
        say(f"error: {one_line(message)}")
    if report.scenes_failed:
        raise typer.Exit(1)


def _only_the_plan(**given: object) -> None:
    """Refuse what the plan says already."""
    said = [name for name, value in given.items() if value is not None and value != []]
    if said:
        named = ", ".join(name if name.isupper() else f"--{name.replace('_', '-')}" for name in said)
        raise PlanError(f"leave out {named}: with --plan, the plan says which chips of which scenes. Or plan again.")


def index(
    store: StoreFolder,
    recall: Annotated[float, typer.Option(help="Share of the true neighbours to deliver.", metavar="R")] = 0.99,
    device: Annotated[str, typer.Option(help="Where to train.", metavar="auto|cpu|cuda")] = "auto",
    quantizer: Annotated[
        str | None, typer.Option(help="How codes are made; that of the live index if not given.", metavar="rabitq|pq")
    ] = None,
    engine: Engine = "local",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Build the index of a store, or extend it over what was added, and measure its recall."""
    import indexer.build
    from indexer import engines

    with engines.choose(engine, address) as started:
        report = indexer.build.build(
            store,
            recall=recall,
            device=device,
            progress=lambda stage: say(f"{stage} ..."),
            quantizer=quantizer,
            engine=started,
        )
    seconds = sum(report.seconds.values())
    kind = report.factory or "flat: exact search"
    line = f"indexed {count(report.rows, 'chip')} in {seconds:.1f} s ({kind}), recall@10 {report.recall:.3f}"
    emit(report.to_dict(), [line], as_json)
