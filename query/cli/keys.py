"""`embedstore keys add · list · rotate · revoke`: who may ask a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from query.cli.screen import count, emit, say
from query.cli.values import AsJson

KeyFile = Annotated[Path, typer.Argument(help="File of keys.", metavar="FILE", show_default=False)]
Name = Annotated[str, typer.Argument(help="Of who asks.", metavar="NAME", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    keys = typer.Typer(no_args_is_help=True, help="Make, show, replace and take away the keys of a service.")
    keys.command(epilog="Example: embedstore keys add keys.json alice --role write")(add)
    keys.command("list", epilog="Example: embedstore keys list keys.json")(list_)
    keys.command(epilog="Example: embedstore keys rotate keys.json alice --overlap 48")(rotate)
    keys.command(epilog="Example: embedstore keys revoke keys.json alice")(revoke)
    app.add_typer(keys, name="keys", epilog="Example: embedstore keys add keys.json alice --role write")


def add(
    file: KeyFile,
    name: Name,
    role: Annotated[str, typer.Option(help="read, write (and jobs), or admin (and metrics).", metavar="ROLE")] = "read",
    days: Annotated[float | None, typer.Option(help="Days after which it ends.", metavar="N")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second.", metavar="N")] = None,
    budget: Annotated[
        float | None, typer.Option(help="Points of work a minute; see docs/service.md.", metavar="N")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once; the file keeps its digest."""
    from query.api import keys

    _tell(keys.add(file, name, role, days, rate, budget), name, as_json)  # type: ignore[arg-type]


def list_(file: KeyFile, as_json: AsJson = False) -> None:
    """Print whose keys there are, and what they may do."""
    from dataclasses import asdict

    from query.api import keys

    found = keys.read(file)
    lines = [f"{k.name}  {k.role}  made {k.created}, {f'ends {k.expires}' if k.expires else 'no end'}" for k in found]
    emit({"keys": [{**asdict(k), "sha256": k.sha256[:12]} for k in found]}, lines, as_json)


def rotate(
    file: KeyFile,
    name: Name,
    overlap: Annotated[float, typer.Option(help="Hours for which the old key opens too.", metavar="HOURS")] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Make a key that replaces one, and print it, this once."""
    from query.api import keys

    _tell(keys.rotate(file, name, overlap), name, as_json)


def revoke(file: KeyFile, name: Name, as_json: AsJson = False) -> None:
    """Take away the keys of a name; a service that runs notices within two seconds."""
    from query.api import keys

    gone = keys.revoke(file, name)
    emit({"revoked": gone}, [f"took away {count(gone, 'key')} of {name}"], as_json)


def _tell(secret: str, name: str, as_json: bool) -> None:
    emit({"name": name, "key": secret}, [secret], as_json)
    say(f"this is the key of {name}; it cannot be shown again")
