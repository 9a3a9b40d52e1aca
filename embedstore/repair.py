"""Repair: what is derived is made anew, what is lost is named, and only if asked to the table forgets it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstore import verify
from embedstore.append import ATTEMPTS
from embedstore.errors import storage_errors
from embedstore.log import Log
from embedstore.sealed import write_json
from embedstore.snapshot import Snapshot
from embedstore.table import DELETIONS, gave_up

if TYPE_CHECKING:
    from embedstore.home import Home
    from embedstore.store import Store
    from embedstore.table import DataFile


@dataclass(frozen=True, slots=True)
class Lost:
    """A data file that is missing or not what was written.

    Parameters
    ----------
    path, cell, rows
        As the table names it.
    reason
        What is wrong with it.
    ids
        Of its chips, as far as the index knows them.
    """

    path: str
    cell: str
    rows: int
    reason: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair found and did.

    Parameters
    ----------
    mended
        What was made anew, one sentence each.
    lost
        Data files that only a copy, or encoding their scenes again, brings back.
    forgotten
        Whether the table has forgotten them.
    """

    mended: tuple[str, ...]
    lost: tuple[Lost, ...]
    forgotten: bool

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def mend_log(home: Home) -> list[str]:
    """Do without damaged checkpoints of the log; see :meth:`embedstore.log.Log.mend`."""
    with storage_errors("mend the log", home.folder):
        return Log(home).mend()


def repair(store: Store, mended: list[str], forget_lost: bool) -> Repaired:
    """Mend a store whose log was mended; see :meth:`embedstore.store.Store.repair`."""
    if mended:
        store.table.checkpoint()
    mended = [*mended, *_encoder(store)]
    lost = _lost(store, readable=forget_lost)
    if lost and forget_lost:
        _forget(store, lost)
    return Repaired(tuple(mended), tuple(lost), bool(lost) and forget_lost)


def _encoder(store: Store) -> list[str]:
    """Write the encoder's description again if it is not what the table names."""
    spec = store.home.folder / "_encoder" / store.encoder.fingerprint / "spec.json"
    if not any("spec.json" in fault for fault in verify.encoder_faults(store)):
        return []
    spec.parent.mkdir(parents=True, exist_ok=True)
    write_json(spec, store.encoder.to_dict())
    store.home.keep([spec])
    return [f"{spec} was written again from what the table says."]


def _lost(store: Store, *, readable: bool) -> list[Lost]:
    """Return what is lost; if it is to be forgotten, no file may be among it that could not be read."""
    files = store.table.files()
    found = [(file, fault) for file in files for fault in verify.file_faults(store, file, readable=readable)]
    if not found:
        return []
    ids = _known_ids(Snapshot(store.table, store.catalog), {file.path for file, _ in found})
    return [Lost(f.path, f.cell, f.rows, fault, tuple(ids.get(f.path, ()))) for f, fault in found]


def _known_ids(snapshot: Snapshot, paths: set[str]) -> dict[str, list[str]]:
    """Return the ids that segments hold of some files."""
    known: dict[str, list[str]] = {}
    for piece in snapshot.pieces:
        live = piece.live_rows()
        files, _ = snapshot.place(piece, live)
        here = np.flatnonzero(np.isin(np.array(files, object).astype(str), sorted(paths)))
        raw = piece.segment.take("id", live[here]).tobytes().hex()
        for n, at in enumerate(here.tolist()):
            known.setdefault(files[at], []).append(raw[32 * n : 32 * n + 32])
    return known


def _forget(store: Store, lost: list[Lost]) -> None:
    """Take lost files out of the table. Units of work are looked at again then, so that encoding brings them back."""
    paths = {one.path for one in lost}
    for _ in range(ATTEMPTS):
        gone: list[DataFile] = [f for f in store.table.files() if f.path in paths]
        if not gone or store.table.commit([], gone, {DELETIONS: store.deletions + 1}):
            store.refresh()
            return
        store.refresh()
    raise gave_up(store.home, "forget lost files")
