"""`embedstore repair`: what can be made anew is, what cannot is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from query.cli.screen import emit
from query.cli.values import AsJson, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedstore.repair import Repaired


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore repair demo/store")(repair)


def repair(
    store: StoreFolder,
    forget_lost: Annotated[
        bool, typer.Option("--forget-lost", help="Take lost rows out of the table, so that they can be encoded again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make anew what is derived, the index above all, and name what is lost. Exit code 1 if something is."""
    from embedstore.store import Store
    from indexer.build import build

    done = Store.repair(store, forget_lost)
    faults, index = Store.open(store).verify(), None
    if any("_index" in fault for fault in faults):
        index = build(store).index
        faults = Store.open(store).verify()
    lines = [*_lines(done), *([f"the index was built anew: {index}"] if index else [])]
    emit({**done.to_dict(), "index": index, "faults": faults}, lines or ["sound: there is nothing to mend"], as_json)
    if faults:
        raise typer.Exit(1)


def _lines(done: Repaired) -> Iterator[str]:
    yield from done.mended
    for one in done.lost:
        yield f"lost: {one.reason} Ids known of it: {len(one.ids):,} of {one.rows:,} (--json names them)."
    if done.lost and done.forgotten:
        yield "the table has forgotten these rows; encode their scenes again."
    elif done.lost:
        yield "put copies in their place, or say --forget-lost and encode their scenes again."
