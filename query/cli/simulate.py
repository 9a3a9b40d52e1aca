"""`embedstore simulate`: scenes of a landscape that does not exist, through every sensor, and the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from embedstore.errors import SpecError
from query.cli import progress, values
from query.cli.screen import count, emit
from query.cli.values import AsJson


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore simulate scenes --region alpha --tiles 4 --months 4,7")(simulate)


def simulate(
    *,
    folder: Annotated[Path, typer.Argument(help="Where to write.", metavar="OUT", show_default=False)],
    region: Annotated[str, typer.Option(help="Part of the simulated world.", metavar="alpha|beta|gamma|delta")],
    tiles: Annotated[int, typer.Option(help="How many squares of 256 x 256 pixels of 10 m.", metavar="N")] = 16,
    months: Annotated[str, typer.Option(help="When each is seen, 1 to 12.", metavar="M,M,...")] = "4,7",
    seed: Annotated[int, typer.Option(help="Another one is another world.", metavar="S")] = 0,
    as_json: AsJson = False,
) -> None:
    """Write simulated scenes: Cloud Optimized GeoTIFFs of optical, radar, terrain, canopy and land cover, with STAC.

    Every item of the collection is one tile in one month. The same seed always gives the same world.
    """
    wanted = values.words(months) or []
    if not all(m.isdecimal() for m in wanted):
        raise SpecError(f"--months {months!r} are no months; write numbers from 1 to 12, like --months 4,7.")
    from indexer.landscape import files

    with progress.chips("simulating", "simulated", "tiles") as update:
        items = files.write(folder, region, tiles, [int(m) for m in wanted], seed, update)
    emit(
        {"collection": str(folder / "collection.json"), "items": [str(item) for item in items]},
        [f"wrote {count(len(items), 'item')} to {folder / 'collection.json'}"],
        as_json,
    )
