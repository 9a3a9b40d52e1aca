"""`embedstore demo`: everything once, on the scene that comes with the package."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from query.cli import progress
from query.cli.screen import say


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore demo /tmp/demo")(demo)


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the demo writes.", metavar="[FOLDER]")] = Path("demo"),
) -> None:
    """Encode the bundled Sentinel-2 scene, index it, and find the places most like one of its towns."""
    import query.demo
    from query.output import render

    hits = query.demo.run(folder, progress.chips, say)
    sys.stdout.write(render(hits, "table"))
    say(f"look at it on a map: {Path(sys.argv[0])} serve {folder / 'store'}, then open http://127.0.0.1:8000")
