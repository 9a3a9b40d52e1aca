"""`embedstore serve`: stores over HTTP, and the map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from query.cli.screen import say

KEEP_ALIVE = 75
"""Seconds for which a connection without requests is kept: longer than clients keep theirs, so that they close it."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore serve demo/store --port 8000")(serve)


def serve(
    stores: Annotated[list[Path], typer.Argument(help="Folders of stores.", metavar="STORE…", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", metavar="N", min=0, max=65535)] = 8000,
    keys: Annotated[
        Path | None, typer.Option(help="File that `embedstore keys` made: who may ask.", metavar="F")
    ] = None,
) -> None:
    """Serve stores over HTTP, with a map at /. Limits come from EMBEDSTORE_… variables; see docs/service.md."""
    import os
    import signal

    from query.api.access import refuse_open_door
    from query.api.settings import Settings

    settings = Settings.from_environment(os.environ, **({"key_file": keys} if keys else {}))
    refuse_open_door(host, settings.key_file)
    import uvicorn

    from query.api import create_app
    from query.api.observe import log_as_json
    from query.api.wire import StrictHttp

    log_as_json()
    app = create_app(stores, settings)
    say(f"serving {', '.join(s.absolute().name for s in stores)} at http://{host}:{port}, documentation at /docs")
    signal.signal(signal.SIGTERM, _end)
    uvicorn.run(
        app,
        host=host,
        port=port,
        http=StrictHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.stop_seconds),
    )


def _end(*_: object) -> None:
    """End well: uvicorn raises the signal again when all was answered, and to be told to end is no failure."""
    raise SystemExit(0)
