"""`embedstore delete · info · verify · compact · vacuum`: what is in a store, and keeping it sound and small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from embedstore.errors import UnknownIdError
from query.cli import values
from query.cli.screen import count, emit, size
from query.cli.values import AsJson, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(epilog="Example: embedstore delete demo/store --within field.geojson")(delete)
    app.command(epilog="Example: embedstore info demo/store")(info)
    app.command(epilog="Example: embedstore verify demo/store")(verify)
    app.command(epilog="Example: embedstore compact demo/store")(compact)
    app.command(epilog="Example: embedstore vacuum demo/store --grace 24")(vacuum)


def delete(
    store: StoreFolder,
    id_: Annotated[list[str] | None, typer.Option("--id", help="A chip. Repeatable.", metavar="ID")] = None,
    within: Annotated[
        str | None, typer.Option(help="Chips centred in a polygon: GeoJSON or WKT file.", metavar="F")
    ] = None,
    item: Annotated[str | None, typer.Option(help="Chips of a scene, as `search` names it.", metavar="ITEM")] = None,
    as_json: AsJson = False,
) -> None:
    """Delete chips by id, by area or by scene. Older versions keep them until vacuum."""
    values.exactly_one(id=id_, within=within, item=item)
    from embedstore.store import Store

    deleted = Store.open(store).delete(ids=id_ or None, within=within, item=item)
    if item is not None and not deleted:
        raise UnknownIdError(f"no chip in {store} was made from {item}; `embedstore search` names the scenes of chips.")
    emit({"deleted": deleted}, [f"deleted {count(deleted, 'chip')}"], as_json)


def info(store: StoreFolder, as_json: AsJson = False) -> None:
    """Print what a store holds: rows, files, encoder, index."""
    from embedstore.store import Store

    known = Store.open(store).info()
    emit(known, _info_lines(known), as_json)


def _info_lines(known: dict[str, Any]) -> Iterator[str]:
    encoder, index = known["encoder"], known["index"]
    bands = "; ".join(f"{name}: {' '.join(bands)}" for name, bands in encoder["bands"].items())
    yield f"store     {known['path']}, version {known['version']}"
    yield (
        f"table     {count(known['rows'], 'chip')} in {count(known['files'], 'file')}, "
        f"{count(known['partitions'], 'partition')}, {size(known['bytes'])}"
    )
    yield f"encoder   {encoder['name']}, {encoder['dimension']} dimensions, fingerprint {encoder['fingerprint'][:12]}"
    yield f"chips     {encoder['chip_size']} px at {encoder['gsd']:g} m, {bands}"
    yield (
        f"index     {index['factory'] or 'flat'}, {count(index['indexed_rows'], 'row')} in lists, "
        f"{index['flat_rows']:,} flat, {index['uncovered_rows']:,} not covered, {count(index['segments'], 'segment')}"
    )
    for fault in index["faults"]:
        yield f"fault     {fault}"


def verify(store: StoreFolder, as_json: AsJson = False) -> None:
    """Check every checksum and count, and the index against the table. Exit code 1 on any fault."""
    from embedstore.errors import DamageError
    from embedstore.store import Store

    try:
        faults = Store.open(store).verify()
    except DamageError as error:  # it cannot even be opened
        faults = [str(error)]
    emit({"sound": not faults, "faults": faults}, faults or ["sound: every checksum and count is right"], as_json)
    if faults:
        raise typer.Exit(1)


def compact(store: StoreFolder, as_json: AsJson = False) -> None:
    """Join small data files; chips stay findable."""
    from embedstore.store import Store

    done = Store.open(store).compact()
    line = f"{count(done.files_before, 'file')} became {done.files_after:,}, with {count(done.rows, 'chip')}"
    emit(done.to_dict(), [line if done.files_before else "nothing to join"], as_json)


def vacuum(
    store: StoreFolder,
    grace: Annotated[
        float, typer.Option(help="Keep what versions younger than this need.", metavar="HOURS", min=0)
    ] = 168.0,
    as_json: AsJson = False,
) -> None:
    """Delete files that no version within the grace period needs."""
    from embedstore.store import Store

    done = Store.open(store).vacuum(grace)
    line = f"deleted {count(done.data_files, 'data file')} and {count(done.index_files, 'piece')} of the index"
    emit(done.to_dict(), [line], as_json)
